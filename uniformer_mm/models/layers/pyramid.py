"""DualFormer's blocks: attention inside local windows, and to a global pyramid of few tokens.

Paper: Liang et al., "DualFormer: Local-Global Stratified Transformer for Efficient Video
Recognition", ECCV 2022, arXiv 2112.04674, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from .attention import MultiHead
from .blocks import GlobalBlock
from .folding import fold_conv_bn_pairs
from .ops import channels_first, depthwise
from .windows import pad_ends

# The coarse level of clips of 224 x 224 is cut in two steps, of which the first has this side.
FIRST_SIDE = 7


class PositionGenerator(nn.Module):
    """Positional encoding generator: a map plus a depthwise convolution of it.

    Args:
        dim: Channels.
        kernel_size: Kernel, odd.
    """

    def __init__(self, dim: int, kernel_size: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(depthwise(dim, kernel_size, ndim=3, residual=True))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, T, H, W) to (B, C, T, H, W)."""
        return self.proj(x)

    def fold(self) -> None:
        """Fold the residual into the kernel, in place."""
        self.proj[0] = self.proj[0].folded()


class PyramidAttention(MultiHead):
    """Attention of all tokens of a clip to the tokens of its pyramid.

    Each level of the pyramid is the map at a lower resolution; the levels' tokens, fine ones first,
    are normalised together. Maps that the kernels do not divide are padded with zeros at their far
    ends. Without levels, tokens attend to all tokens.

    Args:
        dim: Channels C of the tokens.
        head_dim: Channels of one head; must divide ``dim``.
        attn_drop: Dropout on the attention weights. Defaults to 0.
        proj_drop: Dropout after the output projection. Defaults to 0.
        fused: Use ``scaled_dot_product_attention``. Defaults to True.
        fine: Kernel (and stride) that makes the fine level; None builds none. Defaults to None.
        coarse: Kernel that makes the coarse level; None builds none. Convolutions take it in two
            steps, with a BatchNorm and ReLU in between. Defaults to None.
        down_sampling: ``'depthwise'``, ``'conv'`` or ``'average'``. Defaults to ``'depthwise'``.
        norm_eps: Epsilon of the LayerNorm. Defaults to 1e-5.
    """

    def __init__(
        self,
        dim: int,
        head_dim: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        fused: bool = True,
        fine: Sequence[int] | None = None,
        coarse: Sequence[int] | None = None,
        down_sampling: str = 'depthwise',
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__(dim, head_dim, attn_drop, proj_drop, fused)
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.kernels = {name: k for name, k in (('sr', fine), ('lr', coarse)) if k}
        if down_sampling == 'average':
            layer = nn.AvgPool3d
        else:
            groups = dim if down_sampling == 'depthwise' else 1
            layer = partial(_strided_conv, dim, groups)
        if fine:
            self.sr = layer(fine)
        if coarse and down_sampling == 'average':
            self.lr = layer(coarse)
        elif coarse:
            second = (coarse[0], *(max(1, side // FIRST_SIDE) for side in coarse[1:]))
            first = (1, *(side // step for side, step in zip(coarse[1:], second[1:], strict=True)))
            self.kernels['lr'] = tuple(a * b for a, b in zip(first, second, strict=True))
            self.lr = nn.Sequential(layer(first), nn.BatchNorm3d(dim), nn.ReLU(), layer(second))
        if self.kernels:
            self.norm = nn.LayerNorm(dim, norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, H, W, C) to (B, T, H, W, C)."""
        (q,) = self._split(self.q(x), 1)
        k, v = self._split(self.kv(self._pyramid(x) if self.kernels else x), 2)
        return self._mix(q, k, v).view(x.shape)

    def _pyramid(self, x: Tensor) -> Tensor:
        """Tokens of all levels, (B, M, C)."""
        # (B, T, H, W, C) -> (B, C, T, H, W) -> (B, C, t, h, w)
        levels = [
            getattr(self, name)(channels_first(pad_ends(x, kernel)))
            for name, kernel in self.kernels.items()
        ]
        # (B, C, t, h, w) -> (B, C, t h w) -> (B, t h w, C)
        return self.norm(torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1))

    def fold(self) -> None:
        """Fold the BatchNorm into the convolution before it, in place."""
        if isinstance(getattr(self, 'lr', None), nn.Sequential):
            self.lr = fold_conv_bn_pairs(self.lr)


def _strided_conv(dim: int, groups: int, kernel: Sequence[int]) -> nn.Conv3d:
    return nn.Conv3d(dim, dim, kernel, kernel, groups=groups)


class WindowBlock(GlobalBlock):
    """Block that attends inside non-overlapping windows of a clip.

    A window is cut to the size of a smaller map. Maps that it does not divide are padded with zeros
    at their far ends, and the padding is attended to.

    Args:
        dim: Channels C.
        head_dim: Channels of one attention head.
        window: Frames, height and width of the windows in tokens.
        **kwargs: Other arguments of :class:`GlobalBlock`.
    """

    def __init__(self, dim: int, head_dim: int, window: Sequence[int], **kwargs: Any) -> None:
        super().__init__(dim, head_dim, ndim=3, pos_kernel_size=0, norm_eps=1e-5, **kwargs)
        self.window = tuple(window)

    def _window(self, size: torch.Size) -> tuple[int, ...]:
        # min would settle a size that an exported graph leaves open.
        return tuple(
            torch.sym_min(side, n) if isinstance(n, torch.SymInt) else min(side, n)
            for side, n in zip(self.window, size, strict=True)
        )


class PyramidBlock(GlobalBlock):
    """Block that attends to the global pyramid of a clip.

    Args:
        dim: Channels C.
        head_dim: Channels of one attention head.
        fine: See :class:`PyramidAttention`.
        coarse: Likewise.
        down_sampling: Likewise.
        **kwargs: Other arguments of :class:`GlobalBlock`.
    """

    def __init__(
        self,
        dim: int,
        head_dim: int,
        fine: Sequence[int] | None,
        coarse: Sequence[int] | None,
        down_sampling: str,
        **kwargs: Any,
    ) -> None:
        attention = partial(PyramidAttention, fine=fine, coarse=coarse, down_sampling=down_sampling)
        fixed = dict(ndim=3, pos_kernel_size=0, norm_eps=1e-5, attention=attention)
        super().__init__(dim, head_dim, **fixed, **kwargs)

    def fold(self) -> None:
        """Fold what inference leaves constant into the neighbouring layers, in place."""
        super().fold()
        self.attn.fold()


def pyramid_kernels(
    size: Sequence[int], fine: Sequence[int] | None, coarse: Sequence[int] | None
) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """Kernels that reduce a map to the fine and the coarse level of its pyramid.

    Args:
        size: Size (T, H, W) of the map.
        fine: Size of the fine level, or None.
        coarse: Size of the coarse level, or None.

    Returns:
        Both kernels; None for a level that there is not. Where a level would hold all tokens, there
        is no pyramid, as in the original.
    """
    kernels = tuple(
        level and tuple(max(1, n // goal) for n, goal in zip(size, level, strict=True))
        for level in (fine, coarse)
    )
    complete = any(kernel is not None and prod(kernel) == 1 for kernel in kernels)
    return (None, None) if complete else kernels
