"""Refuse annotations that do not fit the classes of a detector."""

from __future__ import annotations

import json
from typing import Any

from mmengine import fileio
from mmengine.hooks import Hook
from mmengine.runner import Runner

from uniformer_mm.errors import UserError
from uniformer_mm.registry import HOOKS

from .datasets import datasets_of


@HOOKS.register_module()
class ClassCheckHook(Hook):
    """Compare the classes of a COCO data set with the categories of its annotation file.

    mmdet's ``CocoDataset`` finds the categories by the names of its classes. It leaves out what it
    does not find, without a word: a misspelt name trains nothing. It numbers the labels in the
    order of the file, so that names in another order stand for other classes. Both are errors
    here, and so are annotations of a category that the file does not define. Categories of the
    file that the data set leaves out on purpose are logged.
    """

    def before_run(self, runner: Runner) -> None:
        """Check the data sets of this run before weights are loaded.

        Raises:
            UserError: Says what the file has and what the config expects.
        """
        for dataset in datasets_of(runner):
            if not hasattr(dataset, 'cat_img_map'):
                continue
            ignored = self._check_categories(dataset)
            if ignored:
                runner.logger.info(f'{dataset.ann_file}: not used: {", ".join(ignored)}.')

    @staticmethod
    def _check_categories(dataset: Any) -> list[str]:
        """Names of the categories that have annotations but are no class of the data set."""
        classes = list(dataset.metainfo['classes'])
        annotated = set(dataset.cat_img_map)
        is_coco = tuple(classes) == type(dataset).METAINFO['classes']
        if is_coco and len(dataset.cat_ids) == len(classes) and annotated <= set(dataset.cat_ids):
            return []  # no need to read half a gigabyte again

        text = fileio.get_text(dataset.ann_file, backend_args=dataset.backend_args)
        categories = json.loads(text)['categories']
        names = {category['id']: category['name'] for category in categories}
        if undefined := sorted(annotated - set(names)):
            raise UserError(
                f'{dataset.ann_file} has annotations of category_id {undefined}, which its '
                f'"categories" do not define: they have {sorted(names)}.'
            )
        found = [name for name in names.values() if name in classes]
        if found != classes:
            raise UserError(
                f'The classes of the config do not fit {dataset.ann_file}.\n'
                f'    config: {", ".join(classes)}\n'
                f'    file:   {", ".join(names.values())}\n'
                'Set metainfo=dict(classes=...) in every data set to names of the file, all or '
                'some, in the order of the file, and num_classes in every head to their number.'
            )
        return [name for key, name in names.items() if key in annotated and name not in classes]
