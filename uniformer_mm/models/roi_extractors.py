"""Cutting regions out of feature maps, where mmdet and mmcv have a fault.

This module imports mmdet; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models import SingleRoIExtractor

from uniformer_mm.registry import MODELS


@MODELS.register_module()
class Float32RoIExtractor(SingleRoIExtractor):
    """mmdet's ``SingleRoIExtractor`` for bfloat16 features and any memory order.

    mmcv's RoIAlign has no bfloat16 kernel, and mmdet rounds the regions to the type of the
    features, which in bfloat16 means steps of 4 to 8 pixels at COCO's image size: features in
    bfloat16 are pooled in float32 here. RoIAlign also takes every map for a contiguous one and
    scrambles others without an error: the maps are made contiguous first.

    Args:
        *args, **kwargs: Those of ``SingleRoIExtractor``.
    """

    def forward(
        self,
        feats: Sequence[torch.Tensor],
        rois: torch.Tensor,
        roi_scale_factor: float | None = None,
    ) -> torch.Tensor:
        """Features of the regions, (N, C, H, W), float32 if ``feats`` are bfloat16."""
        if feats[0].dtype is torch.bfloat16:
            feats = [feature.float() for feature in feats]
        feats = tuple(feature.contiguous() for feature in feats)
        return super().forward(feats, rois, roi_scale_factor)
