"""Runs of two processes in which a process, or what started them, is killed, stopped or misled.

Four runs lose one process three times, at any moment; in one a process is frozen, one is told to
stop. All are started by tools/launch.py, as tools/dist_train.sh does, and must end with the
weights and losses of a run that was left alone. Further, nothing may outlive a launcher that was
killed, and variables that do not fit must be refused.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from forked import REPO, Forked
from table import Outcome, judge
from tiny_runs import difference, make_tiny, read_losses

sys.path.insert(0, str(REPO / 'tools'))
import launch  # noqa: E402

EPOCHS, LENGTH = 8, 2
FROZEN = 5  # seconds that the others wait for a frozen process
OPTIONS = (
    *('--launcher', 'pytorch', '--seed', 0, '--cfg-options', f'train_cfg.max_epochs={EPOCHS}'),
    *('train_dataloader.num_workers=1', 'default_hooks.checkpoint.max_keep_ckpts=2'),
)
WRONG = (
    dict(NNODES='2'),
    dict(NNODES='0'),
    dict(NODE_RANK='1'),
    dict(NNODES='2', MASTER_ADDR='127.0.0.1', NODE_RANK='2'),
    dict(NNODES='2', MASTER_ADDR='127.0.0.1', NODE_RANK='1', PORT='9', TIMEOUT='1'),
    dict(NNODES='2', MASTER_ADDR='127.0.0.1', PORT='0', TIMEOUT='1'),
    dict(NNODES='2', MASTER_ADDR='no such machine', NODE_RANK='1', TIMEOUT='1'),
    dict(PORT='99999'),
    dict(TIMEOUT='soon'),
    dict(RESTARTS='-1'),
)


class Rank(Forked):
    """A process as ``subprocess.Popen`` would start it, without the imports."""

    newest: list[Rank] = []

    def __init__(self, command: list, env: dict[str, str], start_new_session: bool) -> None:
        super().__init__(*command[1:], env=env)
        type(self).newest = [*self.newest, self][-2:]

    def poll(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        self.kill(number)


def train(
    config: Path, work_dir: Path, disturb: Callable[[Path], None], *args: str, **env: str
) -> object:
    """Train in two processes; ``disturb`` runs beside. Gives the exit status."""
    tool = (str(REPO / 'tools/train.py'), str(config), '--work-dir', str(work_dir), *args)
    env = {'CUDA_VISIBLE_DEVICES': '', 'UNIFORMER_MM_TIMEOUT': '120', **env}
    Rank.newest = []
    thread = threading.Thread(target=disturb, args=(work_dir,), daemon=True)
    with (
        mock.patch.dict(os.environ, env),
        mock.patch.object(sys, 'argv', ['launch.py', '2', *tool, *map(str, OPTIONS)]),
        mock.patch.object(subprocess, 'Popen', Rank),
    ):
        thread.start()
        try:
            launch.main()
        except SystemExit as end:
            return end.code
    return None


def iterations(work_dir: Path) -> int:
    """The last iteration that a run has logged."""
    return max(read_losses(work_dir), default=0)


def after(work_dir: Path, count: int) -> list[Rank]:
    """Wait for an iteration; gives the processes that run then."""
    while iterations(work_dir) < count or len(Rank.newest) < 2:
        time.sleep(0.02)
    return Rank.newest


def kill_thrice(rng: random.Random) -> Callable[[Path], None]:
    """Something that kills either process three times, each time further in training."""
    moments = sorted(rng.sample(range(EPOCHS * LENGTH - 3), 3))

    def disturb(work_dir: Path) -> None:
        killed: list[Rank] = []
        for moment in moments:
            after(work_dir, moment)
            while set(Rank.newest) & set(killed):
                time.sleep(0.02)
            time.sleep(rng.random() / 2)
            killed = Rank.newest
            rng.choice(killed).kill()

    return disturb


def freeze(work_dir: Path) -> None:
    after(work_dir, 5)[1].kill(signal.SIGSTOP)


def stop(work_dir: Path) -> None:
    after(work_dir, 5)
    os.kill(os.getpid(), signal.SIGTERM)


def compare(work_dir: Path, whole: Path) -> str:
    """How a run differs from the whole one; nothing if it does not."""
    last = f'epoch_{EPOCHS}.pth'
    if not (work_dir / last).exists():
        return f'no {last}'
    found = difference(whole / last, work_dir / last)
    losses, expected = read_losses(work_dir), read_losses(whole)
    steps = [step for step in expected if losses.get(step) != expected[step]]
    return '; '.join(filter(None, [found, f'losses differ: {steps}' if steps else '']))


def kill_launcher(config: Path, work_dir: Path) -> Outcome:
    """Kill tools/launch.py itself, and look for what it leaves."""
    tool = (REPO / 'tools/train.py', config, '--work-dir', work_dir)
    env = dict(CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(REPO))
    launched = Forked(REPO / 'tools/launch.py', 2, *tool, *OPTIONS, env=env)
    while iterations(work_dir) < 3:
        time.sleep(0.02)
    launched.kill()
    killed, deadline = time.monotonic(), time.monotonic() + 60
    while (left := running(str(work_dir))) and time.monotonic() < deadline:
        time.sleep(0.2)
    detail = f'{len(left)} processes after {time.monotonic() - killed:.0f} s' if left else ''
    return Outcome('ranks', 'launcher killed', 'harm' if left else 'fine', detail)


def running(words: str) -> list[str]:
    """The processes with these words in their command."""
    commands = []
    for file in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            commands.append(file.read_text())
        except OSError:  # it has just ended
            continue
    return [command for command in commands if words in command]


def disturbed(config: Path, root: Path, rng: random.Random) -> Iterator[Outcome]:
    """Trainings that must end as one that was left alone."""
    whole = root / 'whole'
    if status := train(config, whole, lambda work_dir: None):
        yield Outcome('ranks', 'left alone', 'harm', f'status {status}')
        return
    for number in range(4):
        work_dir = root / f'killed{number}'
        status = train(config, work_dir, kill_thrice(rng))
        found = f'status {status}' if status else compare(work_dir, whole)
        yield Outcome('ranks', f'killed thrice, {number}', 'harm' if found else 'fine', found)

    status = train(config, root / 'frozen', freeze, UNIFORMER_MM_TIMEOUT=str(FROZEN))
    found = f'status {status}' if status else compare(root / 'frozen', whole)
    yield Outcome('ranks', 'a process frozen', 'harm' if found else 'fine', found)

    status = train(config, root / 'stopped', stop)
    again = train(config, root / 'stopped', lambda work_dir: None, '--resume')
    found = f'status {status}, {again}' if (status, again) != (75, 0) else ''
    found = found or compare(root / 'stopped', whole)
    yield Outcome('ranks', 'told to stop, resumed', 'harm' if found else 'fine', found)


def run(count: int | None, seed: int) -> Iterator[Outcome]:
    """Disturb runs, kill a launcher and try wrong variables; all, or ``count`` of them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        config = make_tiny(root / 'data')
        outcomes = everything(config, root, random.Random(seed))
        for _, outcome in zip(range(count or 100), outcomes, strict=False):
            yield outcome


def everything(config: Path, root: Path, rng: random.Random) -> Iterator[Outcome]:
    """All trials, one after another."""
    for variables in WRONG:
        ended = Forked(REPO / 'tools/launch.py', 2, '/no/tool.py', env=variables).wait(60)
        verdict, detail = judge(ended)
        if 'no/tool.py' in ended.stderr:
            verdict, detail = 'harm', 'accepted'
        yield Outcome('ranks', f'variables {variables}', verdict, detail)
    yield from disturbed(config, root, rng)
    yield kill_launcher(config, root / 'orphans')
