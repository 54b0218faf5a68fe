"""A file against the model that it was made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .formats import Run

# Largest difference of an output from the model's, beside one of the same size as its values.
TOLERANCE = {'fp32': 1e-4, 'fp16': 2e-2, 'int8': 2e-1}
SEED = 0


def shapes_around(size: Sequence[int], fixed: bool) -> list[tuple[int, ...]]:
    """Shapes (B, 3, \\*S) to compare at: two batches, and of a size that may change three.

    Args:
        size: (H, W), or (T, H, W), at which the file was made.
        fixed: Whether it takes no other.
    """
    *frames, height, width = size
    sizes = [(height, width)]
    if not fixed:
        sizes += [(height + 32, width), (height + 13, width + 39)]
    return [(batch, 3, *frames, *side) for side in sizes for batch in (1, 2)]


def noise(shape: Sequence[int]) -> np.ndarray:
    """An input without meaning, as pixels are distributed."""
    return np.random.default_rng(SEED).standard_normal(shape, np.float32)


def difference(
    names: Sequence[str], model: Run, file: Run, shapes: Sequence[tuple[int, ...]]
) -> dict[str, float]:
    """Largest difference of each output on noise, beyond 1 as a share of the largest value.

    Args:
        names: Of the outputs.
        model: Runs the model.
        file: Runs the file.
        shapes: Of the inputs to compare at.
    """
    largest = dict.fromkeys(names, 0.0)
    for shape in shapes:
        images = noise(shape)
        for name, one, other in zip(largest, model(images), file(images), strict=True):
            if one.shape != other.shape:
                return {**largest, name: float('inf')}
            apart = np.abs(one.astype(np.float64) - other).max(initial=0)
            largest[name] = max(largest[name], apart / max(1.0, np.abs(one).max(initial=0)))
    return largest
