"""A look at image files before a library decodes them."""

from __future__ import annotations

from functools import partial
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from uniformer_mm.registry import HOOKS

from .datasets import datasets_of


@HOOKS.register_module()
class ImageCheckHook(Hook):
    """Let the data sets of a run look at images, with ``CheckImageFile``, before they load them.

    A hook, since the pipelines themselves are the libraries' and the paper's. In iteration-based
    training mmengine's own loop has started its data workers by then, which are not reached.
    """

    def before_run(self, runner: Runner) -> None:
        """Put the look in front of the first step that loads an image."""
        from uniformer_mm.datasets import CheckImageFile  # needs mmcv, which a backbone does not

        for dataset in datasets_of(runner):
            steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
            for step in steps:
                if type(step).__name__ in ('LoadImageFromFile', 'LoadImage'):
                    step.transform = partial(_load, CheckImageFile(), step.transform)
                    break


def _load(check: Any, load: Any, results: dict) -> dict | None:
    return load(check(results))
