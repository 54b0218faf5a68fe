"""The UniFormer blocks, for images and clips alike (paper, section 3).

A block is a position convolution, a token mixer and a feed-forward network, each
added to its input. The mixer is a depthwise convolution in the shallow stages and
self-attention in the deep ones; for clips, attention may be divided into time and space.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from .attention import Attention, PooledAttention
from .folding import absorb_batch_norm, scale_output, shift_input, take_bias
from .mlp import Mlp
from .ops import OPS, channels_first, channels_last, depthwise, is_direct
from .windows import window_partition, window_reverse


class _Block(nn.Module):
    """What all blocks share: position convolution, layer scale and drop path."""

    gammas = ('gamma_1', 'gamma_2')  # layer scales, one for each branch

    def __init__(
        self,
        dim: int,
        ndim: int,
        pos_kernel_size: int,
        inflated: bool,
        drop_path: float,
        layer_scale: float,
        gamma_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.pos_embed = (
            depthwise(dim, pos_kernel_size, ndim, inflated, residual=True)
            if pos_kernel_size
            else nn.Identity()
        )
        self.drop_path = StochasticDepth(drop_path, mode='row') if drop_path else nn.Identity()
        self._in_place = False
        for name in self.gammas:
            gamma = nn.Parameter(torch.full(gamma_shape, layer_scale)) if layer_scale else None
            self.register_parameter(name, gamma)

    def _add(self, x: Tensor, branch: Tensor, gamma: nn.Parameter | None) -> Tensor:
        branch = self.drop_path(self._scale(branch, gamma))
        return x.add_(branch) if self._in_place else x + branch

    @staticmethod
    def _scale(branch: Tensor, gamma: nn.Parameter | None) -> Tensor:
        return branch if gamma is None else gamma * branch

    def _fold(self, *last_layers: nn.Module) -> None:
        """Fold the position residual, and the layer scales into the last layers of the branches."""
        if not isinstance(self.pos_embed, nn.Identity):
            self.pos_embed = self.pos_embed.folded()
            self._in_place = True  # nobody else holds what a convolution returns
        for name, layer in zip(self.gammas, last_layers, strict=True):
            if (gamma := getattr(self, name)) is not None:
                scale_output(layer, gamma)
                setattr(self, name, None)


class LocalBlock(_Block):
    """Block whose mixer is a depthwise convolution between two pointwise ones.

    Args:
        dim: Channels C.
        ndim: Number of axes, 2 (H, W) or 3 (T, H, W). Defaults to 2.
        pos_kernel_size: Kernel of the position convolution, odd; 0 builds none.
            Defaults to 3.
        mlp_ratio: Width of the feed-forward network over C. Defaults to 4.
        kernel_size: Kernel of the mixer, odd. Defaults to 5.
        inflated: Let the kernels of clips span as many frames as rows. Defaults to True.
        drop: Dropout in the feed-forward network. Defaults to 0.
        drop_path: Rate of stochastic depth, per sample. Defaults to 0.
        layer_scale: Initial value of the branch scales; 0 builds none. Defaults to 0.
    """

    def __init__(
        self,
        dim: int,
        ndim: int = 2,
        pos_kernel_size: int = 3,
        mlp_ratio: float = 4.0,
        kernel_size: int = 5,
        inflated: bool = True,
        drop: float = 0.0,
        drop_path: float = 0.0,
        layer_scale: float = 0.0,
    ) -> None:
        gamma_shape = (1, dim) + (1,) * ndim
        super().__init__(dim, ndim, pos_kernel_size, inflated, drop_path, layer_scale, gamma_shape)
        ops = OPS[ndim]
        self.norm1 = ops.batch_norm(dim)
        self.conv1 = ops.pointwise(dim, dim)
        # The official name; it mixes tokens as attention does in the deep stages.
        self.attn = depthwise(dim, kernel_size, ndim, inflated)
        self.conv2 = ops.pointwise(dim, dim)
        self.norm2 = ops.batch_norm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), ops.pointwise, drop)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, \\*S) to (B, C, \\*S)."""
        x = self.pos_embed(x)
        hidden = self.attn(self.conv1(self.norm1(x)))
        if self._in_place and is_direct(x) and channels_last(x).is_contiguous():
            # Products are added where the sums are, (B, C, *S) -> (B, *S, C) -> (N, C).
            tokens, hidden = (channels_last(map_).flatten(0, -2) for map_ in (x, hidden))
            tokens.addmm_(hidden, self.conv2.weight.flatten(1).t())
            self.mlp.add_to(tokens)
            return x
        x = self._add(x, self.conv2(hidden), self.gamma_1)
        return self._add(x, self.mlp(self.norm2(x)), self.gamma_2)

    def fold(self) -> None:
        """Fold what inference leaves constant into the convolutions, in place."""
        self.norm1 = absorb_batch_norm(self.norm1, self.conv1)
        self.norm2 = absorb_batch_norm(self.norm2, self.mlp.fc1)
        self._fold(self.conv2, self.mlp.fc2)
        self.mlp.fold()
        if self._in_place:
            # What both branches add is there from the start: no sum needs a bias any more.
            last = take_bias(self.mlp.fc2)
            both = take_bias(self.conv2) + last
            with torch.no_grad():
                self.pos_embed.bias.add_(both)
            shift_input(self.conv1, both)
            shift_input(self.mlp.fc1, last)


