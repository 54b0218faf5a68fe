"""COCO's objects for mmdet, with annotations that are checked as they are read.

This module imports mmdet; the registry imports it as soon as a config asks for its types.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric
from mmengine.fileio import get_local_path

from uniformer_mm.registry import DATASETS, METRICS

from .coco_check import CheckedIndex


class _CheckedCOCO(CheckedIndex, COCO):
    """mmdet's index of an annotation file that has been checked."""


@DATASETS.register_module()
class CheckedCocoDataset(CocoDataset):
    """mmdet's ``CocoDataset`` that leaves out and counts annotations of no use.

    With masks in its pipeline it leaves out those without a segmentation too.

    Args:
        *args, **kwargs: Those of ``CocoDataset``.

    Raises:
        UserError: If the annotation file as a whole cannot be used.
    """

    def load_data_list(self) -> list[dict]:
        steps = self.pipeline.transforms
        needs_masks = any(getattr(step, 'with_mask', False) for step in steps)
        self.COCOAPI = partial(_CheckedCOCO, needs_masks=needs_masks)
        return super().load_data_list()


@METRICS.register_module()
class CheckedCocoMetric(CocoMetric):
    """mmdet's ``CocoMetric`` on the annotations that :class:`CheckedCocoDataset` keeps.

    Args:
        ann_file (str, optional): The annotation file.
        *args, **kwargs: The others of ``CocoMetric``; ``sort_categories`` has no effect.
    """

    def __init__(self, ann_file: str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(None, *args, **kwargs)
        if ann_file is not None:
            with get_local_path(ann_file, backend_args=self.backend_args) as path:
                self._coco_api = _CheckedCOCO(path, needs_masks='segm' in self.metrics)
