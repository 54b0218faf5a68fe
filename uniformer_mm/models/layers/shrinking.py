"""Attention blocks that work on the tokens that matter (efficient UniFormer, XXS and XS).

A class token attends with the others, and the share of its attention that a token gets is the
token's score. A block keeps the tokens of the highest scores as they are, merges the others into
one, and gives all of them what the merged one has learnt. Class token and scores are arguments and
results, so that blocks have no state.
"""

from __future__ import annotations

from contextlib import nullcontext
from fractions import Fraction
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .attention import Attention
from .blocks import GlobalBlock


class Ranking(NamedTuple):
    """What the attention blocks hand on beside their map.

    Attributes:
        cls_token: Class token, (B, 1, C).
        score: Score of every token in raster order, (B, N), or None before the first block.
    """

    cls_token: Tensor
    score: Tensor | None = None


class ClassAttention(Attention):
    """Attention that also tells how the first token, the class token, distributes its own."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map tokens (B, N, C) to tokens (B, N, C) and the first token's attention, (B, N).

        The attention is the mean over the heads, before dropout, and float32 in mixed precision:
        a rounded score ranks neighbours by chance.
        """
        q, k, v = self._heads(x)
        dtype = torch.promote_types(q.dtype, torch.float32)
        # The meta device, on which costs are counted, knows no autocast.
        with nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
            # (B, heads, 1, C/heads) @ (B, heads, C/heads, N) -> (B, heads, 1, N) -> (B, N)
            logits = (q[:, :, :1] * self.scale).to(dtype) @ k.to(dtype).transpose(-2, -1)
            attention = logits.softmax(-1).mean(1).squeeze(1)
        return self._mix(q, k, v), attention


class ShrinkingBlock(GlobalBlock):
    """Attention block that runs on a class token, the tokens of high score and one for the rest.

    The rest is merged by a mean weighted with the scores, and each of it gets the sum of what the
    two branches add to the merged token, without drop path. Gradients flow through the scores.

    Args:
        dim: Channels C.
        head_dim: Channels of one attention head.
        keep_ratio: Share of the tokens that are kept; 1 keeps all. Defaults to 0.5.
        trade_off: Share of this block's attention in the scores of the kept tokens; those of the
            others stay. Defaults to 0.5.
        **kwargs: The other arguments of :class:`GlobalBlock`.
    """

    def __init__(
        self,
        dim: int,
        head_dim: int,
        keep_ratio: float = 0.5,
        trade_off: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(dim, head_dim, attention=ClassAttention, **kwargs)
        self.keep_ratio = keep_ratio
        self.trade_off = trade_off

    def forward(
        self, x: Tensor, cls_token: Tensor, score: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Map (B, C, \\*S), a class token (B, 1, C) and scores (B, N) to the same.

        The first block gets no scores: it runs on all tokens and makes them.
        """
        x = self.pos_embed(x)
        tokens = x.flatten(2).transpose(1, 2)  # (B, C, *S) -> (B, C, N) -> (B, N, C)
        if score is None or self.keep_ratio == 1:
            sequence, attention, _ = self._update(torch.cat([cls_token, tokens], 1))
            cls_token, tokens = sequence[:, :1], sequence[:, 1:]
            score = self._blend(score, attention[:, 1:])
        else:
            kept = self.kept(score)
            rows = kept.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])  # (B, k) -> (B, k, C)
            merged = self._merge(tokens, score.scatter(1, kept, 0))
            sequence = torch.cat([cls_token, tokens.gather(1, rows), merged], 1)
            sequence, attention, added = self._update(sequence)
            cls_token = sequence[:, :1]
            tokens = (tokens + added).scatter(1, rows, sequence[:, 1:-1])
            score = score.scatter(1, kept, self._blend(score.gather(1, kept), attention[:, 1:-1]))
        return tokens.transpose(1, 2).reshape(x.shape), cls_token, score

    def kept(self, score: Tensor) -> Tensor:
        """Numbers of the tokens that are kept, highest score first: (B, N) -> (B, k)."""
        tokens = score.shape[1]
        if torch.compiler.is_exporting() or torch.jit.is_tracing():
            # Exported graphs multiply sizes by whole numbers alone. Where the product below is
            # rounded, as 0.7 x 90, this keeps one token more; at the networks' 0.5 it never is.
            share = Fraction(self.keep_ratio).limit_denominator(1000)
            count = tokens * share.numerator // share.denominator
        else:
            count = int(self.keep_ratio * tokens)
        return score.topk(count, dim=1).indices

    def _blend(self, old: Tensor | None, new: Tensor) -> Tensor:
        return new if old is None else (1 - self.trade_off) * old + self.trade_off * new

    @staticmethod
    def _merge(tokens: Tensor, weights: Tensor) -> Tensor:
        """Weighted mean of the tokens, (B, N, C) and (B, N) -> (B, 1, C)."""
        # Where attention underflows, all weights are zero.
        weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-12)
        return weights.to(tokens.dtype).unsqueeze(1) @ tokens

    def _update(self, sequence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The sequence behind both branches, the class attention, what the last token gained."""
        mixed, attention = self.attn(self.norm1(sequence))
        mixed = self._scale(mixed, self.gamma_1)
        sequence = sequence + self.drop_path(mixed)
        hidden = self._scale(self.mlp(self.norm2(sequence)), self.gamma_2)
        return sequence + self.drop_path(hidden), attention, mixed[:, -1:] + hidden[:, -1:]


def pool_score(score: Tensor, size: torch.Size) -> Tensor:
    """Scores of a map of half the height and width; the sum for each sample stays.

    Args:
        score: Scores in raster order, (B, N).
        size: Size S of the map, (H, W) or (T, H, W).

    Returns:
        (B, M) with M the number of 2 x 2 cells; the last row or column of an odd size is cut off.
    """
    # (B, N) -> (B, T or 1, H, W) -> (B, T or 1, H/2, W/2) -> (B, M)
    pooled = F.avg_pool2d(score.reshape(score.shape[0], -1, *size[-2:]), 2).flatten(1)
    return pooled * (score.sum(1, keepdim=True) / pooled.sum(1, keepdim=True))
