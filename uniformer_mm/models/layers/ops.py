"""The operators that differ between images (2) and clips (3)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def is_recording() -> bool:
    """Whether a graph is being recorded, which is to serve inputs of other sizes too."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def is_direct(x: Tensor) -> bool:
    """Whether results may go into given memory: on a CPU, where nothing is recorded or cast."""
    return x.device.type == 'cpu' and not (
        is_recording() or x.requires_grad or torch.is_autocast_enabled('cpu')
    )


# Axes counted from the front: PyTorch's older ONNX exporter writes negative ones as they are.
def channels_last(x: Tensor) -> Tensor:
    """View (B, C, \\*S) as (B, \\*S, C)."""
    return x.movedim(1, x.ndim - 1)


def channels_first(x: Tensor) -> Tensor:
    """View (B, \\*S, C) as (B, C, \\*S)."""
    return x.movedim(x.ndim - 1, 1)


class _Pointwise:
    """Makes a convolution a linear layer on the channels of every place.

    On a channels-last map that is one matrix product without a copy, faster than the
    convolution in both directions; the weight keeps the shape that official files have.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return channels_first(F.linear(channels_last(x), self.weight.flatten(1), self.bias))


class PointwiseConv2d(_Pointwise, nn.Conv2d):
    """``Conv2d`` of kernel 1 for channels-last maps."""


class PointwiseConv3d(_Pointwise, nn.Conv3d):
    """``Conv3d`` of kernel 1 for channels-last maps."""


class DepthwiseConv3d(nn.Conv3d):
    """``Conv3d`` with a group per channel, and right gradients in bfloat16.

    Where a map is smaller than the kernel, on a CPU, oneDNN's gradient of a bfloat16 weight takes
    in memory that nothing has written: it is wrong, sometimes NaN. It is right if nothing is padded
    by the convolution itself.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self._is_padded_apart(x):
            return super().forward(x)
        around = [side for side in reversed(self.padding) for _ in range(2)]  # last axis first
        x = F.pad(x, around)
        return F.conv3d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _is_padded_apart(self, x: Tensor) -> bool:
        if not self.weight.requires_grad or x.device.type != 'cpu':
            return False
        cast = torch.is_autocast_enabled('cpu')
        dtype = torch.get_autocast_dtype('cpu') if cast else x.dtype
        return dtype is torch.bfloat16 and any(
            size < side for size, side in zip(x.shape[2:], self.kernel_size, strict=True)
        )


class _AddInput:
    """Makes a shape-preserving convolution return ``x + conv(x)``.

    The residual lives in the module rather than in the block, so that folding it into
    the kernel replaces the module by a plain convolution and changes nothing else.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)

    @torch.no_grad()
    def folded(self) -> nn.Conv2d | nn.Conv3d:
        """A plain depthwise convolution equal to ``x + conv(x)``."""
        plain = OPS[self.weight.ndim - 2].depthwise_conv(
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            padding=self.padding,
            groups=self.groups,
            device=self.weight.device,
            dtype=self.weight.dtype,
        )
        plain.load_state_dict(self.state_dict())
        center = tuple(k // 2 for k in self.kernel_size)
        plain.weight[(slice(None), 0, *center)] += 1
        return plain


class ResidualConv2d(_AddInput, nn.Conv2d):
    """``x + Conv2d(x)``; state-dict keys are those of ``Conv2d``."""


class ResidualConv3d(_AddInput, DepthwiseConv3d):
    """``x + Conv3d(x)``; state-dict keys are those of ``Conv3d``."""


class Ops(NamedTuple):
    """Operators of one dimensionality."""

    conv: type[nn.Module]
    pointwise: type[nn.Module]
    depthwise_conv: type[nn.Module]
    residual_conv: type[nn.Module]
    batch_norm: type[nn.Module]


OPS = {
    2: Ops(nn.Conv2d, PointwiseConv2d, nn.Conv2d, ResidualConv2d, nn.BatchNorm2d),
    3: Ops(nn.Conv3d, PointwiseConv3d, DepthwiseConv3d, ResidualConv3d, nn.BatchNorm3d),
}


def depthwise(
    dim: int,
    kernel_size: int,
    ndim: int,
    inflated: bool = True,
    residual: bool = False,
    **kwargs: Any,
) -> nn.Module:
    """Depthwise convolution that reduces a map by its stride only.

    Args:
        dim: Channels.
        kernel_size: Rows and columns of the kernel, odd.
        ndim: Number of axes, 2 (H, W) or 3 (T, H, W).
        inflated: Let the kernel of clips span as many frames; False spans one. Defaults to True.
        residual: Add the input. Defaults to False.
        **kwargs: Other arguments of the convolution.
    """
    kernel = (kernel_size if inflated else 1,) * (ndim - 2) + (kernel_size,) * 2
    conv = OPS[ndim].residual_conv if residual else OPS[ndim].depthwise_conv
    return conv(dim, dim, kernel, padding=tuple(k // 2 for k in kernel), groups=dim, **kwargs)
