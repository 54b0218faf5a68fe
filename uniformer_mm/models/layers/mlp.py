"""The two-layer feed-forward network of a block."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ops import channels_first, channels_last, is_recording

# Numbers of a hidden piece: on a CPU, what stays in the cache is written and read faster than what
# comes from fresh memory.
PIECE = 2**20


class Mlp(nn.Module):
    """``fc2(GELU(fc1(x)))``, on tokens or, with 1x1 convolutions, on maps.

    Args:
        dim: Channels in and out.
        hidden_dim: Channels between the two layers.
        layer: Builds one pointwise layer from (in channels, out channels).
            Defaults to ``nn.Linear``.
        drop: Dropout after each layer. Defaults to 0.
    """

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        layer: Callable[[int, int], nn.Module] = nn.Linear,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.fc1 = layer(dim, hidden_dim)
        self.act = nn.GELU()
        self.fc2 = layer(hidden_dim, dim)
        self.drop = nn.Dropout(drop)
        self._folded = False

    def forward(self, x: Tensor) -> Tensor:
        if self._folded:
            return self._infer(x)
        x = self.drop(self.act(self.fc1(x)))
        return self.drop(self.fc2(x))

    def fold(self) -> None:
        """Compute in place from now on, and on a CPU in pieces: the same, for inference only."""
        self._folded = True

    def _infer(self, x: Tensor) -> Tensor:
        is_map = self.fc1.weight.ndim > 2  # convolutions take maps
        tokens = channels_last(x) if is_map else x
        rows = tokens.flatten(0, -2)  # (B, *S, C) -> (N, C)
        first, second = ((fc.weight.flatten(1), fc.bias) for fc in (self.fc1, self.fc2))
        pieces = [rows]
        # What writes into given memory is neither recorded nor cast.
        recorded = is_recording() or x.requires_grad or torch.is_autocast_enabled('cpu')
        if x.device.type == 'cpu' and not recorded:
            pieces = rows.split(max(1, PIECE // len(first[0])))
        if len(pieces) == 1:
            out = F.linear(torch.ops.aten.gelu_(F.linear(rows, *first)), *second)
        else:
            out = rows.new_empty(len(rows), len(second[0]))
            for piece, part in zip(pieces, out.split(len(pieces[0])), strict=True):
                hidden = torch.ops.aten.gelu_(F.linear(piece, *first))
                torch.addmm(second[1], hidden, second[0].t(), out=part)
        out = out.view(tokens.shape)
        return channels_first(out) if is_map else out
