"""What the original networks gave on seeded weights, and comparison with it.

No test: tools/analysis/gpu_check.py uses it as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from seeded_weights import seeded_input, seeded_state_dict, summarise
from torch import Tensor, nn

from uniformer_mm import DualFormer, UniFormer, UniFormer3D
from uniformer_mm.checkpoints.weights import CLASSIFIER_PREFIXES

DATA = Path(__file__).resolve().parents[1] / 'data'
TOLERANCE = 1e-9
DENSE_STYLES: Mapping[str, dict[str, Any]] = {
    'small_hybrid14_128x192': dict(stage3_style='hybrid'),
    'small_hybrid14_batch2_320x464': dict(stage3_style='hybrid'),
    'small_global_224x160': dict(stage3_style='global'),
    'small_global_odd_150x203': dict(stage3_style='global'),
    'small_window32_256x320': dict(stage3_style='window', window_size=32),
}


class Golden(NamedTuple):
    """A network in float64 with seeded weights, an input, and what the original made of it."""

    model: nn.Module
    x: Tensor
    outputs: Sequence[dict]


def read_golden(name: str) -> dict:
    """A file of golden values."""
    return json.loads((DATA / f'{name}.json').read_text())


def split_head(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The backbone's entries and those of the head."""
    head = {key: value for key, value in state.items() if key.startswith(CLASSIFIER_PREFIXES)}
    return {key: value for key, value in state.items() if key not in head}, head


def golden_backbones() -> Iterator[tuple[str, Callable[[], Golden]]]:
    """Networks for images, maps of each style, and clips, each under a name, built on demand."""

    def build(network: Callable[[], nn.Module], shapes: dict, x: dict, *outputs: dict) -> Golden:
        model = network().double().eval()
        model.load_state_dict(split_head(seeded_state_dict(shapes))[0], strict=True)
        return Golden(model, seeded_input(x['shape'], x['seed']), outputs)

    golden = read_golden('imagenet')['models']['uniformer_small']
    network = partial(UniFormer, 'small', out_indices=(3,), final_norm=True)
    features = golden['outputs']['features']
    yield 'classifier', partial(build, network, golden['keys'], golden['input'], features)
    dense = read_golden('dense')
    for case in dense['cases']:
        if case['name'] in DENSE_STYLES:
            network = partial(UniFormer, 'small', **DENSE_STYLES[case['name']])
            shapes = dense['maps'][case['map']]
            x = dict(shape=case['input_shape'], seed=case['input_seed'])
            yield case['name'], partial(build, network, shapes, x, *case['outputs'])
    video = read_golden('video')
    golden, network = video['uniformer_small'], partial(UniFormer3D, 'small')
    features = golden['stages']['norm']
    yield 'clips', partial(build, network, golden['shapes'], golden['input'], features)
    golden = video['dualformer_tiny_16f']
    network = partial(DualFormer, 'tiny', clip_size=golden['input']['shape'][2:])
    yield 'DualFormer', partial(build, network, golden['shapes'], golden['input'], golden['output'])


def relative_error(output: Tensor, golden: dict) -> float:
    """The largest error of moments and samples, relative to the largest entry; infinite for NaN."""
    found = summarise(output)
    if math.isnan(found['absmax']):
        return math.inf
    # Samples are stored with 12 decimals.
    errors = [abs(a - b) - 1e-12 for a, b in zip(found['samples'], golden['samples'], strict=True)]
    errors += [abs(found[moment] - golden[moment]) for moment in ('mean', 'std', 'absmax')]
    return max(errors) / (golden['absmax'] or 1.0)


def assert_matches(output: Tensor, golden: dict, what: str) -> None:
    """Compare shape, moments and samples relative to the largest entry."""
    assert list(output.shape) == golden['shape'], what
    error = relative_error(output, golden)
    assert error <= TOLERANCE, f'{what}: {error:.1e} relative'
