"""Repairs of MMAction2's heads.

This module imports mmaction; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

import torch
from mmaction.models import I3DHead
from torch import Tensor

from uniformer_mm.registry import MODELS


@MODELS.register_module()
class Float32I3DHead(I3DHead):
    """mmaction's ``I3DHead`` for training in bfloat16, whose predictions are probabilities.

    With hard labels the heads of mmaction 1.2 take accuracies in NumPy, which has no bfloat16, and
    a training step ends in a TypeError. Here such logits become float32 first.

    With ``average_clips='score'`` those heads predict the mean logits of the clips, which
    inferencers show as probabilities. Here their softmax is predicted: the classes and their order
    are the same.
    """

    def loss_by_feat(self, cls_scores: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Losses and accuracies of logits (B, K)."""
        if cls_scores.dtype is torch.bfloat16:
            cls_scores = cls_scores.float()
        return super().loss_by_feat(cls_scores, data_samples)

    def average_clip(self, cls_scores: Tensor, num_segs: int = 1) -> Tensor:
        """Probabilities (B, K) of logits (B x num_segs, K); all logits if nothing is averaged."""
        scores = super().average_clip(cls_scores, num_segs)
        return scores.softmax(-1) if self.average_clips == 'score' else scores
