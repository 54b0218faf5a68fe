"""The two-layer feed-forward network of a block."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ops import channels_first, channels_last, is_direct

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

    def add_to(self, tokens: Tensor) -> None:
        """``tokens += self(tokens)`` in pieces, for ``fc2`` without a bias.

        Args:
            tokens: (N, C), for which :func:`.ops.is_direct` is true.
        """
        for part, hidden in self._pieces(tokens, tokens):
            part.addmm_(hidden, self.fc2.weight.flatten(1).t())

    def _infer(self, x: Tensor) -> Tensor:
        is_map = self.fc1.weight.ndim > 2  # convolutions take maps
        tokens = channels_last(x) if is_map else x
        rows = tokens.flatten(0, -2)  # (B, *S, C) -> (N, C)
        weight, bias = self.fc2.weight.flatten(1), self.fc2.bias
        # A local block has taken it: it calls add_to() unless its maps are in another memory order.
        if bias is not None and is_direct(x):
            out = rows.new_empty(len(rows), len(weight))
            for part, hidden in self._pieces(rows, out):
                torch.addmm(bias, hidden, weight.t(), out=part)
        else:
            out = F.linear(self._hidden(rows), weight, bias)
        out = out.view(tokens.shape)
        return channels_first(out) if is_map else out

    def _pieces(self, tokens: Tensor, out: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Parts of ``out``, and of the hidden layer on the tokens (N, C) there."""
        length = max(1, PIECE // len(self.fc1.weight))
        for piece, part in zip(tokens.split(length), out.split(length), strict=True):
            yield part, self._hidden(piece)

    def _hidden(self, tokens: Tensor) -> Tensor:
        return torch.ops.aten.gelu_(F.linear(tokens, self.fc1.weight.flatten(1), self.fc1.bias))
