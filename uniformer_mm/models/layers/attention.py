"""Multi-head self-attention over a sequence of tokens."""

from __future__ import annotations

from math import prod

import torch.nn.functional as F
from torch import Tensor, nn

from .embeddings import ChannelLayerNorm
from .ops import channels_first, channels_last, depthwise


class MultiHead(nn.Module):
    """What kinds of attention share: heads, and mixing the values.

    A subclass builds the projections, of which ``proj`` is the last.

    Args:
        dim: Channels C of the tokens.
        head_dim: Channels of one head; must divide ``dim``.
        attn_drop: Dropout on the attention weights.
        proj_drop: Dropout after the output projection.
        fused: Use ``scaled_dot_product_attention``.

    Raises:
        ValueError: If ``head_dim`` does not divide ``dim``.
    """

    proj: nn.Linear

    def __init__(
        self, dim: int, head_dim: int, attn_drop: float, proj_drop: float, fused: bool
    ) -> None:
        super().__init__()
        if dim % head_dim:
            raise ValueError(
                f'head_dim must divide the {dim} channels of its stage, got {head_dim}'
            )
        self.dim = dim
        self.head_dim = head_dim
        self.num_heads = dim // head_dim
        self.scale = head_dim**-0.5
        self.fused = fused
        self.attn_drop = nn.Dropout(attn_drop)
        self.proj_drop = nn.Dropout(proj_drop)

    def _split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        r"""Cut (B, \*S, parts x C) into ``parts`` tensors (B, heads, N, C/heads)."""
        # (B, *S, parts C) -> (B, N, parts, heads, C/heads)
        x = x.reshape(x.shape[0], prod(x.shape[1:-1]), parts, self.num_heads, self.head_dim)
        # (B, N, parts, heads, C/heads) -> parts x (B, heads, N, C/heads)
        return x.permute(2, 0, 3, 1, 4).unbind(0)

    def _mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Tokens (B, N, C) of queries, keys and values."""
        if self.fused:
            dropout = self.attn_drop.p if self.training else 0.0
            x = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=self.scale)
        else:
            weights = (q * self.scale) @ k.transpose(-2, -1)  # (B, heads, N, M)
            x = self.attn_drop(weights.softmax(dim=-1)) @ v
        # (B, heads, N, C/heads) -> (B, N, heads, C/heads) -> (B, N, C)
        x = x.transpose(1, 2).reshape(x.shape[0], q.shape[2], self.dim)
        return self.proj_drop(self.proj(x))


class Attention(MultiHead):
    """Multi-head self-attention without position bias or mask (paper, section 3.3).

    The fused and the plain form agree to rounding; the fused one never stores the
    (N, N) attention matrix.

    Args:
        dim: Channels C of the tokens.
        head_dim: Channels of one head; must divide ``dim``.
        attn_drop: Dropout on the attention weights. Defaults to 0.
        proj_drop: Dropout after the output projection. Defaults to 0.
        fused: Use ``scaled_dot_product_attention``. Defaults to True.

    Raises:
        ValueError: If ``head_dim`` does not divide ``dim``.
    """

    def __init__(
        self,
        dim: int,
        head_dim: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        fused: bool = True,
    ) -> None:
        super().__init__(dim, head_dim, attn_drop, proj_drop, fused)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        r"""Map tokens (B, \*S, C) to tokens (B, \*S, C)."""
        return self._mix(*self._heads(x)).view(x.shape)

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        r"""Queries, keys and values, (B, heads, N, C/heads), of tokens (B, \*S, C)."""
        return self._split(self.qkv(x), 3)


class PooledAttention(Attention):
    """Attention that pools its keys and values, as MViT's (arXiv 2104.11227, section 3.1).

    A strided depthwise convolution and a LayerNorm reduce height and width of the keys, and others
    those of the values; sides that the stride does not divide are rounded up. Frames are kept.

    Args:
        dim: Channels C of the tokens.
        head_dim: Channels of one head; must divide ``dim``.
        attn_drop: Dropout on the attention weights. Defaults to 0.
        proj_drop: Dropout after the output projection. Defaults to 0.
        fused: Use ``scaled_dot_product_attention``. Defaults to True.
        stride: By how much height and width are reduced. Defaults to 2.
        ndim: Number of axes, 2 (H, W) or 3 (T, H, W). Defaults to 2.
        inflated: Let the kernels of clips span as many frames as rows. Defaults to True.

    Raises:
        ValueError: If ``head_dim`` does not divide ``dim``.
    """

    def __init__(
        self,
        dim: int,
        head_dim: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        fused: bool = True,
        stride: int = 2,
        ndim: int = 2,
        inflated: bool = True,
    ) -> None:
        super().__init__(dim, head_dim, attn_drop, proj_drop, fused)
        # Neighbouring cells overlap, and the kernel tells the stride.
        kernel, strides = 2 * stride - 1, (1,) * (ndim - 2) + (stride,) * 2
        for name in ('pool_k', 'pool_v'):
            conv = depthwise(dim, kernel, ndim, inflated, stride=strides, bias=False)
            self.add_module(name, nn.Sequential(conv, ChannelLayerNorm(dim, eps=1e-6)))

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        # (B, *S, C) -> (B, C, *S) -> (B, C, *s) -> (B, *s, C)
        k = channels_last(self.pool_k(channels_first(k)))
        v = channels_last(self.pool_v(channels_first(v)))
        return tuple(self._split(tokens, 1)[0] for tokens in (q, k, v))
