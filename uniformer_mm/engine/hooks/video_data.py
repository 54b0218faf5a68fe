"""Report unreadable videos after a run."""

from __future__ import annotations

import logging

import mmengine.dist as dist
from mmengine.hooks import Hook
from mmengine.runner import Runner

from uniformer_mm.arguments import NATURAL, check
from uniformer_mm.registry import HOOKS

from .datasets import datasets_of


@HOOKS.register_module()
class VideoDataHook(Hook):
    """Count and name the videos that ``ReportingVideoDataset`` and its kin skipped.

    Those of all processes count.

    Args:
        max_names (int): Unreadable files to name. Defaults to 10.
    """

    def __init__(self, max_names: int = 10) -> None:
        check(NATURAL, max_names=max_names)
        self.max_names = max_names

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