class MobileBlock(_Block):
    """Local block without a feed-forward network, as in MobileNetV2 (paper, Table 10).

    The convolutions of :class:`LocalBlock` on more channels, with activations in between. The
    paper says neither where norms and activations are nor how many channels there are: three
    times those of the map meet its parameters and FLOPs.

    Args:
        dim: Channels C.
        ndim: Number of axes, 2 (H, W) or 3 (T, H, W). Defaults to 2.
        pos_kernel_size: Kernel of the position convolution, odd; 0 builds none.
            Defaults to 3.
        kernel_size: Kernel of the depthwise convolution, odd. Defaults to 5.
        inflated: Let the kernels of clips span as many frames as rows. Defaults to True.
        drop: Dropout behind the activations. Defaults to 0.
        drop_path: Rate of stochastic depth, per sample. Defaults to 0.
        layer_scale: Initial value of the branch scale; 0 builds none. Defaults to 0.
    """

    gammas = ('gamma_1',)
    expansion = 3

    def __init__(
        self,
        dim: int,
        ndim: int = 2,
        pos_kernel_size: int = 3,
        kernel_size: int = 5,
        inflated: bool = True,
        drop: float = 0.0,
        drop_path: float = 0.0,
        layer_scale: float = 0.0,
    ) -> None:
        gamma_shape = (1, dim) + (1,) * ndim
        super().__init__(dim, ndim, pos_kernel_size, inflated, drop_path, layer_scale, gamma_shape)
        ops, width = OPS[ndim], self.expansion * dim
        self.norm1 = ops.batch_norm(dim)
        self.conv1 = ops.pointwise(dim, width)
        self.attn = depthwise(width, kernel_size, ndim, inflated)
        self.conv2 = ops.pointwise(width, dim)
        self.act = nn.GELU()
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, \\*S) to (B, C, \\*S)."""
        x = self.pos_embed(x)
        hidden = self.drop(self.act(self.conv1(self.norm1(x))))
        hidden = self.drop(self.act(self.attn(hidden)))
        return self._add(x, self.conv2(hidden), self.gamma_1)

    def fold(self) -> None:
        """Fold what inference leaves constant into the convolutions, in place."""
        self.norm1 = absorb_batch_norm(self.norm1, self.conv1)
        self._fold(self.conv2)


class GlobalBlock(_Block):
    """Block whose mixer is self-attention, over the whole map or inside windows.

    Windows change no parameter: ``window_size`` may be set at any time.

    Args:
        dim: Channels C.
        head_dim: Channels of one attention head.
        ndim: Number of axes, 2 (H, W) or 3 (T, H, W). Defaults to 2.
        pos_kernel_size: Kernel of the position convolution, odd; 0 builds none.
            Defaults to 3.
        inflated: Let the kernels of clips span as many frames as rows. Defaults to True.
        mlp_ratio: Width of the feed-forward network over C. Defaults to 4.
        window_size: Side of the attention windows in tokens; 0 attends over the whole
            map. Windows of clips span all frames. Defaults to 0.
        drop: Dropout after projections. Defaults to 0.
        attn_drop: Dropout on the attention weights. Defaults to 0.
        drop_path: Rate of stochastic depth, per sample. Defaults to 0.
        layer_scale: Initial value of the branch scales; 0 builds none. Defaults to 0.
        fused_attn: See :class:`Attention`. Defaults to True.
        norm_eps: Epsilon of the LayerNorms. Defaults to 1e-6.
        attention: Builds the attention from ``dim``, ``head_dim``, ``attn_drop``, ``drop`` and
            ``fused_attn``. Defaults to :class:`Attention`.
    """

    def __init__(
        self,
        dim: int,
        head_dim: int,
        ndim: int = 2,
        pos_kernel_size: int = 3,
        inflated: bool = True,
        mlp_ratio: float = 4.0,
        window_size: int = 0,
        drop: float = 0.0,
        attn_drop: float = 0.0,
        drop_path: float = 0.0,
        layer_scale: float = 0.0,
        fused_attn: bool = True,
        norm_eps: float = 1e-6,
        attention: Callable[..., nn.Module] = Attention,
    ) -> None:
        super().__init__(dim, ndim, pos_kernel_size, inflated, drop_path, layer_scale, (dim,))
        self.window_size = window_size
        self.norm1 = nn.LayerNorm(dim, norm_eps)
        self.attn = attention(dim, head_dim, attn_drop, drop, fused_attn)
        self.norm2 = nn.LayerNorm(dim, norm_eps)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop=drop)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, \\*S) to (B, C, \\*S)."""
        x = channels_last(self.pos_embed(x))  # (B, C, *S) -> (B, *S, C)
        x = self._add(x, self._attend(self.norm1(x)), self.gamma_1)
        x = self._add(x, self.mlp(self.norm2(x)), self.gamma_2)
        return channels_first(x)  # (B, *S, C) -> (B, C, *S)

    def _window(self, size: torch.Size) -> tuple[int, ...] | None:
        """The window on a map of this size; None means the whole map."""
        side = self.window_size
        return (*size[:-2], side, side) if side else None

    def _attend(self, x: Tensor) -> Tensor:
        """Map (B, \\*S, C) to (B, \\*S, C)."""
        size = x.shape[1:-1]
        window = self._window(size)
        if window is None:
            return self.attn(x)
        # Padded tokens are attended to, not masked, as in the original code: the released dense
        # weights were trained so.
        return window_reverse(self.attn(window_partition(x, window)), window, size)

    def fold(self) -> None:
        """Fold what inference leaves constant into the neighbouring layers, in place."""
        self._fold(self.attn.proj, self.mlp.fc2)
        self.mlp.fold()


