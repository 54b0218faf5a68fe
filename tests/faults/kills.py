"""Runs that are killed at any moment and resumed end as the run that was not.

Thirty runs by epoch and seven by iteration are killed with SIGKILL, ten of them at a change of a
file: the opening, renaming or removal of a checkpoint, its part, a log. Eight more get the signals
with which a scheduler takes a machine away. Each is resumed; losses, weights, averaged weights and
the optimizer's state must be those of an uninterrupted run, bit for bit.
"""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from forked import REPO, Forked
from table import Outcome, judge
from tiny_runs import difference, make_tiny, read_losses

EPOCHS, LENGTH = 3, 4
ITERATIONS = 10
COMMON = (
    *('default_hooks.checkpoint.max_keep_ckpts=1', 'default_hooks.checkpoint.save_best=auto'),
    'train_dataloader.num_workers=1',
)
LOOPS = {
    'epoch': (f'train_cfg.max_epochs={EPOCHS}',),
    'iter': (
        *('train_cfg._delete_=True', 'train_cfg.type=uniformer_mm.ResumableIterBasedTrainLoop'),
        'train_cfg.val_interval=3',
        *(f'train_cfg.max_iters={ITERATIONS}', 'train_dataloader.sampler.type=InfiniteSampler'),
        *('default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=3'),
        *('log_processor.by_epoch=False', 'default_hooks.logger.log_metric_by_epoch=False'),
    ),
}
LAST = {'epoch': f'epoch_{EPOCHS}.pth', 'iter': f'iter_{ITERATIONS}.pth'}
STEPS = {'epoch': EPOCHS * LENGTH, 'iter': ITERATIONS}
PREEMPTED = 75
TIMEOUT = 300


class Trial(NamedTuple):
    """A way to interrupt a run.

    Attributes:
        loop: 'epoch' or 'iter'.
        sent: What is sent to it.
        steps: After how many iterations, or -1: at a change of a file.
        delay: Seconds after that, or the part of the changes that are let pass.
    """

    loop: str
    sent: signal.Signals
    steps: int
    delay: float

    def __str__(self) -> str:
        place = (
            f'change {self.delay:.2f}' if self.steps < 0 else f'{self.steps} + {self.delay:.2f} s'
        )
        return f'{self.sent.name} by {self.loop} at {place}'


def trials(seed: int) -> list[Trial]:
    """All ways to interrupt a run, in a random order."""
    rng = random.Random(seed)
    kinds = [('epoch', signal.SIGKILL)] * 20 + [('iter', signal.SIGKILL)] * 7
    kinds += [(loop, sent) for loop in LOOPS for sent in (signal.SIGTERM, signal.SIGUSR1)] * 2
    drawn = [
        Trial(loop, sent, rng.randrange(STEPS[loop] + 1), rng.random() / 3) for loop, sent in kinds
    ]
    drawn += [Trial('epoch', signal.SIGKILL, -1, rng.random()) for _ in range(10)]
    rng.shuffle(drawn)
    return drawn


def start(config: Path, work_dir: Path, loop: str, *args: object, fatal: int = 0) -> Forked:
    """Start a training that dies at a change of a file, or never."""
    command = (REPO / 'tools/train.py', config, '--work-dir', work_dir, '--seed', 0, *args)
    options = ('--cfg-options', *COMMON, *LOOPS[loop])
    env = dict(CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1')
    return Forked(REPO / 'tests/helpers/dies_at.py', fatal, work_dir, *command, *options, env=env)


def interrupt(run: Forked, trial: Trial) -> None:
    """Send the signal when the time has come, unless the run ends first."""
    while run.process.is_alive() and run.output().count('(train) ') < trial.steps:
        time.sleep(0.01)
    time.sleep(trial.delay)
    if run.process.is_alive():
        run.kill(trial.sent)


def judge_trial(trial: Trial, config: Path, root: Path, whole: Path, changes: int) -> Outcome:
    """Interrupt a run, resume it and compare it with the whole one."""
    work_dir = root / 'interrupted'
    shutil.rmtree(work_dir, ignore_errors=True)
    fatal = 1 + int(trial.delay * changes) if trial.steps < 0 else 0
    run = start(config, work_dir, trial.loop, fatal=fatal)
    if not fatal:
        interrupt(run, trial)
    first = run.wait(TIMEOUT)
    killed = first.returncode in (-trial.sent, PREEMPTED)
    if not killed and first.returncode:
        return Outcome('kills', str(trial), *judge(first))
    again = start(config, work_dir, trial.loop, '--resume').wait(TIMEOUT)
    if again.returncode:
        return Outcome('kills', str(trial), *judge(again))
    different = difference(whole / LAST[trial.loop], work_dir / LAST[trial.loop])
    losses, expected = read_losses(work_dir), read_losses(whole)
    steps = [step for step in losses if losses[step] != expected[step]]
    left = [part.name for part in work_dir.rglob('.part-*')]
    kept = sorted(file.name for file in work_dir.glob('*.pth'))
    wrong = {
        'weights differ': different,
        'losses differ': steps,
        'parts are left': left,
        'files differ': kept if kept != sorted(f.name for f in whole.glob('*.pth')) else '',
    }
    found = '; '.join(f'{what}: {which}' for what, which in wrong.items() if which)
    return Outcome('kills', str(trial), 'harm' if found else 'fine', found)


def run(count: int | None, seed: int) -> Iterator[Outcome]:
    """Interrupt ``count`` runs, or all 45."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        config = make_tiny(root / 'data')
        whole, changes = {}, {}
        for loop in LOOPS:
            whole[loop] = root / loop
            ended = start(config, whole[loop], loop).wait(TIMEOUT)
            if ended.returncode:
                yield Outcome('kills', f'whole run by {loop}', *judge(ended))
                return
            changes[loop] = int(ended.stdout.split()[-2])
        for trial in trials(seed)[:count]:
            loop = trial.loop
            yield judge_trial(trial, config, root, whole[loop], changes[loop])
