"""A rectangle in which the samples of a batch change places."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor


class BatchBox(NamedTuple):
    """A rectangle of maps, in which sample i of a batch gets what sample B - 1 - i has there.

    Attributes:
        top: First row.
        bottom: Row behind the last.
        left: First column.
        right: Column behind the last.
    """

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def random(cls, height: int, width: int, alpha: float = 1.0) -> BatchBox:
        """CutMix's rectangle on a map: centered anywhere, cut off at the borders.

        Args:
            height: Rows of the map.
            width: Its columns.
            alpha: The share of the map outside the uncut rectangle is Beta(alpha, alpha). Defaults
                to 1.
        """
        side = np.sqrt(1 - np.random.beta(alpha, alpha))
        edges = []
        for length in (height, width):
            center, half = np.random.randint(length), int(length * side) // 2
            edges += [max(center - half, 0), min(center + half, length)]
        return cls(*edges)

    @property
    def area(self) -> int:
        """How many places of a map it covers."""
        return (self.bottom - self.top) * (self.right - self.left)

    def shrink(self, factor: int) -> BatchBox:
        """The rectangle on a map that is smaller by a factor; edges are floored."""
        return BatchBox(*(edge // factor for edge in self))

    def exchange(self, x: Tensor) -> Tensor:
        """A copy of maps (B, ..., H, W) that have changed places in the rectangle."""
        region = (..., slice(self.top, self.bottom), slice(self.left, self.right))
        mixed = x.clone()
        mixed[region] = x[region].flip(0)
        return mixed
