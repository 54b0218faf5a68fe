"""The two classifiers of the efficient UniFormer, for MMAction2.

This module imports mmaction; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

from typing import Any

from mmengine.model import normal_init
from torch import Tensor, nn

from uniformer_mm.arguments import COUNT, check
from uniformer_mm.registry import MODELS

from .float32 import Float32I3DHead
from .pair import map_and_token


@MODELS.register_module()
class LightHead3D(Float32I3DHead):
    """:class:`~.light.LightClsHead` for clips.

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Channels C of map and class token.
        **kwargs: The other arguments of ``I3DHead``.
    """

    def __init__(self, num_classes: int, in_channels: int, **kwargs: Any) -> None:
        check(COUNT, num_classes=num_classes, in_channels=in_channels)
        super().__init__(num_classes, in_channels, **kwargs)
        self.token_norm = nn.LayerNorm(in_channels)
        self.token_fc = nn.Linear(in_channels, num_classes)

    def init_weights(self) -> None:
        super().init_weights()
        normal_init(self.token_fc, std=self.init_std)

    def forward(self, x: tuple[Tensor, Tensor], **kwargs: Any) -> Tensor:
        """Logits (B, K) of the map (B, C, T, H, W); the class token beside it is not read."""
        feature_map, _ = map_and_token(x, type(self).__name__)
        return super().forward(feature_map)

    def loss(
        self, feats: tuple[Tensor, Tensor], data_samples: list, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Half the loss of each classifier, and the accuracies of the first."""
        _, cls_token = map_and_token(feats, type(self).__name__)
        losses = self.loss_by_feat(self(feats), data_samples)
        of_token = self.loss_by_feat(self.token_fc(self.token_norm(cls_token)), data_samples)
        loss = losses.pop('loss_cls')
        return {'loss_map': 0.5 * loss, 'loss_token': 0.5 * of_token['loss_cls'], **losses}
