"""Check the labels of videos before a run, report unreadable videos after it."""

from __future__ import annotations

import logging
from typing import Any

import mmengine.dist as dist
from mmengine.hooks import Hook
from mmengine.runner import Runner

from uniformer_mm.arguments import NATURAL, check
from uniformer_mm.errors import UserError
from uniformer_mm.registry import HOOKS

from .datasets import datasets_of
from .models import unwrap


@HOOKS.register_module()
class VideoDataHook(Hook):
    """Refuse labels that the head does not have, and count what could not be read.

    mmaction2 trains on a label of -1, which stands for a line without a label, and fails at one
    that is too large with an error of the device. Both are refused before the run. After it, the
    videos that ``ReportingVideoDataset`` and its kin skipped in any process are counted and named.

    Args:
        max_names (int): Unreadable files to name. Defaults to 10.
    """

    def __init__(self, max_names: int = 10) -> None:
        check(NATURAL, max_names=max_names)
        self.max_names = max_names

    def before_run(self, runner: Runner) -> None:
        """Check the labels of all data sets of the run.

        Raises:
            UserError: Names the list file, the first wrong label and the number of classes.
        """
        model = unwrap(runner.model)
        num_classes = getattr(getattr(model, 'cls_head', None), 'num_classes', None)
        for dataset in datasets_of(runner):
            if num_classes is not None and hasattr(dataset, 'multi_class'):
                self._check_labels(dataset, num_classes)

    @staticmethod
    def _check_labels(dataset: Any, num_classes: int) -> None:
        infos = (dataset.get_data_info(index) for index in range(len(dataset)))
        wrong = [
            info
            for info in infos
            if isinstance(info.get('label'), int) and not 0 <= info['label'] < num_classes
        ]
        if not wrong:
            return
        name = wrong[0].get('filename') or wrong[0].get('frame_dir')
        reason = ''
        if any(info['label'] == -1 for info in wrong):
            delimiter = getattr(dataset, 'delimiter', ' ')
            reason = (
                ' -1 stands for a line without a label: the data set separates the columns with '
                f'delimiter={delimiter!r}.'
            )
        raise UserError(
            f'{dataset.ann_file}: {len(wrong)} of {len(dataset)} labels are not from 0 to '
            f'{num_classes - 1}, as model.cls_head.num_classes={num_classes} asks for; the first '
            f'is {wrong[0]["label"]} of {name}.{reason}'
        )

    def after_run(self, runner: Runner) -> None:
        """Report the unreadable videos of all processes."""
        for dataset in datasets_of(runner):
            marks = getattr(dataset, 'unreadable', None)
            if marks is None or dataset.on_error != 'skip':
                continue
            marks = marks.clone()
            dist.all_reduce(marks, op='max')
            skipped = marks.nonzero().flatten().tolist()
            names = [dataset.path_of(index) for index in skipped[: self.max_names]]
            more = f' and {len(skipped) - len(names)} more' if len(skipped) > len(names) else ''
            runner.logger.log(
                logging.WARNING if skipped else logging.INFO,
                f'{dataset.ann_file}: {len(skipped)} of {len(dataset)} could not be read'
                + (f' and were skipped: {", ".join(names)}{more}.' if skipped else '.'),
            )
