"""The two classifiers of token labelling.

This module imports mmpretrain; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

from typing import Any

import torch
from mmpretrain.models import LinearClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from uniformer_mm.arguments import COUNT, check
from uniformer_mm.registry import MODELS

from ..batch_box import BatchBox


@MODELS.register_module()
class TokenLabelHead(LinearClsHead):
    """One linear classifier on the pooled map, and one on each of its tokens.

    The scores of an image are those of the first plus half of the highest that any token has for a
    class. Use it without a neck, in a ``TokenLabelClassifier``.

    Args:
        num_classes (int): Number of classes K.
        in_channels (int): Channels C of the map.
        target (dict): What makes targets out of label maps.
        loss (dict): Loss of both classifiers.
        init_cfg (dict): Initialisation. Defaults to a normal distribution with a standard deviation
            of 0.02, as in the original network.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        target: dict[str, Any] = dict(type='uniformer_mm.TokenLabelTarget'),  # noqa: B006
        loss: dict[str, Any] = dict(type='uniformer_mm.TokenLabelLoss'),  # noqa: B006
        init_cfg: dict[str, Any] | None = dict(  # noqa: B006
            type='TruncNormal', layer='Linear', std=0.02, bias=0.0
        ),
    ) -> None:
        check(COUNT, num_classes=num_classes, in_channels=in_channels)
        super().__init__(num_classes, in_channels, loss=loss, init_cfg=init_cfg)
        self.aux_fc = nn.Linear(in_channels, num_classes)
        self.target = MODELS.build(target)

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Mean over space of the last map: (B, C, H, W) -> (B, C)."""
        return feats[-1].mean((2, 3))

    def token_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Logits of each token of the last map: (B, C, H, W) -> (B, K, H, W)."""
        return self.aux_fc(feats[-1].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Scores of the images, (B, K)."""
        return super().forward(feats) + 0.5 * self.token_logits(feats).amax((2, 3))

    def loss(
        self, feats: tuple[Tensor, ...], data_samples: list[DataSample], box: BatchBox | None = None
    ) -> dict[str, Tensor]:
        """Both losses.

        Args:
            feats: Maps of the backbone, of which the last is read.
            data_samples: With ``gt_label``, and ``token_label`` and ``crop_box`` as the transforms
                of token labelling leave them.
            box: In which the batch exchanged tokens of the last map; they are given back to their
                images before they are compared with these images' labels. Defaults to None.

        Raises:
            ValueError: If the samples lack one of these.
        """
        logits = super().forward(feats)
        tokens = self.token_logits(feats)
        if box is not None:
            tokens = box.exchange(tokens)
        keys = ('token_label', 'crop_box', 'gt_label')
        if missing := [key for key in keys if key not in data_samples[0]]:
            raise ValueError(
                f'The samples have no {" and no ".join(missing)}: the pipeline needs '
                'uniformer_mm.LoadTokenLabel, uniformer_mm.TokenLabelRandomResizedCrop and '
                "PackInputs(algorithm_keys=['token_label', 'crop_box'])."
            )
        token_labels, crop_boxes, gt_labels = (
            torch.stack([sample.get(key) for sample in data_samples]).to(logits.device)
            for key in keys
        )
        size = tuple(tokens.shape[2:])
        target = self.target(token_labels, crop_boxes, gt_labels[:, 0], self.num_classes, size)
        return self.loss_module(logits, tokens.flatten(2), target, box)
