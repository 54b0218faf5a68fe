"""tools/train.py and tools/test.py: real runs, and what they say when they cannot run."""

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from PIL import Image
from tiny_runs import COLOURS

NO_WORKERS = ('train_dataloader.num_workers=0', 'default_hooks.checkpoint.max_keep_ckpts=2')


@pytest.fixture(scope='module')
def trained(tiny_config, run_cpu, tmp_path_factory) -> Path:
    """The work dir of two epochs of training."""
    work_dir = tmp_path_factory.mktemp('trained')
    args = ('--work-dir', work_dir, '--seed', 3, '--cfg-options', 'optim_wraper.type=None')
    result = run_cpu('tools/train.py', tiny_config, *args)
    assert result.returncode == 0, result.stderr
    return work_dir


@pytest.mark.slow
def test_training_leaves_checkpoints_and_a_log(trained, read_losses):
    assert {p.name for p in trained.iterdir()} >= {'epoch_1.pth', 'epoch_2.pth', 'tiny.py'}
    losses = read_losses(trained)
    assert list(losses) == list(range(1, 9))
    assert losses[8] < losses[1]
    (log,) = trained.glob('*/*.log')
    assert 'seed: 3' in log.read_text()
    preparations = log.read_text().partition('Epoch(train)')[0]
    assert preparations.count('\n') < 60
    assert f'The complete config is {trained}/tiny.py' in preparations
    assert re.search(
        r'AdamW: (\d+ parameters with lr 0.001 and weight decay 0.05).$', preparations, re.M
    )
    assert 'WARNING - --cfg-options optim_wraper.type is new to the config.' in log.read_text()


@pytest.mark.slow
def test_test_writes_metrics_predictions_and_pictures(trained, tiny_config, run_cpu, tmp_path):
    out, dump, pictures = (tmp_path / name for name in ('out.json', 'dump.pkl', 'pictures'))
    files = ('--out', out, '--dump', dump, '--show-dir', pictures, '--interval', 4)
    args = (tiny_config, trained / 'epoch_2.pth', '--work-dir', tmp_path / 'work', *files)
    result = run_cpu('tools/test.py', *args)
    assert result.returncode == 0, result.stderr

    metrics = json.loads(out.read_text())
    assert f'accuracy/top1: {metrics["accuracy/top1"]:.4f}' in result.stdout.splitlines()[-1]
    (log,) = trained.glob('*/vis_data/scalars.json')
    validated = [json.loads(line) for line in log.read_text().splitlines() if 'accuracy' in line]
    assert metrics['accuracy/top1'] == pytest.approx(validated[-1]['accuracy/top1'])
    with dump.open('rb') as file:
        assert len(pickle.load(file)) == 16
    assert len(list(pictures.iterdir())) == 4
    for label, colour in enumerate(COLOURS):  # below the text
        picture = np.asarray(Image.open(pictures / f'{label}_0.png_0.png'))
        assert picture[16:].mean((0, 1)) == pytest.approx(colour, abs=10)


@pytest.mark.slow
def test_name_of_a_released_file(trained, tiny_config, run_main, tmp_path, monkeypatch, capsys):
    """Here of one that a browser has fetched."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    (tmp_path / 'checkpoints').mkdir()
    (tmp_path / 'checkpoints/uniformer_base_ls.pth').symlink_to(trained / 'epoch_2.pth')
    assert run_main('tools/test.py', tiny_config, 'uniformer_base_ls', '--work-dir', tmp_path) == 0
    args = (tiny_config, 'uniformer_bose_ls', '--work-dir', tmp_path)
    assert "close are 'uniformer_base_ls'" in str(run_main('tools/test.py', *args))


@pytest.mark.slow
def test_tta_tests_the_averaged_weights(trained, tiny_config, run_main, tmp_path, capsys):
    """With mmpretrain's EMAHook in the config, the wrapped model would keep random weights."""
    args = (tiny_config, trained / 'epoch_2.pth', '--work-dir', tmp_path)
    scores = []
    for flags in ((), ('--tta',), ('--tta', '--fast')):
        out = tmp_path / f'{len(scores)}.json'
        assert run_main('tools/test.py', *args, '--out', out, *flags) == 0
        scores.append(json.loads(out.read_text())['accuracy/top1'])
    assert scores[0] >= 70
    assert abs(scores[1] - scores[0]) < 20  # chance is 25
    assert scores[2] == scores[1], 'folded, the network is the same'


