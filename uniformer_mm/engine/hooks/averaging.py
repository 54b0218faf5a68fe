"""Averaged weights that short runs can use.

This module imports mmpretrain; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

from typing import Any

from mmengine.runner import Runner
from mmpretrain.engine import EMAHook

from uniformer_mm.registry import HOOKS

from .datasets import loops_of

# An average of momentum m spans 1 / m steps. The runs of the papers are 15 spans and longer.
SPANS = 10
FAR_APART = 5.0  # points


@HOOKS.register_module()
class WarmupEMAHook(EMAHook):
    """mmpretrain's ``EMAHook``, whose average warms up in a run that is too short for it.

    A momentum of 4e-5 averages over 25,000 steps: after the 1,000 steps of a small data set the
    average is still the random network that training began with, and it is what is reported, saved
    as best and tested. A run of fewer than ten such spans averages over about the last tenth of
    the steps done so far, until that is the span: step t has the momentum
    ``max(momentum, 10 / (10 + t))``. A longer run has the given momentum from its first step on.

    Where both weights are validated and the average is far behind, the log says so once.

    Args:
        momentum (float): Share of the new weights in the average. Defaults to 0.0002.
        **kwargs: The other arguments of ``EMAHook``.
    """

    def __init__(self, momentum: float = 0.0002, **kwargs: Any) -> None:
        super().__init__(momentum=momentum, **kwargs)
        self._warned = False

    def before_run(self, runner: Runner) -> None:
        """Choose the average by the length of the run."""
        plain = self.ema_cfg['type'] == 'ExponentialMovingAverage'
        loop = dict(loops_of(runner)).get('train')  # None in a test
        if plain and loop is not None and loop.max_iters * self.ema_cfg['momentum'] < SPANS:
            self.ema_cfg.update(type='MomentumAnnealingEMA', gamma=SPANS)
        super().before_run(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Validate the plain weights too, and compare."""
        super().after_val_epoch(runner, metrics)
        if self._warned or not (self.evaluate_on_ema and self.evaluate_on_origin):
            return
        for name, averaged in (metrics or {}).items():
            plain = runner.message_hub.get_scalar(f'val/{name}_origin').current()
            if plain - averaged > FAR_APART:
                self._warned = True
                runner.logger.warning(
                    f'{name} is {averaged:.1f} with the averaged weights, which are saved and '
                    f'tested, and {plain:.1f} with the plain ones: the average is far behind. '
                    'Where it stays so, give the EMAHook in custom_hooks a larger momentum, or '
                    'set custom_hooks=[].'
                )
