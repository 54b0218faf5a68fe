"""Pictures of classified images, where mmpretrain has a fault.

This module imports mmpretrain; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

from typing import Any

from mmengine.runner import Runner
from mmpretrain.engine import VisualizationHook

from uniformer_mm.registry import HOOKS

from .models import unwrap


@HOOKS.register_module()
class ClsVisualizationHook(VisualizationHook):
    """mmpretrain's ``VisualizationHook``, with red and blue where they belong.

    mmpretrain 1.2 hands the images to its visualizer, which expects RGB, as the pipeline made them:
    in BGR, wherever the data preprocessor turns them (``to_rgb``). Here they are turned first.

    Args:
        *args, **kwargs: Those of mmpretrain's hook.
    """

    def before_run(self, runner: Runner) -> None:
        """See in which order the channels of the images are."""
        preprocessor = unwrap(runner.model).data_preprocessor
        self._is_bgr = getattr(preprocessor, 'to_rgb', False)

    def _draw_samples(self, batch_idx: int, data_batch: dict, *args: Any, **kwargs: Any) -> None:
        if self.enable and self._is_bgr:
            data_batch = {**data_batch, 'inputs': [img.flip(0) for img in data_batch['inputs']]}
        super()._draw_samples(batch_idx, data_batch, *args, **kwargs)
