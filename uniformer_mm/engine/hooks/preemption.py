"""A run that the scheduler takes its machine from goes on where it was."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread, current_thread, main_thread
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce, barrier
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from uniformer_mm.errors import UserError
from uniformer_mm.registry import HOOKS

from .checkpoints import PREEMPTED, note_last_checkpoint, storage
from .sync_buffers import trained_models

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
TRY_AGAIN = os.EX_TEMPFAIL  # 75


class RestOfEpoch:
    """A data loader without the first batches, which are read and passed over.

    Reading them brings the data workers to where they were, whatever random numbers they draw.

    Args:
        loader: The loader.
        done: How many batches to pass over.
        state: The random number generators of this process after those batches.
    """

    def __init__(self, loader: DataLoader, done: int, state: dict[str, Any]) -> None:
        self.loader, self.done, self.state = loader, done, state

    def __len__(self) -> int:
        return len(self.loader) - self.done

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        for _ in range(self.done):
            next(batches)
        set_random_state(self.state)
        yield from batches

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


def random_state() -> dict[str, Any]:
    """The random number generators of this process, as numbers and tensors."""
    kind, key, *rest = np.random.get_state()
    return dict(
        python=random.getstate(),
        numpy=(kind, key.tolist(), *rest),
        torch=torch.get_rng_state(),
        cuda=torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    )


@contextmanager
def refused_unless_usable(what: str) -> Iterator[None]:
    """Turn what goes wrong with a part of a preempted run's checkpoint into a UserError."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f'The checkpoint of the preempted run has no usable {what} ({error}): resume from '
            'another one.'
        ) from error


@refused_unless_usable('random numbers')
def set_random_state(state: dict[str, Any]) -> None:
    """Set them to what :func:`random_state` gave.

    Raises:
        UserError: If it gave something else.
    """
    version, numbers, rest = state['python']
    random.setstate((version, tuple(numbers), rest))
    np.random.set_state(tuple(state['numpy']))
    torch.set_rng_state(state['torch'].cpu())
    if state['cuda'] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


