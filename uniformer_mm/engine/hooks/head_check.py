"""Refuse a run whose data and heads have other classes or keypoints."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from uniformer_mm.errors import UserError
from uniformer_mm.registry import HOOKS

from .datasets import datasets_of, loops_of, steps_of
from .models import unwrap

# Heads whose classes are not those of the data: object or none, and regions beside the objects.
_OTHER_HEADS = ('rpn_head', 'semantic_head')
_MAX_NAMES = 8


@HOOKS.register_module()
class HeadCheckHook(Hook):
    """Compare the classes or keypoints of the data with all that is made for a number of them.

    That are the heads, auxiliary ones and each of a list too, what mixes labels
    (``data_preprocessor``, ``blending``), a teacher, and the steps of pipelines that read labels. A
    number that is left from another data set trains outputs that nothing can be, or fails far from
    its cause. A step that was given no number takes that of the data: ``LoadLabelMap``.
    """

    priority = 'HIGH'  # before the hooks that look at files and labels

    def before_run(self, runner: Runner) -> None:
        """Check the data sets and the model of this run before weights are loaded.

        Raises:
            UserError: Names every key with its number.
        """
        model = unwrap(runner.model)
        named: dict[str, tuple[Any, list[str]]] = {}
        keypoints = {}
        for split, loop in loops_of(runner):
            dataset, key = loop.dataloader.dataset, f'{split}_dataloader.dataset'
            metainfo = getattr(dataset, 'metainfo', {})
            if isinstance(classes := metainfo.get('classes'), str):
                raise UserError(
                    f'{key}: metainfo=dict(classes={classes!r}) is a text: write ({classes!r},).'
                )
            if classes is not None:
                named[key] = dataset, list(classes)
            if 'num_keypoints' in metainfo:
                keypoints[key] = metainfo['num_keypoints']
        if keypoints:
            _compare('keypoints', keypoints | keypoint_counts(model))
            return
        data = {f'{key}: {_shorten(names)}': len(names) for key, (_, names) in named.items()}
        heads = class_counts(model, runner.cfg)
        _compare('classes', data | heads | self._steps(runner, named))
        _compare_names(named)

    @staticmethod
    def _steps(runner: Runner, named: dict[str, tuple[Any, list[str]]]) -> dict[str, int]:
        """The numbers of the steps of pipelines; gives one to those that have none."""
        counts = {}
        for dataset in datasets_of(runner):
            for step in steps_of(getattr(dataset, 'pipeline', None)):
                if not hasattr(step, 'num_classes'):
                    continue
                if step.num_classes is None:
                    if not named:
                        raise UserError(
                            'The data set names no classes: give it metainfo=dict(classes=(...)), '
                            'in the order of the numbers in the label maps.'
                        )
                    step.num_classes = len(next(iter(named.values()))[1])
                counts[f'num_classes of {type(step).__name__}'] = step.num_classes
        return counts


def class_counts(model: nn.Module, cfg: dict) -> dict[str, int]:
    """For how many classes each part of a model is made, by its key in the config."""
    counts = {}
    for name, module in model.named_modules():
        leaf = ([''] + [part for part in name.split('.') if not part.isdigit()])[-1]
        if leaf == 'data_preprocessor' or ('head' in leaf and leaf not in _OTHER_HEADS):
            # mmpretrain's preprocessor stands beside the model.
            place = '' if name in cfg else 'model.'
            counts[f'{place}{name}.num_classes'] = getattr(module, 'num_classes', None)
    blending = getattr(getattr(model, 'data_preprocessor', None), 'blending', None)
    counts['model.data_preprocessor.blending.num_classes'] = getattr(blending, 'num_classes', None)
    teacher = getattr(model, 'teacher_cfg', {}).get('cls_head', {})
    counts['model.teacher.cls_head.num_classes'] = teacher.get('num_classes')
    return {key: number for key, number in counts.items() if isinstance(number, int)}


def keypoint_counts(model: nn.Module) -> dict[str, int]:
    """For how many keypoints the head of a model is made, by its key in the config."""
    head = getattr(model, 'head', None)
    # A heat map and two maps of offsets for each keypoint.
    combined = getattr(getattr(head, 'decoder', None), 'heatmap_type', None) == 'combined'
    numbers = {
        'out_channels': getattr(head, 'out_channels', None),
        'num_joints': getattr(head, 'num_joints', None),
        'num_keypoints': getattr(head, 'num_keypoints', None),
    }
    return {
        f'model.head.{key}': number // 3 if combined else number
        for key, number in numbers.items()
        if isinstance(number, int)
    }


def _shorten(names: list[str]) -> str:
    more = ', ...' if len(names) > _MAX_NAMES else ''
    return ', '.join(map(str, names[:_MAX_NAMES])) + more


def _compare(what: str, counts: dict[str, int]) -> None:
    if len({*counts.values()}) < 2:
        return
    lists = ''
    if any('.0.' in key for key in counts):
        lists = (
            ' A list of heads is written whole: '
            'bbox_head=[dict(head, num_classes=...) for head in _base_.model.roi_head.bbox_head].'
        )
    lines = [f'    {number:>4}  {key}' for key, number in counts.items()]
    raise UserError(
        f'The numbers of {what} do not agree:\n' + '\n'.join(lines) + '\n'
        f'All must be the number of {what} of the data; a variable of the config, '
        f'num_{what} = ..., writes it once.{lists}'
    )


def _compare_names(named: dict[str, tuple[Any, list[str]]]) -> None:
    (first, (reference, expected)), *others = named.items() or [('', (None, []))]
    for key, (dataset, classes) in others:
        if type(dataset) is type(reference) and classes != expected:
            only = [
                f'{name} has {_shorten(missing)}'
                for name, a, b in ((first, expected, classes), (key, classes, expected))
                if (missing := [c for c in a if c not in b])
            ]
            raise UserError(
                f'{first} and {key} have other classes, or the same in another order: '
                f'{"; ".join(only) or _shorten(classes)}. Their labels would be numbered apart.'
            )
