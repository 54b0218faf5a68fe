"""Layers of mmseg's heads that exporters cannot follow to other sizes, written so that they can."""

from __future__ import annotations

import importlib

import torch
from torch import Tensor, nn


class PooledMeans(nn.Module):
    """``AdaptiveAvgPool2d`` of any output size as two matrix products.

    ONNX has such a pooling for sizes that divide that of the input alone.

    Args:
        size: Rows and columns of the output.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Means of overlapping parts: (B, C, H, W) to (B, C, \\*size)."""
        rows, columns = (
            part_means(x, axis, parts) for axis, parts in zip((2, 3), self.size, strict=True)
        )
        return rows @ x @ columns.transpose(0, 1)


def part_means(x: Tensor, axis: int, parts: int) -> Tensor:
    """The matrix (parts, length) that averages the parts of an axis."""
    length = x.shape[axis]
    places = torch.arange(length, device=x.device)
    numbers = torch.arange(parts, device=x.device)[:, None]
    first, end = numbers * length // parts, ((numbers + 1) * length + parts - 1) // parts
    inside = ((places >= first) & (places < end)).to(x.dtype)
    return inside / (end - first).to(x.dtype)


def make_resizable(model: nn.Module) -> None:
    """Replace layers of a model by equal ones that exporters follow to other sizes.

    mmseg's ``Upsample`` rounds the size it makes to a Python number, which becomes a constant.
    """
    upsample = importlib.import_module('mmseg.models.utils').Upsample
    for name, module in [*model.named_modules()]:
        new = None
        if isinstance(module, upsample) and float(module.scale_factor or 0.5).is_integer():
            new = nn.Upsample(None, module.scale_factor, module.mode, module.align_corners)
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            size = module.output_size
            new = PooledMeans((size, size) if isinstance(size, int) else size)
        if new is not None:
            model.set_submodule(name, new)
