"""A log whose first page is the run, not its preparations."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmengine.utils.dl_utils import collect_env
from torch import nn

from uniformer_mm.engine.hooks.models import unwrap


class BriefRunner(Runner):
    """mmengine's ``Runner`` that logs the environment, and one line for what takes it hundreds.

    The config is in the work dir, where its log repeats it; the order of the hooks, instead of that
    of every moment of a run; the parameter groups, instead of every parameter's.
    """

    def _log_env(self, env_cfg: dict) -> None:
        runtime = {**env_cfg, **self._randomness_cfg, 'seed': self._seed}
        runtime |= {'launcher': self._launcher, 'processes': self._world_size}
        entries = {**collect_env(), **runtime}
        lines = [f'    {key}: {value}' for key, value in entries.items() if '\n' not in str(value)]
        self.logger.info('\n'.join(['Environment:', *lines]))
        name = Path(self.cfg.filename or f'{self.timestamp}.py').name
        self.logger.info(f'The complete config is {Path(self.work_dir, name)}.')

    def get_hooks_info(self) -> str:
        """The hooks by their priority."""
        return ', '.join(type(hook).__name__ for hook in self.hooks)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """Build the optimizer; log its groups by learning rate and weight decay."""
        with _warnings_only(self.logger):
            built = super().build_optim_wrapper(optim_wrapper)
        if isinstance(built, OptimWrapper):
            groups: Counter = Counter()
            for group in built.optimizer.param_groups:
                groups[group['lr'], group.get('weight_decay', 0)] += len(group['params'])
            text = '; '.join(
                f'{count} parameters with lr {lr:g} and weight decay {decay:g}'
                for (lr, decay), count in groups.items()
            )
            self.logger.info(f'{type(built.optimizer).__name__}: {text}.')
        return built

    def _init_model_weights(self) -> None:
        model: nn.Module = unwrap(self.model)
        vars(model)['_dump_init_info'] = lambda: None  # two lines for each parameter
        super()._init_model_weights()
        del model._dump_init_info


@contextmanager
def _warnings_only(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
