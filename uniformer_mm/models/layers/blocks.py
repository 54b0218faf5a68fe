"""The two UniFormer blocks, for images and clips alike (paper, section 3).

A block is a position convolution, a token mixer and a feed-forward network, each
added to its input. The mixer is a depthwise convolution in the shallow stages and
self-attention in the deep ones.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from .attention import Attention
from .mlp import Mlp
from .ops import OPS
from .windows import window_partition, window_reverse


class _Block(nn.Module):
    """What both blocks share: position convolution, layer scale and drop path."""

    def __init__(
        self,
        dim: int,
        ndim: int,
        drop_path: float,
        layer_scale: float,
        gamma_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.pos_embed = OPS[ndim].residual_conv(dim, dim, 3, padding=1, groups=dim)
        self.drop_path = StochasticDepth(drop_path, mode='row') if drop_path else nn.Identity()
        for name in ('gamma_1', 'gamma_2'):
            gamma = nn.Parameter(torch.full(gamma_shape, layer_scale)) if layer_scale else None
            self.register_parameter(name, gamma)

    def _add(self, x: Tensor, branch: Tensor, gamma: nn.Parameter | None) -> Tensor:
        return x + self.drop_path(branch if gamma is None else gamma * branch)


class LocalBlock(_Block):
    """Block whose mixer is a depthwise convolution between two pointwise ones.

    Args:
        dim: Channels C.
        ndim: Number of spatial axes, 2 or 3. Defaults to 2.
        mlp_ratio: Width of the feed-forward network over C. Defaults to 4.
        kernel_size: Kernel of the mixer, odd. Defaults to 5.
        drop: Dropout in the feed-forward network. Defaults to 0.
        drop_path: Rate of stochastic depth, per sample. Defaults to 0.
        layer_scale: Initial value of the branch scales; 0 builds none. Defaults to 0.
    """

    def __init__(
        self,
        dim: int,
        ndim: int = 2,
        mlp_ratio: float = 4.0,
        kernel_size: int = 5,
        drop: float = 0.0,
        drop_path: float = 0.0,
        layer_scale: float = 0.0,
    ) -> None:
        super().__init__(dim, ndim, drop_path, layer_scale, (1, dim) + (1,) * ndim)
        ops = OPS[ndim]
        pointwise = partial(ops.conv, kernel_size=1)
        self.norm1 = ops.batch_norm(dim)
        self.conv1 = pointwise(dim, dim)
        # The official name; it mixes tokens as attention does in the deep stages.
        self.attn = ops.conv(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)
        self.conv2 = pointwise(dim, dim)
        self.norm2 = ops.batch_norm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), pointwise, drop)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, \\*S) to (B, C, \\*S)."""
        x = self.pos_embed(x)
        x = self._add(x, self.conv2(self.attn(self.conv1(self.norm1(x)))), self.gamma_1)
        return self._add(x, self.mlp(self.norm2(x)), self.gamma_2)


class GlobalBlock(_Block):
    """Block whose mixer is self-attention, over the whole map or inside windows.

    Windows change no parameter: ``window_size`` may be set at any time.

    Args:
        dim: Channels C.
        head_dim: Channels of one attention head.
        ndim: Number of spatial axes, 2 or 3. Defaults to 2.
        mlp_ratio: Width of the feed-forward network over C. Defaults to 4.
        window_size: Side of the attention windows in tokens; 0 attends over the whole
            map. Defaults to 0.
        drop: Dropout after projections. Defaults to 0.
        attn_drop: Dropout on the attention weights. Defaults to 0.
        drop_path: Rate of stochastic depth, per sample. Defaults to 0.
        layer_scale: Initial value of the branch scales; 0 builds none. Defaults to 0.
        fused_attn: See :class:`Attention`. Defaults to True.
    """

    def __init__(
        self,
        dim: int,
        head_dim: int,
        ndim: int = 2,
        mlp_ratio: float = 4.0,
        window_size: int = 0,
        drop: float = 0.0,
        attn_drop: float = 0.0,
        drop_path: float = 0.0,
        layer_scale: float = 0.0,
        fused_attn: bool = True,
    ) -> None:
        super().__init__(dim, ndim, drop_path, layer_scale, (dim,))
        self.window_size = window_size
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, head_dim, attn_drop, drop, fused_attn)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop=drop)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, \\*S) to (B, C, \\*S)."""
        x = self.pos_embed(x)
        size = x.shape[2:]
        tokens = x.flatten(2).transpose(1, 2)  # (B, C, *S) -> (B, C, N) -> (B, N, C)
        tokens = self._add(tokens, self._attend(self.norm1(tokens), size), self.gamma_1)
        tokens = self._add(tokens, self.mlp(self.norm2(tokens)), self.gamma_2)
        return tokens.transpose(1, 2).unflatten(2, size)  # (B, N, C) -> (B, C, *S)

    def _attend(self, tokens: Tensor, size: torch.Size) -> Tensor:
        if not self.window_size:
            return self.attn(tokens)
        # Padded tokens are attended to, not masked, as in the original code: the released dense
        # weights were trained so.
        window = (self.window_size,) * len(size)
        windows = window_partition(tokens.unflatten(1, size), window)
        return window_reverse(self.attn(windows), window, size).flatten(1, -2)
