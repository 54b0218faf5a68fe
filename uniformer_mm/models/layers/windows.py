"""Cutting a channels-last map into non-overlapping windows, and back.

Pure functions for any number of spatial axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch.nn.functional as F
from torch import Tensor

from .ops import is_recording


def _counts(size: Sequence[int], multiples: Sequence[int]) -> list[int]:
    # Not -(-s // m): where ONNX divides, it rounds towards zero.
    return [(s + m - 1) // m for s, m in zip(size, multiples, strict=True)]


def pad_ends(x: Tensor, multiples: Sequence[int]) -> Tensor:
    """Zero-pad the far ends of a map (B, \\*S, C) to multiples, one entry per axis of S."""
    size = x.shape[1:-1]
    counts = _counts(size, multiples)
    pad = [n * m - s for n, m, s in zip(counts, multiples, size, strict=True)]
    if not (is_recording() or any(pad)):
        return x
    # F.pad counts from the last axis: (C, 0, 0), then (W, 0, pad), (H, 0, pad) ...
    return F.pad(x, [0, 0] + [end for p in reversed(pad) for end in (0, p)])


def window_partition(x: Tensor, window: Sequence[int]) -> Tensor:
    """Cut a map into windows, row-major, after zero-padding its far ends.

    Args:
        x: Map of shape (B, \\*S, C).
        window: Window size in tokens, one entry per axis of S.

    Returns:
        Windows of shape (B x number of windows, prod(window), C).
    """
    batch, *size, channels = x.shape
    axes = len(window)
    x = pad_ends(x, window)
    split = [n for pair in zip(_counts(size, window), window, strict=True) for n in pair]
    counts, inner = range(1, 2 * axes, 2), range(2, 2 * axes + 1, 2)
    # (B, nH, h, nW, w, C) -> (B, nH, nW, h, w, C) -> (B nH nW, h w, C)
    x = x.reshape(batch, *split, channels)
    x = x.permute(0, *counts, *inner, 2 * axes + 1)
    return x.reshape(-1, prod(window), channels)


def window_reverse(windows: Tensor, window: Sequence[int], size: Sequence[int]) -> Tensor:
    """Undo :func:`window_partition` and cut the padding off.

    Args:
        windows: Windows of shape (B x number of windows, prod(window), C).
        window: Window size in tokens, one entry per axis.
        size: The map's size S before padding.

    Returns:
        Map of shape (B, \\*S, C).
    """
    channels, axes = windows.shape[-1], len(window)
    counts = _counts(size, window)
    # (B nH nW, h w, C) -> (B, nH, nW, h, w, C) -> (B, nH, h, nW, w, C)
    x = windows.reshape(-1, *counts, *window, channels)
    order = [axis for i in range(axes) for axis in (1 + i, 1 + axes + i)]
    x = x.permute(0, *order, 2 * axes + 1)
    # -> (B, nH h, nW w, C), then without the padding
    x = x.reshape(-1, *(n * w for n, w in zip(counts, window, strict=True)), channels)
    return x[(slice(None), *(slice(s) for s in size))]
