"""What backbones with a class token hand to their heads."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def map_and_token(features: Any, head: str) -> tuple[Tensor, Tensor]:
    """The map and the class token.

    Args:
        features: What the backbone gives.
        head: Name of the head, for the message.

    Raises:
        ValueError: If it is a map alone.
    """
    if isinstance(features, Tensor):
        raise ValueError(f'{head} needs a class token: set with_cls_token=True in the backbone')
    feature_map, cls_token = features
    return feature_map, cls_token
