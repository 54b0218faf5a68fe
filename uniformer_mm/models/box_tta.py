"""Test-time augmentation of detectors that find masks too.

This module imports mmdet; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

from mmdet.models import DetTTAModel
from mmdet.structures import DetDataSample

from uniformer_mm.registry import MODELS


@MODELS.register_module()
class BoxTTAModel(DetTTAModel):
    """mmdet's ``DetTTAModel``, which of a detector with masks merges the boxes.

    mmdet 3.3 merges no masks, and stops where it meets them. Here they are left out.

    Args:
        *args, **kwargs: Those of ``DetTTAModel``.
    """

    def merge_preds(self, data_samples_list: list[list[DetDataSample]]) -> list[DetDataSample]:
        """One prediction, of boxes alone, for each image from those of its views."""
        for sample in (sample for views in data_samples_list for sample in views):
            sample.pred_instances.pop('masks', None)
        return super().merge_preds(data_samples_list)
