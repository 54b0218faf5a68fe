"""Checkpoints that are whole, hold usable weights, and take the place of old ones only then."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch import Tensor

from uniformer_mm.errors import UserError
from uniformer_mm.files import remove_parts, write_beside
from uniformer_mm.registry import HOOKS

BACKEND = 'uniformer_mm'
LAST = 'last_checkpoint'
PREEMPTED = 'preempted.pth'
# The square of a larger weight is no float32: neither its norm nor Adam's second moment exist.
MAX_WEIGHT = torch.finfo(torch.float32).max ** 0.5


class WholeFileBackend(LocalBackend):
    """mmengine's storage of files, except that a file is written beside and renamed."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file.

        Raises:
            UserError: If it cannot be written; a file of that name is as it was.
        """
        try:
            with write_beside(filepath) as part:
                part.write_bytes(obj)
        except OSError as error:
            raise UserError(
                f'{filepath} ({len(obj) / 2**20:.0f} MiB) cannot be written: {error.strerror}. The '
                'checkpoints before it are whole: make room there and go on with --resume.'
            ) from error


register_backend(BACKEND, WholeFileBackend)


def storage(folder: str) -> dict[str, str] | None:
    """``backend_args`` with which mmengine writes whole files into a folder, if it is local."""
    return None if '://' in folder else {'backend': BACKEND}


def note_last_checkpoint(runner: Runner, path: str) -> None:
    """Write the name of the newest checkpoint where mmengine looks for it."""
    if is_main_process():
        WholeFileBackend().put(path.encode(), Path(runner.work_dir, LAST))


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's checkpoints, without a moment at which one is lost.

    The arguments, the files and their names are those of ``CheckpointHook``, which removes the old
    checkpoint before it writes the new one, removes whatever path a resumed checkpoint names as
    the previous best, and saves any weights. Here

    - a file is written beside and renamed: it is whole, or it is the previous one;
    - ``max_keep_ckpts`` and ``save_best`` remove the old file when the new one is complete;
    - only files that this hook names, directly inside its own folder, are ever removed;
    - weights that are not finite, or too large to compute with, end the run instead;
    - what a killed run left half-written is removed when the next one starts.

    A folder that is no local one is written to as mmengine does.

    Raises:
        UserError: If the weights are broken, a file cannot be written, or ``save_best`` names no
            metric of the evaluation.
    """

    saved_iter: int | None = None
    """How many iterations the newest complete checkpoint of this process has."""

    def before_train(self, runner: Runner) -> None:
        """Find the folder, and what an earlier run left in it."""
        if self.file_client_args is None and self.backend_args is None:
            self.backend_args = storage(str(self.out_dir or runner.work_dir))
        # Taken out, since mmengine would remove the oldest here, folders too.
        kept = runner.message_hub.pop_info('keep_ckpt_ids', [])
        super().before_train(runner)
        if self.save_best is not None:
            self._best = {key: self._own_best(path) for key, path in self._best.items()}
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids = deque(step for step in kept if type(step) is int)
            self._note_kept(runner)
            self._remove_outdated()
        if is_main_process() and isinstance(self.file_backend, WholeFileBackend):
            for part in (
                *remove_parts(self.out_dir, '*.pth'),
                *remove_parts(runner.work_dir, LAST),
            ):
                runner.logger.info(f'Removed {part}, which a killed run left half-written.')
        if runner._resume:
            self.saved_iter = runner.iter

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Look at the weights, the averaged ones too.

        Raises:
            UserError: Names the first broken entries.
        """
        states = {key: checkpoint.get(key) or {} for key in ('state_dict', 'ema_state_dict')}
        broken = [
            f'{name} ({value})'
            for state in states.values()
            for name, tensor in state.items()
            if (value := _largest(tensor)) is not None and not value <= MAX_WEIGHT
        ]
        if broken:
            more = f' and {len(broken) - 3} more' if len(broken) > 3 else ''
            raise UserError(
                'The weights are not finite, or too large to compute with, after iteration '
                f'{checkpoint["meta"]["iter"]}: {", ".join(broken[:3])}{more}. '
                f'They are not saved; the checkpoints in {self.out_dir} are from before. Usual '
                'reasons: a learning rate too high for the batch size (see --auto-scale-lr), no '
                'optim_wrapper.clip_grad, broken labels.'
            )

    def save_between(self, runner: Runner) -> None:
        """Save the state between two epochs or iterations, under the name of the one before."""
        step = runner.epoch if self.by_epoch else runner.iter
        self._save_checkpoint_with_step(runner, step, dict(epoch=runner.epoch, iter=runner.iter))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Save, then note the name, then remove what is outdated."""
        if self.max_keep_ckpts > 0:
            if step not in self.keep_ckpt_ids:
                self.keep_ckpt_ids.append(step)
            # The oldest is still listed, so that a resumed run removes it if this one is killed.
            self._note_kept(runner)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        note_last_checkpoint(runner, self.last_ckpt)
        self.saved_iter = meta['iter']
        self._remove(PREEMPTED)
        if self.max_keep_ckpts > 0:
            self._remove_outdated()

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Save, then remove the previous best."""
        if not self.save_best:
            return
        missing = [key for key in self.key_indicators if key not in (*metrics, 'auto')]
        if missing:
            raise UserError(
                f'default_hooks.checkpoint.save_best names {", ".join(missing)}, which the '
                f'evaluation does not give: it gives {", ".join(metrics)}.'
            )
        previous = self._best
        self._best = dict.fromkeys(previous)  # mmengine removes them before it saves
        super()._save_best_checkpoint(runner, metrics)
        old_and_new = list(zip(previous.values(), self._best.values(), strict=True))
        self._best = dict(zip(self._best, (new or old for old, new in old_and_new), strict=True))
        for old, new in old_and_new:
            if old and new and old != new:
                self._remove(Path(old).name)
                runner.logger.info(f'The previous best checkpoint {old} is removed')

    @property
    def _best(self) -> dict[str, str | None]:
        """The best checkpoint of every metric."""
        if len(self.key_indicators) == 1:
            return {self.key_indicators[0]: self.best_ckpt_path}
        return dict(self.best_ckpt_path_dict)

    @_best.setter
    def _best(self, paths: dict[str, str | None]) -> None:
        if len(self.key_indicators) == 1:
            (self.best_ckpt_path,) = paths.values()
        else:
            self.best_ckpt_path_dict = paths

    def _own_best(self, path: Any) -> str | None:
        """The best checkpoint that a resumed one names, if it lies in this folder."""
        name = Path(str(path)).name
        own = self.file_backend.join_path(self.out_dir, name)
        return own if name.startswith('best_') and self.file_backend.isfile(own) else None

    def _note_kept(self, runner: Runner) -> None:
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))

    def _remove_outdated(self) -> None:
        while len(self.keep_ckpt_ids) > self.max_keep_ckpts:
            self._remove(self.filename_tmpl.format(self.keep_ckpt_ids.popleft()))

    def _remove(self, name: str) -> None:
        """Remove a file of this hook's folder, if it is there."""
        path = self.file_backend.join_path(self.out_dir, name)
        if is_main_process() and self.file_backend.isfile(path):
            self.file_backend.remove(path)


def _largest(tensor: Any) -> float | None:
    """The largest magnitude in a floating-point tensor; NaN if that is among them."""
    if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.numel():
        return tensor.abs().max().item()
    return None
