"""A run that is killed and resumed is the run that was not."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from forked import Forked

pytestmark = pytest.mark.slow


def test_killed_run_continues_with_the_same_losses(
    tiny_config, run_cpu, repo_root, read_losses, tmp_path
):
    """Drop path, mixup, cutmix, random crops, erasing in two workers, EMA; no seed given."""
    train = ('tools/train.py', tiny_config, '--cfg-options', 'train_cfg.max_epochs=6', '--work-dir')
    killed, whole = tmp_path / 'killed', tmp_path / 'whole'
    kill_after_epoch(2, repo_root, train, killed)
    assert len(read_losses(killed)) < 24

    resumed = run_cpu(*train, killed, '--resume')
    assert resumed.returncode == 0, resumed.stderr
    assert 'Resuming from' in resumed.stdout

    # The run without a seed drew one; the same one makes the uninterrupted twin.
    twin = run_cpu(*train, whole, '--seed', _seed_of(killed))
    assert twin.returncode == 0, twin.stderr
    expected = read_losses(whole)
    assert list(expected) == list(range(1, 25))
    assert read_losses(killed) == expected

    # Asked to end: by a scheduler, all processes within an epoch, then by the user.
    asked = tmp_path / 'asked'
    run = wait_for('(train) [2][2/4]', repo_root, (*train, asked, '--seed', _seed_of(killed)))
    os.killpg(run.pid, signal.SIGTERM)
    stopped = run.wait(300)
    assert stopped.returncode == 75, stopped.stderr
    # The signal may reach a quick run an epoch later.
    assert re.search(r'SIGTERM: the run is saved at epoch [12], iteration', stopped.stdout)
    run = wait_for('(train) [4][1/4]', repo_root, (*train, asked, '--resume'))
    run.kill(signal.SIGINT)
    stopped = run.wait(300)
    assert stopped.returncode == 130
    # A loader's worker may say after it that nobody reads its pipe any more.
    (line,) = [line for line in stopped.stderr.splitlines() if line.startswith('interrupted: ')]
    assert line.startswith(f'interrupted: go on with: {sys.executable} ')
    assert line.endswith(f' {asked} --resume --resume')
    assert run_cpu(*train, asked, '--resume').returncode == 0
    assert read_losses(asked) == expected


def wait_for(line: str, repo_root: Path, train: tuple) -> Forked:
    """Start a training and wait until its log has this."""
    run = Forked(repo_root / train[0], *train[1:], env={'CUDA_VISIBLE_DEVICES': ''})
    while line not in run.output():
        assert run.process.is_alive(), run.wait().stderr
        time.sleep(0.02)
    return run


def test_killed_video_run_continues_with_the_same_losses(run_cpu, repo_root, read_losses, tmp_path):
    """Random clips, RandAugment, crops, erasing in two workers, repeats, mixup and CutMix."""
    pytest.importorskip('mmaction')
    make_mini = pytest.importorskip('make_mini')
    data = make_mini.make('kinetics', tmp_path, counts=dict(train=8, val=2))
    options = [
        *('train_cfg.max_epochs=2', 'param_scheduler.T_max=2', 'model.backbone.init_cfg=None'),
        *('train_dataloader.batch_size=2', 'default_hooks.logger.interval=1'),
        'model.backbone.drop_path_rate=0.2',
        *(f'{split}_dataloader.dataset.data_root={data}' for split in ('train', 'val')),
    ]
    config = repo_root / 'configs/mini/uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb.py'
    train = ('tools/train.py', config, '--cfg-options', *options, '--work-dir')
    killed, whole = tmp_path / 'killed', tmp_path / 'whole'
    kill_after_epoch(1, repo_root, train, killed)
    assert len(read_losses(killed)) < 8

    for args in ((killed, '--resume'), (whole,)):
        result = run_cpu(*train, *args)
        assert result.returncode == 0, result.stderr
    expected = read_losses(whole)
    assert list(expected) == list(range(1, 9))
    assert read_losses(killed) == expected


def kill_after_epoch(epoch: int, repo_root: Path, train: tuple, work_dir: Path) -> None:
    """Start a training and kill all its processes once the checkpoint of this epoch is there."""
    run = Forked(repo_root / train[0], *train[1:], work_dir, env={'CUDA_VISIBLE_DEVICES': ''})
    marker = work_dir / 'last_checkpoint'
    while not (marker.exists() and f'epoch_{epoch}' in marker.read_text()):
        assert run.process.is_alive(), run.wait().stderr
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    assert run.wait().returncode == -signal.SIGKILL


def test_iteration_based_run_resumes_between_checkpoints(
    tiny_config, run_cpu, read_losses, tmp_path
):
    loop = (
        '--cfg-options',
        'train_cfg._delete_=True',
        'train_cfg.type=uniformer_mm.ResumableIterBasedTrainLoop',
        'train_cfg.max_iters=8',
        'train_cfg.val_interval=100',
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


def test_a_checkpoint_is_read_once(tiny_config, run_main, tmp_path, monkeypatch):
    """A look at its header leaves the tensors on the disk."""
    reads, load = [], torch.load

    def record(*args, **kwargs):
        reads.append(bool(kwargs.get('mmap')))
        return load(*args, **kwargs)

    monkeypatch.setattr(torch, 'load', record)
    args = ('tools/train.py', tiny_config, '--work-dir', tmp_path)
    options = ('--cfg-options', 'train_dataloader.num_workers=0', 'train_cfg.max_epochs=')
    assert run_main(*args, *options[:-1], f'{options[-1]}1') == 0
    assert reads == []
    assert run_main(*args, '--resume', *options[:-1], f'{options[-1]}2') == 0
    assert reads == [True, False]
