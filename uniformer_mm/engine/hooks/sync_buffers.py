"""BatchNorm statistics that every process, evaluation and checkpoint agree on."""

from typing import Any

from mmengine.dist import all_reduce_params
from mmengine.hooks import CheckpointHook, SyncBuffersHook
from mmengine.runner import Runner

from uniformer_mm.registry import HOOKS


@HOOKS.register_module()
class IterSyncBuffersHook(SyncBuffersHook):
    """Average the buffers of all processes before they are saved, in iteration-based training too.

    mmengine's hook averages them before an evaluation. Where an epoch means nothing, the checkpoint
    of the same iteration has been written by then, with the statistics of the first process: what
    was saved is not what was evaluated. Here the buffers are averaged before both.
    """

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Average the buffers if a checkpoint follows."""
        if self.distributed and any(
            hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
            or (hook.save_last and hook.is_last_train_iter(runner))
            for hook in runner.hooks
            if isinstance(hook, CheckpointHook) and not hook.by_epoch
        ):
            all_reduce_params(runner.model.buffers(), op='mean')
