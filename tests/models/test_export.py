"""Recorded networks serve inputs of other sizes and batches: torch.export and ONNX."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from uniformer_mm import UniFormer, UniFormer3D, UniFormerLight
from uniformer_mm.deploy.formats import eager, load_onnx, write_onnx
from uniformer_mm.deploy.graphs import Graph
from uniformer_mm.deploy.parity import difference
from uniformer_mm.models.layers import (
    GlobalBlock,
    PyramidBlock,
    ShrinkingBlock,
    WindowBlock,
)

MINI = dict(depths=(1, 1, 1, 1), embed_dims=(8, 16, 32, 32), head_dim=16)
WINDOWS = dict(window_size=3, out_indices=(2,), final_norm=False)
HYBRID = dict(WINDOWS, stage3_style='hybrid', depths=(1, 1, 4, 1))
# Sides that windows divide and that they do not, one window, and fewer tokens than that.
SIZES = ((2, 96, 160), (1, 48, 80), (3, 75, 131), (1, 32, 224))
CASES = {
    'global': (UniFormer, {}),
    'window': (UniFormer, dict(stage3_style='window', **WINDOWS)),
    'hybrid': (UniFormer, HYBRID),
    'clips': (UniFormer3D, HYBRID),
    'divided': (UniFormer3D, dict(split=True, stage3_style='window', **WINDOWS)),
    'light': (UniFormerLight, dict(depths=(1, 1, 2, 1))),
}


class Maps(Graph):
    """A backbone alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.output_names = tuple(f'stage{index + 1}' for index in model.out_indices)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return maps(self.model(images))


def maps(out: Tensor | tuple) -> tuple:
    return tuple(out) if isinstance(out, tuple | list) else (out,)


@torch.no_grad()
def check(model: nn.Module, recorded, examples: list[Tensor]) -> None:
    for x in examples:
        for found, expected in zip(maps(recorded(x)), maps(model(x)), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def runtime(graph: bytes):
    session = onnxruntime.InferenceSession(graph, providers=['CPUExecutionProvider'])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x.numpy()})


class Shrinking(nn.Module):
    """Two blocks that shrink their tokens, of which the first ranks them."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ShrinkingBlock(16, 8) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        cls_token, score = x.new_zeros(x.shape[0], 1, 16), None
        for block in self.blocks:
            x, cls_token, score = block(x, cls_token, score)
        return x


# Networks take up to half a minute each: their sizes are long formulas.
LAYERS = {
    'hybrid': (GlobalBlock(16, 8, window_size=3), GlobalBlock(16, 8)),
    'light': (Shrinking(),),
    'dual': (WindowBlock(16, 8, (2, 3, 3)), PyramidBlock(16, 8, (1, 2, 2), None, 'depthwise')),
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('case', LAYERS)
def test_exported_program(case: str) -> None:
    model = nn.Sequential(*LAYERS[case]).eval()
    frames = (2,) if case == 'dual' else ()
    sizes = ((2, 8, 11), (1, 6, 6), (3, 13, 5))
    examples = [torch.randn(batch, 16, *frames, *size) for batch, *size in sizes]
    axes = dict.fromkeys((0, examples[0].ndim - 2, examples[0].ndim - 1), Dim.DYNAMIC)
    program = torch.export.export(model, (examples[0],), dynamic_shapes=(axes,))
    # The guards say what memory order the example's maps had, on which nothing depends.
    check(model, program.module(check_guards=False), examples)
    if case == 'hybrid':
        onnx = torch.onnx.export(program, dynamo=True, verbose=False)
        check(model, runtime(onnx.model_proto.SerializeToString()), examples)


@pytest.mark.parametrize('case', CASES)
def test_onnx_in_both_precisions(case: str, tmp_path: Path) -> None:
    network, options = CASES[case]
    model = network(MINI, **options).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, 1.0, 0.3)
    frames = (4,) * (model.ndim - 2)
    shapes = [(batch, 3, *frames, *size) for batch, *size in SIZES]
    axes, reference = (0, model.ndim, model.ndim + 1), eager(Maps(model))
    half = model.fold_for_inference(dtype=torch.float16)
    for graph, tolerance in ((Maps(model), 1e-5), (Maps(half), 1e-2)):
        write_onnx(tmp_path / 'maps.onnx', graph, torch.randn(shapes[0]), axes, {})
        run = load_onnx(tmp_path / 'maps.onnx', 1)
        found = difference(graph.output_names, reference, run, shapes)
        assert max(found.values()) < tolerance, found
