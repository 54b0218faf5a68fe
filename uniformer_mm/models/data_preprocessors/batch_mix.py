"""Mixup and CutMix as in the authors' video training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from uniformer_mm.arguments import COUNT, POSITIVE, SHARE, check
from uniformer_mm.registry import MODELS

from ..batch_box import BatchBox


@MODELS.register_module()
class BatchMixFlip:
    """Mix every clip with its mirror image in the batch: sample i with sample B - 1 - i.

    One kind, mixup or CutMix, one lambda and one box serve the whole batch of a process, as in
    timm's batch mode; CutMix corrects lambda for a box that reaches over the border. mmaction2's
    ``RandomBatchAugment`` pairs by a random permutation instead. Use it as ``blending`` of
    mmaction2's ``ActionDataPreprocessor``. Label smoothing in the head gives the same targets as
    smoothing before mixing.

    Args:
        num_classes (int): Number of classes.
        mixup_alpha (float): Lambda of mixup is Beta(alpha, alpha). Defaults to 0.8.
        cutmix_alpha (float): Likewise for CutMix. Defaults to 1.0.
        cutmix_prob (float): Chance that a mixed batch is cut; otherwise it is mixup. Defaults to
            0.5.
        prob (float): Chance that a batch is mixed. Defaults to 1.0.

    Raises:
        ValueError: If an argument has an illegal value.
    """

    def __init__(
        self,
        num_classes: int,
        mixup_alpha: float = 0.8,
        cutmix_alpha: float = 1.0,
        cutmix_prob: float = 0.5,
        prob: float = 1.0,
    ) -> None:
        check(COUNT, num_classes=num_classes)
        check(POSITIVE, mixup_alpha=mixup_alpha, cutmix_alpha=cutmix_alpha)
        check(SHARE, cutmix_prob=cutmix_prob, prob=prob)
        self.num_classes = num_classes
        self.mixup_alpha = mixup_alpha
        self.cutmix_alpha = cutmix_alpha
        self.cutmix_prob = cutmix_prob
        self.prob = prob

    def __call__(self, imgs: Tensor, batch_data_samples: list[Any]) -> tuple[Tensor, list[Any]]:
        """Mix a batch.

        Args:
            imgs: Normalised clips, (B, ..., H, W).
            batch_data_samples: B ``ActionDataSample`` with one label each.

        Returns:
            The mixed clips, and the samples with soft labels, (num_classes,).
        """
        if np.random.rand() >= self.prob:
            return imgs, batch_data_samples
        labels = torch.cat([sample.gt_label for sample in batch_data_samples]).to(imgs.device)
        targets = F.one_hot(labels, self.num_classes).to(imgs.dtype)
        if np.random.rand() < self.cutmix_prob:
            box = BatchBox.random(*imgs.shape[-2:], self.cutmix_alpha)
            imgs = box.exchange(imgs)
            share = 1 - box.area / (imgs.shape[-2] * imgs.shape[-1])
        else:
            share = np.random.beta(self.mixup_alpha, self.mixup_alpha)
            imgs = share * imgs + (1 - share) * imgs.flip(0)
        targets = share * targets + (1 - share) * targets.flip(0)
        for sample, target in zip(batch_data_samples, targets, strict=True):
            sample.set_gt_label(target)
        return imgs, batch_data_samples