class PooledBlock(GlobalBlock):
    """Block whose attention pools its keys and values (paper, Table 10).

    Args:
        dim: Channels C.
        head_dim: Channels of one attention head.
        stride: By how much height and width of keys and values are reduced.
        ndim: Number of axes, 2 (H, W) or 3 (T, H, W). Defaults to 2.
        inflated: Let the kernels of clips span as many frames as rows. Defaults to True.
        **kwargs: The other arguments of :class:`GlobalBlock`; ``window_size`` must stay 0.
    """

    def __init__(
        self,
        dim: int,
        head_dim: int,
        stride: int,
        ndim: int = 2,
        inflated: bool = True,
        **kwargs: Any,
    ) -> None:
        attention = partial(PooledAttention, stride=stride, ndim=ndim, inflated=inflated)
        fixed = dict(ndim=ndim, inflated=inflated, attention=attention)
        super().__init__(dim, head_dim, **fixed, **kwargs)


class SplitBlock(GlobalBlock):
    """Block for clips whose attention is divided into time and space (paper, Table 11).

    Temporal attention, over the frames of one position, precedes spatial attention, over
    the positions of one frame. Its result ``a = x + t_attn(x)`` is what the spatial
    attention reads, but not what that is added to: ``x + attn(a)``, as in the original.

    Args:
        dim: Channels C.
        head_dim: Channels of one attention head, in time and in space.
        attn_drop: Dropout on the attention weights. Defaults to 0.
        drop: Dropout after projections. Defaults to 0.
        fused_attn: See :class:`Attention`. Defaults to True.
        norm_eps: Epsilon of the LayerNorms. Defaults to 1e-6.
        **kwargs: The other arguments of :class:`GlobalBlock`. ``drop_path`` drops whole
            sequences: of one position in time, of one frame in space.
    """

    def __init__(
        self,
        dim: int,
        head_dim: int,
        attn_drop: float = 0.0,
        drop: float = 0.0,
        fused_attn: bool = True,
        norm_eps: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        shared = dict(attn_drop=attn_drop, drop=drop, fused_attn=fused_attn, norm_eps=norm_eps)
        super().__init__(dim, head_dim, **shared, **kwargs)
        self.t_norm = nn.LayerNorm(dim, norm_eps)
        self.t_attn = Attention(dim, head_dim, attn_drop, drop, fused_attn)

    def init_temporal(self) -> None:
        """Give the temporal attention the original's start: its output is exactly zero."""
        nn.init.zeros_(self.t_attn.qkv.weight)
        nn.init.zeros_(self.t_attn.qkv.bias)
        nn.init.ones_(self.t_attn.proj.weight)
        nn.init.zeros_(self.t_attn.proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, T, H, W) to (B, C, T, H, W)."""
        x = channels_last(self.pos_embed(x))  # (B, C, T, H, W) -> (B, T, H, W, C)
        batch, frames, *plane, channels = size = x.shape
        in_time = x.movedim(1, 3).flatten(0, 2)  # (B, T, H, W, C) -> (B H W, T, C)
        in_time = in_time + self.drop_path(self.t_attn(self.t_norm(in_time)))
        # (B H W, T, C) -> (B, H, W, T, C) -> (B, T, H, W, C) -> (B T, H, W, C)
        in_time = in_time.reshape(batch, *plane, frames, channels)
        in_space = in_time.movedim(3, 1).flatten(0, 1)
        x = self._add(x.flatten(0, 1), self._attend(self.norm1(in_space)), self.gamma_1)
        x = x.reshape(size)  # (B T, H, W, C) -> (B, T, H, W, C)
        x = self._add(x, self.mlp(self.norm2(x)), self.gamma_2)
        return channels_first(x)  # (B, T, H, W, C) -> (B, C, T, H, W)
