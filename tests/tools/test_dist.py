"""Two processes train as one does."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import make_mini
import pytest
import torch
from forked import run_forked, run_ranks
from small_runs import build
from tiny_runs import difference

from uniformer_mm.checkpoints import load_weights_only

DISTRIBUTED = """
_base_ = [{base!r}]
custom_imports = dict(imports=['uniformer_mm', 'loss_recorder'], allow_failed_imports=False)
# BatchNorm sees other batches in two processes, and random numbers differ by process.
model = dict(backbone=dict(norm_eval=True, drop_path_rate=0.0), train_cfg=None)
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')])
)
custom_hooks = [dict(type='LossRecorder')]
"""

# UniFormer-B, which a base shards; no BatchNorm statistics, no random numbers.
SHARDED = """
_base_ = [{base!r}, {sharded!r}]
custom_imports = dict(imports=['uniformer_mm', 'loss_recorder'], allow_failed_imports=False)
backbone = dict(
    _delete_=True, type='uniformer_mm.{backbone}', arch='base', norm_eval=True, {options}
)
custom_hooks = [dict(type='LossRecorder')]
"""
IMAGES = """
model = dict(backbone=backbone, head=dict(in_channels=512), train_cfg=None)
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')])
)
"""
VIDEOS = """
model = dict(
    backbone=backbone, cls_head=dict(in_channels=512), data_preprocessor=dict(blending=None)
)
clips = _base_.val_pipeline
clips[1].clip_len = 8  # of 32 frames it has the same weights
train_dataloader = dict(dataset=dict(pipeline=clips))
"""

PREEMPTED = """
_base_ = [{base!r}]
custom_imports = dict(imports=['uniformer_mm', 'signal_at'], allow_failed_imports=False)
train_dataloader = dict(batch_size=2, num_workers=1)
default_hooks = dict(
    signal=dict(type='SignalAt', step=4, rank=1), preemption=dict(interval=3)
)
"""

RECORDED = """
_base_ = [{base!r}]
custom_imports = dict(imports=['uniformer_mm', 'buffer_recorder'], allow_failed_imports=False)
default_hooks = dict(recorder=dict(type='BufferRecorder', priority='HIGH'))
"""


ENDS = """
import sys, torch, torch.distributed as dist
from pathlib import Path
from torch.nn.parallel import DistributedDataParallel
from uniformer_mm.cli import run_tool

def threads():
    return [p.joinpath('comm').read_text() for p in Path('/proc/self/task').iterdir()]

def main():
    dist.init_process_group('gloo', init_method=f'file://{sys.argv[1]}', rank=0, world_size=1)
    model = DistributedDataParallel(torch.nn.Linear(2, 2))
    model.me = model
    assert any('gloo' in name for name in threads()), threads()

