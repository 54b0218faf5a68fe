"""Stop a training run that has diverged."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from uniformer_mm.errors import UserError
from uniformer_mm.registry import HOOKS


class NonFiniteLossError(UserError, FloatingPointError):
    """A training run has diverged."""


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at the first loss that is infinite or not a number.

    It looks at every iteration and before the checkpoint hook does, so that broken weights are
    never saved over good ones. mmengine reads the loss of every iteration for its log anyway, so
    this costs nothing more.

    Raises:
        NonFiniteLossError: With the iteration and every part of the loss.
    """

    priority = 'HIGH'

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Check the total loss."""
        loss = (outputs or {}).get('loss')
        if loss is None or bool(torch.isfinite(loss).all()):
            return
        losses = {k: torch.as_tensor(v).detach() for k, v in outputs.items() if 'loss' in k}
        parts = ', '.join(f'{name}={value.item():g}' for name, value in losses.items())
        raise NonFiniteLossError(
            f'The loss is not finite at epoch {runner.epoch + 1}, iteration {runner.iter + 1} '
            f'({parts}). Training stopped; the checkpoints in {runner.work_dir} are from before. '
            'Usual reasons: a learning rate too high for the batch size (see --auto-scale-lr), '
            'fp16 (try --amp bf16 or --amp off), broken labels.'
        )
