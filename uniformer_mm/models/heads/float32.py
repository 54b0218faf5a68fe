"""A repair of MMAction2's heads.

This module imports mmaction; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

import torch
from mmaction.models import I3DHead
from torch import Tensor

from uniformer_mm.registry import MODELS


@MODELS.register_module()
class Float32I3DHead(I3DHead):
    """mmaction's ``I3DHead`` for training in bfloat16.

    With hard labels the heads of mmaction 1.2 take accuracies in NumPy, which has no bfloat16, and
    a training step ends in a TypeError. Here such logits become float32 first.
    """

    def loss_by_feat(self, cls_scores: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Losses and accuracies of logits (B, K)."""
        if cls_scores.dtype is torch.bfloat16:
            cls_scores = cls_scores.float()
        return super().loss_by_feat(cls_scores, data_samples)
