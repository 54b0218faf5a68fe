"""A validation that a killed run did not finish."""

from __future__ import annotations

from pathlib import Path

from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner

from uniformer_mm.files import remove_parts, write_beside
from uniformer_mm.registry import HOOKS

from .checkpoints import SafeCheckpointHook

RECORD = 'last_validation'


@HOOKS.register_module()
class MissedValidationHook(Hook):
    """Validate first if a run is resumed where its validation is missing.

    A checkpoint is written before the validation of its epoch or iteration. If the run is killed
    in between, mmengine goes on with the next epoch: these metrics are never had, the best
    checkpoint may be missed, and after the last epoch there is none at all. The iteration that was
    validated last stands in the file ``last_validation`` of the work dir.
    """

    priority = 'LOWEST'  # after the checkpoint hook: the best one is there when it is noted

    def before_train(self, runner: Runner) -> None:
        """Make up the validation, and save its metrics and the best checkpoint."""
        if runner.rank == 0:
            remove_parts(runner.work_dir, RECORD)
        due = [runner._resume and self._is_due(runner)]
        broadcast_object_list(due)  # the file may be the first process's alone
        if not due[0]:
            if self._last(runner) > runner.iter:  # of what is trained anew from here
                self._note(runner, runner.iter)
            return
        runner.logger.info(
            f'The validation at epoch {runner.epoch}, iteration {runner.iter} is missing: it is '
            'made up now.'
        )
        runner.val_loop.run()
        for hook in runner.hooks:
            if isinstance(hook, SafeCheckpointHook):
                hook.save_between(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Note that this iteration is validated."""
        if isinstance(runner._train_loop, BaseLoop):  # in training
            self._note(runner, runner.iter)

    def _is_due(self, runner: Runner) -> bool:
        """Whether mmengine's loop would have validated here, and did not."""
        loop = runner.train_loop
        done, end = loop.iter, loop.max_iters
        if isinstance(loop, EpochBasedTrainLoop):
            if loop.iter != loop.epoch * len(loop.dataloader):  # in the middle of an epoch
                return False
            done, end = loop.epoch, loop.max_epochs
        loop._decide_current_val_interval()
        return (
            runner.val_loop is not None
            and done >= max(loop.val_begin, 1)
            and (done % loop.val_interval == 0 or done == end)
            and self._last(runner) < loop.iter
        )

    @staticmethod
    def _last(runner: Runner) -> int:
        try:
            return int(Path(runner.work_dir, RECORD).read_text())
        except (OSError, ValueError):
            return 0

    @staticmethod
    def _note(runner: Runner, iteration: int) -> None:
        if runner.rank == 0:
            with write_beside(Path(runner.work_dir, RECORD)) as part:
                part.write_text(f'{iteration}\n')
