"""A run that is killed and resumed is the run that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EPOCHS = ('--cfg-options', 'train_cfg.max_epochs=6', 'train_dataloader.persistent_workers=True')


def test_killed_run_continues_with_the_same_losses(
    tiny_config, run_cpu, repo_root, read_losses, tmp_path
):
    """Drop path, mixup, cutmix, random crops, erasing in two workers, EMA; no seed given."""
    killed, whole = tmp_path / 'killed', tmp_path / 'whole'
    command = [sys.executable, repo_root / 'tools/train.py', tiny_config, '--work-dir', killed]
    env = {**os.environ, 'PYTHONPATH': str(repo_root), 'CUDA_VISIBLE_DEVICES': ''}
    with subprocess.Popen(
        [*map(str, command), *EPOCHS], env=env, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        marker = killed / 'last_checkpoint'
        deadline = time.monotonic() + 120
        while not (marker.exists() and 'epoch_2' in marker.read_text()):
            assert process.poll() is None, 'the run ended too early'
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    before = read_losses(killed)
    assert len(before) < 24

    resumed = run_cpu('tools/train.py', tiny_config, '--work-dir', killed, *EPOCHS, '--resume')
    assert resumed.returncode == 0, resumed.stderr
    assert 'Resuming from' in resumed.stdout

    # The run without a seed drew one; the same one makes the uninterrupted twin.
    seed = _seed_of(killed)
    twin = run_cpu('tools/train.py', tiny_config, '--work-dir', whole, *EPOCHS, '--seed', seed)
    assert twin.returncode == 0, twin.stderr
    expected = read_losses(whole)
    assert list(expected) == list(range(1, 25))
    assert read_losses(killed) == expected


def test_iteration_based_run_resumes_between_checkpoints(
    tiny_config, run_cpu, read_losses, tmp_path
):
    loop = (
        '--cfg-options',
        'train_cfg._delete_=True',
        'train_cfg.by_epoch=False',
        'train_cfg.max_iters=8',
        '+train_cfg.val_interval=100',
        'train_dataloader.sampler.type=InfiniteSampler',
        'default_hooks.checkpoint.by_epoch=False',
        'default_hooks.checkpoint.interval=3',
        'log_processor.by_epoch=False',
    )
    first, second = tmp_path / 'first', tmp_path / 'second'
    for work_dir, extra in ((first, ('--seed', 5)), (second, ('--resume', first / 'iter_3.pth'))):
        result = run_cpu('tools/train.py', tiny_config, '--work-dir', work_dir, *loop, *extra)
        assert result.returncode == 0, result.stderr
    expected, resumed = read_losses(first), read_losses(second)
    assert list(resumed) == [4, 5, 6, 7, 8]
    assert resumed == {step: expected[step] for step in resumed}


def _seed_of(work_dir: Path) -> int:
    log = min(work_dir.glob('*/*.log'))
    (line,) = [x for x in log.read_text().splitlines() if x.strip().startswith('seed: ')][-1:]
    return int(line.split(':')[1])