@pytest.mark.slow
def test_diverging_run_stops_before_it_saves(tiny_config, run_main, tmp_path):
    options = ('optim_wrapper.optimizer.lr=1e30', *NO_WORKERS)
    message = run_main(
        'tools/train.py', tiny_config, '--work-dir', tmp_path, '--cfg-options', *options
    )
    assert 'error: The loss is not finite at epoch 1, iteration' in message
    assert 'loss=' in message
    assert not list(tmp_path.glob('*.pth'))


def test_amp_without_gpu_is_refused(tiny_config, run_main, tmp_path):
    if torch.cuda.is_available():
        pytest.skip('needs a machine without a GPU')
    message = run_main('tools/train.py', tiny_config, '--work-dir', tmp_path, '--amp', 'bf16')
    assert message == (
        'error: This config trains in bf16, which needs a GPU; add --amp off to train in float32.'
    )


TRAIN_ERRORS = {
    'no such entry of a list': (
        ['--cfg-options', 'custom_hooks.7.momentum=1'],
        '--cfg-options: ',
    ),
    'misspelt type': (
        ['--cfg-options', 'model.backbone.type=uniformer_mm.UniFromer'],
        "Did you mean 'uniformer_mm.UniFormer'",
    ),
    'misspelt type of mmengine': (
        ['--cfg-options', 'optim_wrapper.optimizer.type=AdmW', *NO_WORKERS],
        "the type 'AdmW', which no library provides. Did you mean",
    ),
    'illegal value': (
        ['--cfg-options', 'model.backbone.stage3_style=windows'],
        'cannot be built: model.backbone: ValueError: stage3_style must be one of',
    ),
    'no argument of the constructor': (
        ['--cfg-options', 'model.backbone.colour=red'],
        'colour',
    ),
    'step of a pipeline': (
        ['--cfg-options', 'train_dataloader.dataset.pipeline.1.interpolations=cubic'],
        'cannot be built: train_dataloader.dataset.pipeline.1: TypeError: ',
    ),
    'argument of a loader': (
        ['--cfg-options', 'val_dataloader.batchsize=3'],
        'cannot start: val_dataloader: TypeError: ',
    ),
    'label outside the head': (
        ['--cfg-options', 'model.head.num_classes=3', *NO_WORKERS],
        '3  model.head.num_classes',
    ),
    'channels of the first iteration': (
        ['--cfg-options', 'model.head.in_channels=65', *NO_WORKERS],
        'cannot start: model.head: RuntimeError: ',
    ),
    'step of a pipeline in a worker': (
        ['--cfg-options', 'train_dataloader.dataset.pipeline.1.backend=pil'],
        'cannot start: train_dataloader.dataset.pipeline.1: ValueError: ',
    ),
    'no data': (
        ['--cfg-options', 'train_dataloader.dataset.data_root=/nowhere/imagenet'],
        'The train data folder /nowhere/imagenet does not exist',
    ),
    'no data set up': (
        ['--cfg-options', 'train_dataloader.dataset.data_root=data/mini/nothing'],
        'python tools/demo/make_mini.py',
    ),
    'no split': (
        ['--cfg-options', 'train_dataloader.dataset.data_prefix=trian'],
        'trian',
    ),
    'no checkpoint': (['--resume', 'nothing.pth'], 'There is no checkpoint nothing.pth.'),
    'not a distributed run': (['--launcher', 'pytorch'], 'RANK is not set'),
}


