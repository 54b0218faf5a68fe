"""Writing a graph to a file, and running that file."""

from __future__ import annotations

import importlib
import importlib.util
import json
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uniformer_mm.errors import UserError

from .graphs import Graph

OPSET = 17  # the first with LayerNormalization
METADATA = 'uniformer_mm'  # key of the metadata in every format
LEAST = 32  # the shortest side that a network takes, one token in its last stage
# What runs a file: from an input to the outputs in their order.
Run = Callable[[np.ndarray], list[np.ndarray]]
_SIDES = ('frames', 'height', 'width')


@dataclass(frozen=True)
class Format:
    """A format of files.

    Attributes:
        needs: Packages that write and run it, with the extra that installs them.
        write: Writes a graph, of an example of its input, the axes whose size may change, and the
            metadata.
        load: Opens a file for running.
    """

    needs: tuple[tuple[str, ...], str]
    write: Callable[[Path, Graph, Tensor, Sequence[int], dict[str, Any]], None]
    load: Callable[[Path, int], Run]

    def check(self) -> None:
        """See that all packages are there.

        Raises:
            UserError: Says how to install them.
        """
        packages, extra = self.needs
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        if missing:
            raise UserError(
                f'{", ".join(missing)} is not installed: pip install -e ".[{extra}]" in the folder '
                'of this project installs it.'
            )


def axis_names(ndim: int, axes: Sequence[int]) -> dict[int, str]:
    """Names of the axes of an input (B, 3, \\*S) whose size may change."""
    names = ('batch', 'channels', *_SIDES[5 - ndim :])
    return {axis: names[axis] for axis in axes}


def write_onnx(
    path: Path, graph: Graph, example: Tensor, axes: Sequence[int], meta: dict[str, Any]
) -> None:
    """Write an ONNX file by tracing, which takes seconds.

    PyTorch's newer exporter, by way of :func:`torch.export.export`, writes the same graph in
    minutes. What tracing can get wrong is a size that became a constant: :mod:`.parity` looks for
    it.
    """
    onnx = importlib.import_module('onnx')
    names = {graph.input_names[0]: axis_names(example.ndim, axes)}
    names |= {name: {0: 'batch'} for name in graph.output_names}
    with warnings.catch_warnings():
        # Of this exporter's age, and of branches on sizes, which the parity is there for.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            graph,
            (example,),
            str(path),
            input_names=list(graph.input_names),
            output_names=list(graph.output_names),
            dynamic_axes=names,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {METADATA: json.dumps(meta)})
    onnx.save(model, path)


def load_onnx(path: Path, threads: int) -> Run:
    """Run an ONNX file in onnxruntime on the CPU."""
    runtime = importlib.import_module('onnxruntime')
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    (name,) = (entry.name for entry in session.get_inputs())
    return lambda images: session.run(None, {name: images})


def write_program(
    path: Path, graph: Graph, example: Tensor, axes: Sequence[int], meta: dict[str, Any]
) -> None:
    """Write a program of :mod:`torch.export`.

    It takes sides from :data:`LEAST` pixels, whatever those of its recording were.
    """
    dynamic = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    # One token would be taken for a side that never changes, also in a detector's next map ...
    seen = [4 * LEAST if axis in axes[1:] else 1 for axis in range(example.ndim)]
    example = example.new_zeros(tuple(map(max, example.shape, seen)))
    with torch.no_grad():
        program = torch.export.export(graph, (example,), dynamic_shapes=(dynamic,))
    # ... and two or more are asked for, on which nothing depends.
    for symbol, sides in program.range_constraints.items():
        if sides.lower > LEAST:
            program.range_constraints[symbol] = type(sides)(LEAST, sides.upper)
    torch.export.save(program, path, extra_files={f'{METADATA}.json': json.dumps(meta)})


def load_program(path: Path, threads: int) -> Run:
    """Run a program of :mod:`torch.export`; the threads are PyTorch's.

    Its guards ask for more than it needs, such as the memory order of maps in its recording.
    """
    return eager(torch.export.load(path).module(check_guards=False))


def eager(module: nn.Module) -> Run:
    """Run a module of PyTorch itself."""

    def run(images: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            found = module(torch.from_numpy(images))
        return [out.numpy() for out in (found if isinstance(found, tuple | list) else (found,))]

    return run


def write_openvino(
    path: Path, graph: Graph, example: Tensor, axes: Sequence[int], meta: dict[str, Any]
) -> None:
    """Write OpenVINO's two files, NAME.xml and NAME.bin, by its converter from ONNX."""
    openvino = importlib.import_module('openvino')
    with tempfile.TemporaryDirectory() as folder:
        between = Path(folder, 'model.onnx')
        write_onnx(between, graph, example, axes, meta)
        model = openvino.convert_model(between)
    model.set_rt_info(json.dumps(meta), [METADATA])
    openvino.save_model(model, path, compress_to_fp16=False)


def load_openvino(path: Path, threads: int) -> Run:
    """Run OpenVINO's files on the CPU."""
    openvino = importlib.import_module('openvino')
    options = {'INFERENCE_NUM_THREADS': threads, 'INFERENCE_PRECISION_HINT': 'f32'}
    model = openvino.compile_model(path, 'CPU', options)
    return lambda images: [np.array(out) for out in model(images).to_tuple()]


def quantise(path: Path) -> dict[str, int]:
    """Let the matrix products of an ONNX file multiply in int8, of scales found at run time.

    Products with weights are quantised, each column of weights with a scale of its own; those of
    activations alone, as in attention, and convolutions are not.

    Returns:
        How many of the operators there were, and how many of them are int8 now.
    """
    quantization = importlib.import_module('onnxruntime.quantization')
    prepare = importlib.import_module('onnxruntime.quantization.shape_inference').quant_pre_process
    onnx = importlib.import_module('onnx')
    kinds = ('MatMul', 'Gemm')
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder, 'ready.onnx')
        # Weights that the graph turns or folds are constants then.
        prepare(path, ready, skip_symbolic_shape=True)
        before = [node.op_type for node in onnx.load(ready).graph.node]
        quantization.quantize_dynamic(
            ready, path, op_types_to_quantize=list(kinds), per_channel=True
        )
    after = [node.op_type for node in onnx.load(path).graph.node]
    return dict(
        products=sum(before.count(kind) for kind in kinds), int8=after.count('MatMulInteger')
    )


FORMATS = {
    '.onnx': Format((('onnx', 'onnxruntime'), 'deploy'), write_onnx, load_onnx),
    '.pt2': Format(((), ''), write_program, load_program),
    '.xml': Format((('onnx', 'openvino'), 'deploy,openvino'), write_openvino, load_openvino),
}
