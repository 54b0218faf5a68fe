"""Refuse labels that a classifier's head does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner

from uniformer_mm.errors import UserError
from uniformer_mm.registry import HOOKS

from .datasets import datasets_of
from .models import unwrap


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Compare the labels of mmpretrain's data sets with the classes of the head.

    A label that the head does not have stops a run with an error of the device, which names
    neither file nor label, or counts as a mistake in a test. A folder with more classes than the
    head has such labels.
    """

    def before_run(self, runner: Runner) -> None:
        """Check the data sets of this run before weights are loaded.

        Raises:
            UserError: Names the file of the first wrong label, and the number of classes.
        """
        model = unwrap(runner.model)
        num_classes = getattr(getattr(model, 'head', None), 'num_classes', None)
        if num_classes is None:
            return
        for dataset in datasets_of(runner):
            if hasattr(dataset, 'get_gt_labels'):
                self._check_labels(dataset, num_classes)

    @staticmethod
    def _check_labels(dataset: Any, num_classes: int) -> None:
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            labels = np.asarray(info.get('gt_label', 0))
            if labels.dtype.kind == 'i' and not ((labels >= 0) & (labels < num_classes)).all():
                raise UserError(
                    f'{info.get("img_path", f"sample {index}")} has the label {labels.tolist()} '
                    f'(data set: {dataset.ann_file or dataset.img_prefix}), but '
                    f'model.head.num_classes={num_classes} allows 0 to {num_classes - 1}.'
                )
