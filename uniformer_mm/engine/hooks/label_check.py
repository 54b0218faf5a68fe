"""Refuse labels that a classifier's head does not have, and heads for other data."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner

from uniformer_mm.arguments import check_flags
from uniformer_mm.errors import UserError
from uniformer_mm.registry import HOOKS

from .datasets import loops_of, with_inner
from .models import unwrap


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Compare the labels of mmpretrain's and mmaction2's data sets with the classes of the head.

    A label that the head does not have stops a run with an error of the device, which names
    neither file nor label, or counts as a mistake in a test; mmaction2 trains on -1, which stands
    for a line without a label. A folder with more classes than the head has such labels.

    Lists of files name no classes. Where the labels to train on use less than half of the head, it
    is that of another data set.

    Scores of the k likeliest classes, ``topk``, need k classes.

    Args:
        allow_unused (bool): Train a head of which less than half is used, on a part of the data.
            Defaults to False.
    """

    def __init__(self, allow_unused: bool = False) -> None:
        check_flags(allow_unused=allow_unused)
        self.allow_unused = allow_unused

    def before_run(self, runner: Runner) -> None:
        """Check the data sets and evaluators of this run before weights are loaded.

        Raises:
            UserError: Names the file of the first wrong label, and the number of classes.
        """
        model = unwrap(runner.model)
        key = 'cls_head' if hasattr(model, 'cls_head') else 'head'
        num_classes = getattr(getattr(model, key, None), 'num_classes', None)
        if num_classes is None:
            return
        for split, loop in loops_of(runner):
            highest = -1
            for dataset in with_inner(loop.dataloader.dataset):
                if hasattr(dataset, 'get_gt_labels') or hasattr(dataset, 'multi_class'):
                    highest = max(highest, _check_labels(dataset, num_classes, f'model.{key}'))
            named = 'classes' in getattr(loop.dataloader.dataset, 'metainfo', {})
            unused = not named and 0 <= 2 * highest + 1 < num_classes
            if split == 'train' and unused and not self.allow_unused:
                raise UserError(
                    f'The labels to train on end at {highest}, and model.{key}.num_classes='
                    f'{num_classes}: set it, and other num_classes of the config, to the number '
                    f'of your classes, {highest + 1}. To train on a part of the classes, set '
                    'default_hooks.check_labels.allow_unused=True.'
                )
            for metric in getattr(getattr(loop, 'evaluator', None), 'metrics', ()):
                if type(metric).__name__ == 'Accuracy' and max(metric.topk) > num_classes:
                    raise UserError(
                        f'{split}_evaluator.topk={tuple(metric.topk)}, and there are {num_classes} '
                        'classes: set val_evaluator=dict(topk=(1,)) and '
                        'test_evaluator=val_evaluator.'
                    )


def _check_labels(dataset: Any, num_classes: int, head: str) -> int:
    """The highest label of a data set."""
    highest, wrong = -1, []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        labels = np.asarray(info.get('gt_label', info.get('label')))
        if labels.dtype.kind != 'i':
            continue
        highest = max(highest, *labels.ravel().tolist())
        if not ((labels >= 0) & (labels < num_classes)).all():
            names = (info.get(key) for key in ('img_path', 'filename', 'frame_dir'))
            wrong.append((labels.tolist(), next(filter(None, names), f'sample {index}')))
    if not wrong:
        return highest
    reason = ''
    if any(label == -1 for label, _ in wrong):
        delimiter = getattr(dataset, 'delimiter', ' ')
        reason = (
            ' -1 stands for a line without a label: the data set separates the columns with '
            f'delimiter={delimiter!r}.'
        )
    source = dataset.ann_file or getattr(dataset, 'img_prefix', '')
    raise UserError(
        f'{source}: {len(wrong)} of {len(dataset)} labels are not from 0 to {num_classes - 1}, as '
        f'{head}.num_classes={num_classes} asks for; the first is {wrong[0][0]} of '
        f'{wrong[0][1]}.{reason}'
    )
