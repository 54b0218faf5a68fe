"""The two classifiers of the efficient UniFormer, for MMPretrain.

This module imports mmpretrain; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

from typing import Any

from mmpretrain.models import LinearClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from uniformer_mm.arguments import COUNT, check
from uniformer_mm.registry import MODELS

from .pair import map_and_token


@MODELS.register_module()
class LightClsHead(LinearClsHead):
    """One linear classifier on the pooled map, and one on the class token for training only.

    The second teaches the class token which tokens matter; the loss is the mean of both. Use it
    without a neck, on a backbone with ``with_cls_token=True``.

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Channels C of map and class token.
        **kwargs: The other arguments of ``LinearClsHead``.
    """

    def __init__(self, num_classes: int, in_channels: int, **kwargs: Any) -> None:
        check(COUNT, num_classes=num_classes, in_channels=in_channels)
        super().__init__(num_classes, in_channels, **kwargs)
        self.token_norm = nn.LayerNorm(in_channels)
        self.token_fc = nn.Linear(in_channels, num_classes)

    def pre_logits(self, feats: tuple[tuple[Tensor, Tensor], ...]) -> Tensor:
        """Mean over space of the last map: (B, C, H, W) -> (B, C)."""
        feature_map, _ = map_and_token(feats[-1], type(self).__name__)
        return feature_map.mean((2, 3))

    def loss(
        self,
        feats: tuple[tuple[Tensor, Tensor], ...],
        data_samples: list[DataSample],
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """Half the loss of each classifier, and the accuracy of the first if that is asked for."""
        _, cls_token = map_and_token(feats[-1], type(self).__name__)
        losses = self._get_loss(self(feats), data_samples, **kwargs)
        of_token = self._get_loss(self.token_fc(self.token_norm(cls_token)), data_samples, **kwargs)
        loss = losses.pop('loss')
        return {'loss_map': 0.5 * loss, 'loss_token': 0.5 * of_token['loss'], **losses}
