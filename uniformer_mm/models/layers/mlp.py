"""The two-layer feed-forward network of a block."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


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

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.act(self.fc1(x)))
        return self.drop(self.fc2(x))