@refused_unless_usable('BatchNorm statistics of each process')
def set_buffers(models: list[nn.Module], saved: list[dict[str, Tensor]]) -> None:
    """Set the buffers of models to saved ones.

    Raises:
        UserError: If they are others'.
    """
    for model, buffers in zip(models, saved, strict=True):
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Save and end the run at SIGTERM or SIGUSR1, the signals of a scheduler before it kills.

    All processes finish the running iteration, ``preempted.pth`` is written beside the checkpoints,
    and the run ends with exit status 75, which ``tools/slurm_train.sh`` requeues on. It is resumed
    like any other checkpoint, to the same losses: within an epoch, the batches that it has seen are
    read once more and passed over, and the random numbers are those of before. The next complete
    checkpoint removes the file. A validation is only cut short where the checkpoint of its epoch
    is there, and then ``MissedValidationHook`` makes it up; otherwise it is finished first.

    Data workers outlive the signals, which a scheduler sends to every process.

    Args:
        interval: In how many iterations several processes agree once whether to stop; one process
            stops at any. Defaults to 10.

    Raises:
        SystemExit: With status 75, when the checkpoint is complete.
    """

    priority = 'LOWEST'  # after all that belongs to an iteration

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self.received = 0
        self._previous: dict[int, Any] = {}
        self._pid = os.getpid()
        self._position: dict[str, Any] | None = None
        self._done = 0  # batches of this epoch that an earlier run has trained on
        # The workers of iteration-based training start before any method of a hook is called.
        os.register_at_fork(after_in_child=self._outlive_signals)

    def _outlive_signals(self) -> None:
        """Let a forked child heed SIGTERM from its parent only, which ends its workers so."""
        if self._pid != os.getppid():
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        Thread(target=_end_with_parent, args=(self._pid,), daemon=True).start()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """See where within an epoch a run was preempted."""
        self._position = checkpoint['meta'].get('preempted') if runner._resume else None

    def before_train(self, runner: Runner) -> None:
        """Listen from here on."""
        if current_thread() is main_thread():  # no other can
            self._previous = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def after_train(self, runner: Runner) -> None:
        """Leave the signals to others."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._pid = 0

    def _receive(self, number: int, frame: Any) -> None:
        self.received = number

    def before_train_epoch(self, runner: Runner) -> None:
        """Go on within the epoch: pass over the batches that the preempted run has trained on."""
        position, self._position, self._done = self._position, None, 0
        if position is None:
            return
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        loader = runner.train_loop.dataloader
        done, states = position['batches'], position['states']
        if len(states) != runner.world_size or (by_epoch and position['of'] != len(loader)):
            runner.logger.warning(
                f'The preempted run had {len(states)} processes and {position["of"]} batches in an '
                f'epoch, this one has {runner.world_size} and {len(loader)}: epoch '
                f'{runner.epoch + 1} is repeated from its beginning.'
            )
            return
        state = states[runner.rank]
        if runner.world_size > 1:
            set_buffers(trained_models(runner), state['buffers'])
        if by_epoch and done:
            runner.logger.info(
                f'The first {done} batches of epoch {runner.epoch + 1} are passed over.'
            )
            self._done = done
            runner.train_loop.dataloader = RestOfEpoch(loader, done, state['random'])

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stop here if all agree, with the state of a whole iteration."""
        batches = self._done + batch_idx + 1
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if by_epoch and batch_idx + 1 == len(runner.train_dataloader):
            return  # the epoch is complete in a moment
        # Gradients that wait for more are in no checkpoint.
        if runner.optim_wrapper.should_update() and self._agree(runner, batches):
            self._stop(runner, runner.epoch, runner.iter + 1, batches if by_epoch else 0)

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop between two epochs."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            if isinstance(runner.train_loop.dataloader, RestOfEpoch):
                runner.train_loop.dataloader = runner.train_loop.dataloader.loader
            if self._agree(runner):
                self._stop(runner, runner.epoch + 1, runner.iter)

    def before_val_epoch(self, runner: Runner) -> None:
        """See for how many batches all processes validate together."""
        common = torch.tensor(len(runner.val_dataloader))
        all_reduce(common, 'min')
        self._common = int(common)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stop in a validation if nothing but that is lost."""
        saved = _saved_iter(runner) == runner.iter and batch_idx < self._common
        if saved and self._agree(runner, batch_idx + 1):
            self._stop(runner, runner.epoch, runner.iter)

    def after_val(self, runner: Runner) -> None:
        """Stop after a validation that had to be finished."""
        if self._agree(runner):
            self._stop(runner, runner.epoch, runner.iter)

    def _agree(self, runner: Runner, count: int = 0) -> bool:
        """Whether any process has received a signal; all of them ask at the same counts."""
        if runner.world_size == 1:
            return bool(self.received)
        if count % self.interval:
            return False
        received = torch.tensor(self.received)
        all_reduce(received, 'max')
        self.received = int(received)
        return bool(self.received)

    def _stop(self, runner: Runner, epoch: int, iteration: int, batches: int = 0) -> None:
        """Save what is not saved yet, and end.

        Args:
            runner: The runner.
            epoch: How many epochs are complete.
            iteration: How many iterations are.
            batches: How many of them belong to an epoch that is not.
        """
        if batches or _saved_iter(runner) != iteration:
            # The statistics of BatchNorm are each process's own within an epoch.
            # Those of a single process are in the checkpoint.
            models = trained_models(runner) if runner.world_size > 1 else []
            buffers = [{k: v.cpu() for k, v in model.named_buffers()} for model in models]
            position = dict(
                batches=batches,
                of=len(runner.train_dataloader) + self._done,
                states=all_gather_object(dict(random=random_state(), buffers=buffers)),
            )
            meta = dict(epoch=epoch, iter=iteration, preempted=position)
            hook = _checkpoint_hook(runner)
            folder = str(hook.out_dir if hook else runner.work_dir)
            runner.save_checkpoint(
                folder, PREEMPTED, meta=meta, by_epoch=False, backend_args=storage(folder)
            )
            note_last_checkpoint(runner, f'{folder}/{PREEMPTED}')
            barrier()  # the first process that ends takes the others with it
        runner.logger.warning(
            f'{signal.Signals(self.received).name}: the run is saved at epoch {epoch}, iteration '
            f'{iteration}, and ends. Go on with the same command and --resume.'
        )
        sys.exit(TRY_AGAIN)


def _checkpoint_hook(runner: Runner) -> CheckpointHook | None:
    return next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)


def _saved_iter(runner: Runner) -> int | None:
    """How many iterations the newest checkpoint has."""
    return getattr(_checkpoint_hook(runner), 'saved_iter', None)


def _end_with_parent(parent: int) -> None:
    """End when the parent asks for it; others do not ask, but tell."""
    while True:
        received = signal.sigwaitinfo(SIGNALS)
        if received.si_signo == signal.SIGTERM and received.si_pid == parent:
            os._exit(os.EX_OK)