run_tool(main)
assert not any('gloo' in name for name in threads()), threads()
"""

VIDEO = """
_base_ = [{base!r}]
custom_imports = dict(imports=['uniformer_mm', 'loss_recorder'], allow_failed_imports=False)
# BatchNorm sees other batches in two processes, and random numbers differ by process: one fixed
# view, twice.
model = dict(
    backbone=dict(norm_eval=True, init_cfg=None), data_preprocessor=dict(blending=None)
)
train_dataloader = dict(num_workers=0, dataset=dict(pipeline=_base_.val_pipeline))
val_dataloader = dict(num_workers=0)
param_scheduler = dict(T_max=2)
train_cfg = dict(max_epochs=2)
custom_hooks = [dict(type='LossRecorder')]
"""


def run_script(repo_root: Path, script: str, *args: object, cwd: object = '/', **env: str):
    path = os.pathsep.join([str(repo_root), str(repo_root / 'tests/helpers')])
    env = {
        **os.environ,
        'CUDA_VISIBLE_DEVICES': '',
        'PYTHON': sys.executable,
        'PYTHONPATH': path,
        **env,
    }
    command = ['bash', str(repo_root / script), *map(str, args)]
    return subprocess.run(command, env=env, capture_output=True, text=True, cwd=cwd, timeout=300)


def succeed(ranks: list[subprocess.CompletedProcess]) -> subprocess.CompletedProcess:
    """The first of the processes, of which all have to end well."""
    assert not any(rank.returncode for rank in ranks), '\n'.join(rank.stderr for rank in ranks)
    return ranks[0]


@pytest.mark.skipif(not Path('/proc/self/task').is_dir(), reason='reads the threads from /proc')
def test_no_thread_of_the_process_group_is_left(tmp_path):
    """Those that live until the interpreter ends abort it once in a while."""
    script = tmp_path / 'ends.py'
    script.write_text(ENDS)
    ended = run_forked(script, tmp_path / 'store')
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_two_processes_equal_one(repo_root, tiny_config, tmp_path):
    config = tmp_path / 'a config with spaces.py'
    config.write_text(DISTRIBUTED.format(base=str(tiny_config)))
    one, two = tmp_path / 'one', tmp_path / 'two'
    train = (repo_root / 'tools/train.py', config, '--seed', 0, '--work-dir')
    single = run_forked(*train, one)
    assert single.returncode == 0, single.stderr
    batch = ('--cfg-options', 'train_dataloader.batch_size=4')
    double = succeed(run_ranks(*train, two, *batch))
    assert 'communicate over gloo' in double.stdout

    expected = json.loads((one / 'losses_0.json').read_text())
    parts = [json.loads((two / f'losses_{rank}.json').read_text()) for rank in range(2)]
    assert [sum(pair) / 2 for pair in zip(*parts, strict=True)] == pytest.approx(expected, rel=1e-5)
    weights = [load_weights_only(d / 'epoch_2.pth')['state_dict'] for d in (one, two)]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-4, atol=1e-5)
    sharded, resumed = tmp_path / 'sharded', tmp_path / 'resumed'
    base = repo_root / 'configs/_base_/runtimes/sharded.py'
    sharded_config = tmp_path / 'sharded.py'
    sharded_config.write_text(f'_base_ = [{str(config)!r}, {str(base)!r}]\n')
    train = (repo_root / 'tools/train.py', sharded_config, '--seed', 0, *batch, '--work-dir')
    succeed(run_ranks(*train, sharded))
    succeed(run_ranks(*train, resumed, '--resume', sharded / 'epoch_1.pth'))
    assert [json.loads((sharded / f'losses_{rank}.json').read_text()) for rank in range(2)] == [
        pytest.approx(losses, rel=1e-5) for losses in parts
    ]
    assert difference(sharded / 'epoch_2.pth', resumed / 'epoch_2.pth') == ''
    states = [load_weights_only(d / 'epoch_2.pth')['optimizer']['state'] for d in (two, sharded)]
    torch.testing.assert_close(states[1], states[0], rtol=1e-3, atol=1e-5)

    assert len(list(two.glob('*/*.log'))) == 1
    assert sorted(p.name for p in two.glob('*.pth')) == ['epoch_1.pth', 'epoch_2.pth']

    metrics = tmp_path / 'metrics.json'
    test = (repo_root / 'tools/test.py', config, two / 'epoch_2.pth', '--out', metrics)
    succeed(run_ranks(*test, '--work-dir', tmp_path / 'test'))
    (log,) = two.glob('*/vis_data/scalars.json')
    last = [json.loads(x) for x in log.read_text().splitlines() if 'accuracy' in x][-1]
    assert json.loads(metrics.read_text())['accuracy/top1'] == last['accuracy/top1']


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['images', 'videos'])
def test_sharded_uniformer_b(repo_root, tiny_config, tmp_path, kind):
    """One step, in which each of two processes keeps half of the parameters."""
    sharded = repo_root / 'configs/_base_/runtimes/sharded.py'
    if kind == 'images':
        base, text, least = tiny_config, IMAGES, 49e6
        network = dict(backbone='UniFormer', options='out_indices=(3,), final_norm=True')
    else:
        pytest.importorskip('mmaction')
        make_mini.make('kinetics', tmp_path / 'data/mini', counts=dict(train=4, val=1))
        base = repo_root / 'configs/mini/uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb.py'
        text, least = VIDEOS, 6e6  # as wide, with fewer blocks
        network = dict(backbone='UniFormer3D', options='init_cfg=None, depths=(1, 1, 2, 1)')
    config = tmp_path / 'sharded.py'
    files = dict(base=str(base), sharded=str(sharded))
    config.write_text(SHARDED.format(**files, **network) + text)
    work = tmp_path / 'work'
    succeed(run_ranks(
        repo_root / 'tools/train.py', config, '--work-dir', work, '--no-validate', '--cfg-options',
        f'train_dataloader.batch_size={16 if kind == "images" else 2}', 'train_cfg.max_epochs=1',
        'train_dataloader.num_workers=0', 'default_hooks.checkpoint.save_optimizer=False',
        cwd=tmp_path,
    ))  # fmt: skip
    saved = load_weights_only(work / 'epoch_1.pth')['state_dict']
    assert sum(weight.numel() for weight in saved.values()) > least
    first, second = (json.loads((work / f'losses_{rank}.json').read_text()) for rank in range(2))
    assert len(first) == len(second) == 1
    classes = saved['head.fc.bias' if kind == 'images' else 'cls_head.fc_cls.bias'].numel()
    assert first + second == pytest.approx([math.log(classes)] * 2, rel=0.3)


BY_EPOCH = ('train_dataloader.batch_size=1', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1')
# The data, the config, its length, the checkpoint, what is said, and the parts that have BatchNorm.
# DistributedDataParallel stops at the second step if a parameter got no gradient at the first.
TRAINED = {
    'detector': (
        'coco',
        'cascade-mask-rcnn_uniformer-mini-h_fpn_coco-digits',
        (*BY_EPOCH, 'model.test_cfg.rcnn.score_thr=0.0'),
        'epoch_1.pth',
        ('12 SyncBN layers became BatchNorm', 'coco/segm_mAP_50: '),
        {'backbone', 'roi_head'},
    ),
    # By iterations, where the checkpoint is written before the evaluation.
    'segmentor': (
        'ade',
        'uniformer-mini-g_upernet_ade20k-digits',
        (
            *('train_dataloader.batch_size=2', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2'),
            *('default_hooks.checkpoint.interval=2', 'default_hooks.checkpoint.save_best=None'),
        ),
        'iter_2.pth',
        ('13 SyncBN layers became BatchNorm', 'mIoU: '),
        {'backbone', 'decode_head', 'auxiliary_head'},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ('data', 'base', 'options', 'checkpoint', 'said', 'parts'), TRAINED.values(), ids=TRAINED
)
def test_buffers_of_two_processes(
    repo_root, tmp_path, data, base, options, checkpoint, said, parts
) -> None:
    """They evaluate and save the mean of their buffers."""
    config, work = tmp_path / 'recorded.py', tmp_path / 'work'
    make_mini.make(data, tmp_path / 'data/mini', counts=dict(train=8, val=2))
    config.write_text(RECORDED.format(base=str(repo_root / f'configs/mini/{base}.py')))
    result = succeed(run_ranks(
        repo_root / 'tools/train.py', config, '--work-dir', work, '--cfg-options', *options,
        *('train_dataloader.num_workers=0', 'val_dataloader.num_workers=0'),
        'model.backbone.init_cfg=None', cwd=tmp_path,
    ))  # fmt: skip
    first, second = (json.loads((work / f'buffers_{rank}.json').read_text()) for rank in range(2))
    assert first['train'] != second['train']
    assert first['val'] == second['val']
    mean = {name: (first['train'][name] + second['train'][name]) / 2 for name in first['train']}
    assert first['val'] == pytest.approx(mean, rel=1e-4, abs=1e-4)
    saved = load_weights_only(work / checkpoint)['state_dict']
    assert {name: saved[name].double().sum().item() for name in mean} == first['val']
    assert {name.split('.')[0] for name in mean} == parts
    assert all(words in result.stdout for words in said)


@pytest.mark.slow
@pytest.mark.parametrize('update_buffers', [True, False])
def test_averaged_weights_of_two_processes(repo_root, tiny_config, tmp_path, update_buffers):
    """With EMAHook they evaluate and save the same buffers, whether these are averaged or not."""
    config, work = tmp_path / 'recorded.py', tmp_path / 'work'
    config.write_text(RECORDED.format(base=str(tiny_config)))
    succeed(run_ranks(
        repo_root / 'tools/train.py', config, '--work-dir', work, '--cfg-options',
        f'custom_hooks.0.update_buffers={update_buffers}', 'train_cfg.max_epochs=1',
        'train_dataloader.num_workers=0',
    ))  # fmt: skip
    first, second = (json.loads((work / f'buffers_{rank}.json').read_text()) for rank in range(2))
    assert first['train'] != second['train']
    assert first['val'] == second['val']
    saved = load_weights_only(work / 'epoch_1.pth')['state_dict']
    assert {name: saved[name].double().sum().item() for name in first['val']} == first['val']


@pytest.mark.slow
def test_two_processes_train_on_videos(repo_root, tmp_path, monkeypatch):
    """The mini Kinetics config: the clips of a video stay together, and so do the processes."""
    pytest.importorskip('mmaction')
    monkeypatch.chdir(tmp_path)
    make_mini.make('kinetics', tmp_path / 'data/mini', counts=dict(train=9, val=3))
    base = repo_root / 'configs/mini/uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb.py'
    config = tmp_path / 'video.py'
    config.write_text(VIDEO.format(base=str(base)))
    one, two = tmp_path / 'one', tmp_path / 'two'
    runner = build(config, {'train_dataloader.batch_size': 4}, one)
    runner.train()
    # 9 videos: the sampler gives each process 5, of which a loader of 2 drops the last one.
    assert runner.iter == 4
    options = ('--cfg-options', 'train_dataloader.batch_size=2')
    train = (repo_root / 'tools/train.py', config, '--work-dir', two)
    succeed(run_ranks(*train, *options, cwd=tmp_path))
    expected = json.loads((one / 'losses_0.json').read_text())
    parts = [json.loads((two / f'losses_{rank}.json').read_text()) for rank in range(2)]
    assert [sum(pair) / 2 for pair in zip(*parts, strict=True)] == pytest.approx(expected, rel=1e-4)
    weights = [load_weights_only(d / 'epoch_2.pth')['state_dict'] for d in (one, two)]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-3, atol=1e-4)
    # 3 videos in two processes: none is counted twice.
    scores = [
        [json.loads(line) for line in file.read_text().splitlines() if 'acc/top1' in line]
        for folder in (one, two)
        for file in folder.glob('*/vis_data/scalars.json')
    ]
    assert len(scores[0]) == 2
    assert [s['acc/top1'] for s in scores[0]] == [s['acc/top1'] for s in scores[1]]


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all(repo_root, tiny_config, read_losses, tmp_path):
    """They agree on an iteration; resumed, their random numbers are those of before."""
    config = tmp_path / 'preempted.py'
    config.write_text(PREEMPTED.format(base=str(tiny_config)))
    cut, whole = tmp_path / 'cut', tmp_path / 'whole'
    train = (repo_root / 'tools/train.py', config, '--seed', 0, '--work-dir')
    stopped = run_ranks(*train, cut)
    assert [rank.returncode for rank in stopped] == [75, 75], stopped[0].stderr
    assert 'SIGUSR1: the run is saved at epoch 0, iteration 6' in stopped[0].stdout
    quiet = ('--cfg-options', 'default_hooks.signal.rank=-1')
    succeed(run_ranks(*train, whole, *quiet))
    resumed = succeed(run_ranks(*train, cut, '--resume'))
    assert 'The first 6 batches of epoch 1 are passed over.' in resumed.stdout
    assert read_losses(cut) == read_losses(whole)
    states = [load_weights_only(folder / 'epoch_2.pth')['state_dict'] for folder in (cut, whole)]
    for name, weight in states[0].items():
        torch.testing.assert_close(states[1][name], weight)


@pytest.mark.parametrize('script', ['dist_train', 'dist_test', 'slurm_train', 'slurm_test'])
def test_scripts_explain_themselves(repo_root, script):
    result = run_script(repo_root, f'tools/{script}.sh', 'one')
    assert result.returncode == 2
    assert result.stderr.startswith(f'Usage: bash tools/{script}.sh ')


def test_several_machines_need_an_address(repo_root):
    result = run_script(repo_root, 'tools/dist_train.sh', 'config.py', 1, NNODES='2')
    assert result.returncode == 2
    assert 'set MASTER_ADDR' in result.stderr


def test_torchrun_is_used_if_it_gets_options(repo_root, tmp_path):
    env = {'NNODES': '2', 'MASTER_ADDR': 'node0', 'PORT': '1234'}
    env['PYTHON'] = fake_program(tmp_path, 'python')
    run = ('tools/dist_test.sh', 'my config.py', 'a.pth', 4, '--tta')
    tool = ('4', f'{repo_root}/tools/test.py', 'my config.py', 'a.pth', '--tta')
    result = run_script(repo_root, *run, **env)
    assert result.stdout.splitlines() == [
        *(f'{repo_root}/tools/launch.py', *tool, '--launcher', 'pytorch')
    ]
    options = ('--max-restarts=3', '--rdzv-backend=c10d')
    result = run_script(repo_root, run[0], *options, *run[1:], **env, NODE_RANK='1')
    assert result.stdout.splitlines() == [
        *('-m', 'torch.distributed.run', '--nnodes=2', '--node_rank=1', '--master_addr=node0'),
        *('--master_port=1234', '--nproc_per_node=4', *options, *tool[1:]),
        *('--launcher', 'pytorch'),
    ]


def test_srun_gets_the_tasks(repo_root, tmp_path):
    fake_program(tmp_path, 'srun')
    env = {'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}', 'PYTHON': 'python'}
    run = ('tools/slurm_train.sh', 'gpu', 'my job', 'my config.py')
    result = run_script(
        repo_root, *run, 'my work', '--amp', **env, GPUS='4', SRUN_ARGS='--qos=high --mem=8G'
    )
    tool = f'{repo_root}/tools/train.py'
    assert result.stdout.splitlines() == [
        *('--signal=USR1@90', '--partition=gpu', '--job-name=my job', '--gres=gpu:4'),
        '--ntasks=4',
        *('--ntasks-per-node=4', '--cpus-per-task=5', '--kill-on-bad-exit=1'),
        *('--qos=high', '--mem=8G', 'python', '-u', tool, 'my config.py'),
        *('--work-dir', 'my work', '--launcher', 'slurm', '--amp'),
    ]
    # The work dir may be left out.
    assert 'my work' not in run_script(repo_root, *run, '--amp', **env).stdout


def test_a_preempted_run_is_queued_again(repo_root, tmp_path):
    fake_program(tmp_path, 'scontrol')
    once = '[ -n "$SLURM_RESTART_COUNT" ] || exit 75'
    fake_program(tmp_path, 'srun', f'echo "restart $SLURM_RESTART_COUNT"; {once}')
    env = {'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}', 'PYTHON': 'python'}
    run = ('tools/slurm_train.sh', 'gpu', 'my job', 'my config.py')
    assert run_script(repo_root, *run, **env).stdout.split('\n') == ['restart ', 'restart 1', '']
    batch = run_script(repo_root, *run, **env, SLURM_JOB_ID='17')
    assert batch.stdout.splitlines() == ['restart ', 'requeue', '17']
    fake_program(tmp_path, 'srun', 'exit 3')
    assert run_script(repo_root, *run, **env).returncode == 3


def fake_program(folder: Path, name: str, script: str = 'printf "%s\\n" "$@"') -> str:
    """A program that prints its arguments, one a line, or runs a script."""
    path = folder / name
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)
    return str(path)
