"""BatchNorm statistics that every process, evaluation and checkpoint agree on."""

from typing import Any

from mmengine.dist import all_reduce_params
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.hooks import SyncBuffersHook as StockSyncBuffersHook
from mmengine.runner import Runner
from torch import nn

from uniformer_mm.registry import HOOKS


def trained_models(runner: Runner) -> list[nn.Module]:
    """The model, and the copies of it whose weights are averaged."""
    hooks = (hook for hook in runner.hooks if isinstance(hook, EMAHook))
    return [runner.model, *(hook.ema_model.module for hook in hooks)]


@HOOKS.register_module()
class SyncBuffersHook(StockSyncBuffersHook):
    """Average the buffers of all processes before an evaluation, those of averaged weights too.

    mmengine 0.10's hook leaves out the copy of the model that an ``EMAHook`` keeps. Each process
    then evaluates averaged weights with statistics of its own, or, with ``update_buffers=False``,
    the first one saves others than were evaluated.
    """

    def before_val_epoch(self, runner: Runner) -> None:
        """Average the buffers, unless the training epoch has just done so."""
        if not self.called_in_train:
            self.average(runner)
        self.called_in_train = False

    def after_train_epoch(self, runner: Runner) -> None:
        """Average the buffers before the checkpoint of the epoch is written."""
        self.average(runner)
        self.called_in_train = True

    def average(self, runner: Runner) -> None:
        """Replace the buffers of each process by the mean of all."""
        if not self.distributed:
            return
        for model in trained_models(runner):
            all_reduce_params(model.buffers(), op='mean')


@HOOKS.register_module()
class IterSyncBuffersHook(SyncBuffersHook):
    """Average the buffers of all processes before they are saved, in iteration-based training too.

    Where an epoch means nothing, the checkpoint of an iteration is written before its evaluation,
    and would have the statistics of the first process: what was saved would not be what was
    evaluated. Here the buffers are averaged before both.
    """

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Average the buffers if a checkpoint follows."""
        if any(
            hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
            or (hook.save_last and hook.is_last_train_iter(runner))
            for hook in runner.hooks
            if isinstance(hook, CheckpointHook) and not hook.by_epoch
        ):
            self.average(runner)