@pytest.mark.parametrize(('args', 'expected'), TRAIN_ERRORS.values(), ids=TRAIN_ERRORS)
def test_train_errors(args, expected, tiny_config, run_main, tmp_path, monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    message = run_main('tools/train.py', tiny_config, '--work-dir', tmp_path / 'work', *args)
    assert str(message).startswith('error: ')
    assert expected in message
    assert 'Traceback' not in message


@HOOKS.register_module()
class FailingHook(Hook):
    """Fails behind some iteration."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        if runner.iter == self.iteration:
            raise RuntimeError('a fault of the program')


@pytest.mark.slow
def test_faults_behind_the_first_iteration_are_tracebacks(tiny_config, run_main, tmp_path):
    config = tmp_path / 'config.py'
    args = ('tools/train.py', config, '--cfg-options', *NO_WORKERS, '--work-dir')
    for iteration in (0, 1):
        hook = f"dict(type='FailingHook', iteration={iteration})"
        config.write_text(f'_base_ = {str(tiny_config)!r}\ncustom_hooks = [{hook}]\n')
        if iteration:
            with pytest.raises(RuntimeError, match='a fault of the program'):
                run_main(*args, tmp_path / 'late')
        else:
            message = run_main(*args, tmp_path / 'early')
            assert 'cannot start: custom_hooks.0: RuntimeError: a fault of the program' in message
            assert 'test_train_test.py:' in message


def test_malformed_option(tiny_config, run_main, capsys):
    assert run_main('tools/train.py', tiny_config, '--cfg-options', 'lr') == 2
    assert "expected KEY=VALUE, got 'lr'" in capsys.readouterr().err


def test_missing_config_suggests_one(run_main, repo_root, monkeypatch):
    monkeypatch.chdir(repo_root)
    message = run_main('tools/train.py', 'configs/imagenet/uniformer-smal_8xb128_in1k.py')
    assert 'Did you mean configs/imagenet/uniformer-small_8xb128_in1k.py?' in message


def test_config_of_a_library_that_is_not_installed(run_main, tmp_path, monkeypatch):
    config = tmp_path / 'det.py'
    config.write_text("default_scope = 'mmdet'\nmodel = dict()\n")
    monkeypatch.setattr('importlib.util.find_spec', lambda name, *_: None)
    message = run_main('tools/train.py', config)
    assert 'is a config for mmdet, which is not installed' in message
    assert 'pip install -e ".[det]"' in message


def test_base_of_a_library_that_is_not_installed(run_main, tmp_path, monkeypatch):
    config = tmp_path / 'seg.py'
    config.write_text("_base_ = ['mmseg::_base_/default_runtime.py']\n")
    monkeypatch.setattr('mmengine.config.config.is_installed', lambda name: False)
    assert 'pip install -e ".[seg]"' in run_main('tools/train.py', config)


@pytest.mark.parametrize('debug', ['', pytest.param('1', marks=pytest.mark.slow)])
def test_error_is_one_line_on_stderr(tiny_config, run_cpu, tmp_path, debug):
    args = (tiny_config, tmp_path / 'none.pth')
    result = run_cpu('tools/test.py', *args, UNIFORMER_MM_DEBUG=debug)
    assert result.returncode == 1
    assert result.stdout == ''
    said = f'error: There is no checkpoint {tmp_path}/none.pth.\n'
    assert result.stderr.endswith(said)
    assert ('Traceback' in result.stderr) == (debug == '1') == (result.stderr != said)


@pytest.mark.slow
def test_nothing_saved_is_overwritten(trained, tiny_config, run_main, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in trained.rglob('*')}
    message = run_main('tools/train.py', tiny_config, '--work-dir', trained)
    assert 'holds the checkpoints of another run (epoch_2.pth)' in message
    assert {p: p.stat().st_mtime_ns for p in trained.rglob('*')} == before

    metrics = tmp_path / 'metrics.json'
    metrics.write_text('mine')
    args = (tiny_config, trained / 'epoch_2.pth', '--work-dir', tmp_path, '--out', metrics)
    assert 'exists already; add --overwrite' in run_main('tools/test.py', *args)
    assert metrics.read_text() == 'mine'


@pytest.mark.slow
def test_unusable_checkpoints(trained, tiny_config, run_main, tmp_path):
    whole = (trained / 'epoch_2.pth').read_bytes()
    contents = dict(truncated=whole[: len(whole) // 2], text=b'these are no weights', other=whole)
    for name, content in contents.items():
        file = tmp_path / f'{name}.pth'
        file.write_bytes(content)
        args = ('--work-dir', tmp_path, '--cfg-options', 'model.head.in_channels=63')
        message = run_main('tools/test.py', tiny_config, file, *args)
        assert message.startswith('error: ')
        assert str(file) in message
    assert 'head.fc.weight' in message
