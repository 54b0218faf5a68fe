"""Config preparations of the tools."""

import argparse
import json
import os
import time
from contextlib import nullcontext
from unittest.mock import Mock

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import HOOKS
from mmengine.visualization import Visualizer
from torch._utils import ExceptionWrapper

from uniformer_mm import cli
from uniformer_mm.cli import LIBRARIES, UserError
from uniformer_mm.cli.messages import explain


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(cli.runtime, 'get_device', lambda: 'cpu')


@pytest.fixture
def gpu(monkeypatch, no_gpu):
    monkeypatch.setattr(cli.runtime, 'get_device', lambda: 'cuda')


def make(**entries) -> Config:
    return Config(entries)


# --- mixed precision ---


@pytest.mark.parametrize('start', ['OptimWrapper', 'AmpOptimWrapper', 'mmengine.AmpOptimWrapper'])
def test_amp_modes(start, gpu):
    wrapper = {'type': start, 'optimizer': {'type': 'SGD'}}
    amp = {'type': 'AmpOptimWrapper', 'optimizer': {'type': 'SGD'}}
    for mode, expected in {
        'fp16': {**amp, 'dtype': 'float16', 'loss_scale': 'dynamic'},
        'bf16': {**amp, 'dtype': 'bfloat16', 'loss_scale': {'enabled': False}},
        'off': {**wrapper, 'type': 'OptimWrapper'},
        None: wrapper,
    }.items():
        cfg = make(optim_wrapper=dict(wrapper))
        cli.set_amp(cfg, mode)
        assert cfg.optim_wrapper == expected
    cli.set_amp(cfg, 'bf16')
    cli.set_amp(cfg, 'off')
    assert cfg.optim_wrapper == {**wrapper, 'type': 'OptimWrapper'}
    cfg = make(optim_wrapper={'type': start, 'loss_scale': 512.0})
    cli.set_amp(cfg, 'fp16')
    assert cfg.optim_wrapper.loss_scale == 512.0, 'that of the config stays'


def test_amp_needs_a_gpu_and_a_plain_wrapper():
    fp16 = make(optim_wrapper={'type': 'AmpOptimWrapper'})
    with pytest.raises(UserError, match='trains in fp16, which needs a GPU; add --amp off'):
        cli.set_amp(fp16, None)
    with pytest.raises(UserError, match='ApexOptimWrapper'):
        cli.set_amp(make(optim_wrapper={'type': 'ApexOptimWrapper'}), 'bf16')
    with pytest.raises(UserError, match='no optim_wrapper'):
        cli.set_amp(make(), None)


# --- configs and options ---

CONFIG = """
optim_wrapper = dict(type='OptimWrapper')
model = dict(backbone=dict(arch='small', window_size=14, drop_rate=0.0))
hooks = [dict(interval=1)]
"""


@pytest.fixture
def config(tmp_path):
    file = tmp_path / 'config.py'
    file.write_text(CONFIG)
    return file


@pytest.mark.parametrize(
    ('option', 'hint'),
    [
        ('optim_wraper.type', 'optim_wrapper.type'),
        ('randomnes.seed', 'randomness.seed'),  # not in the config, but known
        ('model.backbone.window_sise', 'model.backbone.window_size'),
        ('hooks.0.intervall', 'hooks.0.interval'),
        ('model.backbone.eval_window_size', None),
        ('model.backbone.drop_path_rate', None),
        ('model.backbone.window_size', None),
        ('load_from', None),
        ('my_own_notes', None),
    ],
)
def test_options_are_merged_and_near_misses_said(config, option, hint):
    cfg, warnings = cli.load_config(str(config), {option: 7})
    for key in option.split('.'):
        cfg = cfg[int(key) if key.isdigit() else key]
    assert cfg == 7
    assert warnings == (
        [f'--cfg-options {option} is new to the config. Did you mean {hint}?'] if hint else []
    )


def test_unusable_configs(config):
    for option in ('hooks.first.interval', 'hooks.3.interval', 'model.backbone.arch.a'):
        with pytest.raises(UserError, match='--cfg-options'):
            cli.load_config(str(config), {option: 1})
    with pytest.raises(UserError, match='no config for mmseg: its default_scope is None'):
        cli.load_config(str(config), scope='mmseg')
    for text, message in {
        'model = dict(\n': 'cannot be read: SyntaxError',
        'a = 1\n': 'has no model: it is a part of configs',
        "_base_ = ['uniformer_mm::mini/x.py']": r"find_config\('...'\) for 'uniformer_mm::...'",
        "_base_ = [__import__('uniformer_mm').find_config('mini/uniformer_1xb32_digits.py')]": (
            'Did you mean .*configs/mini/uniformer-mini_1xb32_digits.py'
        ),
    }.items():
        config.write_text(text)
        with pytest.raises(UserError, match=message):
            cli.load_config(str(config))


def test_misspelt_keys_of_a_file(config):
    for line, found, meant in (
        ('train_dataloder = dict(batch_size=2)', 'train_dataloder', 'train_dataloader'),
        ('resmue = True', 'resmue', 'resume'),
        ('auto_scale_lr = dict(base_batchsize=2)', 'auto_scale_lr.base_batchsize', 'base_batch'),
    ):
        config.write_text(f'{CONFIG}{line}\n')
        with pytest.raises(UserError, match=f'nothing reads {found}. Did you mean .*{meant}'):
            cli.load_config(str(config))
    for line in (
        'val_dataloader2 = dict(batch_size=2)',
        'my_train_cfg = 1',
        'test_pipeline = []',
        'train_dataloder = dict(batch_size=2)\ntrain_dataloader = dict(train_dataloder)',
    ):
        config.write_text(f'{CONFIG}{line}\n')
        assert cli.load_config(str(config))[1] == []


@pytest.mark.parametrize(
    ('key', 'value', 'expected'),
    [
        ('train_dataloader.batch_size', 0, 'a positive integer'),
        ('auto_scale_lr.base_batch_size', -8, 'a positive integer'),
        ('optim_wrapper.clip_grad.max_norm', -1, 'a positive number'),
        ('optim_wrapper.optimizer.lr', float('nan'), 'a positive number'),
        ('model.head.decoder.sigma', -2.0, 'a positive number'),
        ('optim_wrapper.paramwise_cfg.custom_keys.norm.decay_mult', -1, 'a number of at least 0'),
        ('default_hooks.checkpoint.interval', 0, 'a positive integer, or -1'),
        ('param_scheduler', [dict(T_max=True)], 'a positive number'),
    ],
)
def test_numbers_that_no_run_can_mean(config, key, value, expected):
    with pytest.raises(UserError, match=rf'^{key}(\.0\.T_max)? must be {expected}; got'):
        cli.load_config(str(config), {key: value})
    cli.load_config(str(config), {key: None})


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('/my data/of 2026/a', '/my data/of 2026/a'),
        ('/data (old)/x  y', '/data (old)/x  y'),
        ('"/my data/a"', '/my data/a'),
        (' 0.1 ', 0.1),
        ('[/my data/a, /b c]', ['/my data/a', '/b c']),
        ('1, 2 ,x y', [1, 2, 'x y']),
        ('[ (1, 2.5) , [a b, True], None ]', [(1, 2.5), ['a b', True], None]),
        ('(8,)', (8,)),
        ('a=b c', 'a=b c'),
    ],
)
def test_spaces_of_options(text, value):
    parser = argparse.ArgumentParser()
    cli.add_options(parser)
    args = parser.parse_args(['--cfg-options', 'first=1', f'key={text}'])
    assert args.cfg_options == {'first': 1, 'key': value}


@pytest.mark.parametrize('text', ['key=[1,2', '=3', 'key'])
def test_malformed_options(text, capsys):
    parser = argparse.ArgumentParser()
    cli.add_options(parser)
    with pytest.raises(SystemExit, match='^2$'):
        parser.parse_args(['--cfg-options', text])
    assert '--cfg-options' in capsys.readouterr().err


def test_preparations_of_the_libraries_own_tools(config):
    for scope, library in LIBRARIES.items():
        pytest.importorskip(scope)
        config.write_text(f'{CONFIG}default_scope = {scope!r}\npreprocess_cfg = dict(mean=1)\n')
        cfg, _ = cli.load_config(str(config), scope=scope)
        assert cli.library_of(cfg) is library
        assert cfg.model.get('data_preprocessor') == ({'mean': 1} if scope == 'mmpose' else None)
        assert not {'custom_hooks', 'default_hooks'} & cfg.keys(), 'the config says which hooks'


def test_loaders_of_mmpretrain(gpu):
    cfg = make(
        default_scope='mmpretrain',
        train_dataloader={'num_workers': 4, 'persistent_workers': False},
        val_dataloader={'num_workers': 0, 'collate_fn': {'type': 'mine'}},
        test_dataloader={'num_workers': 2},
    )
    cli.set_loaders(cfg, ('train', 'val', 'test'))
    train, val, test = cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader
    assert train.collate_fn.type == 'default_collate' and val.collate_fn.type == 'mine'
    assert train.pin_memory
    assert [loader.persistent_workers for loader in (train, val, test)] == [False, False, True]
    cli.set_loaders(cfg, ('train',), no_pin_memory=True)
    assert not cfg.train_dataloader.pin_memory


@pytest.mark.parametrize('scope', [*LIBRARIES, None])
def test_loaders_on_a_cpu(scope):
    loader = {'num_workers': 2, 'persistent_workers': True, 'pin_memory': True}
    cfg = make(default_scope=scope, val_dataloader=loader)
    cli.set_loaders(cfg, ('train', 'val'))
    assert ('collate_fn' in cfg.val_dataloader) == (scope == 'mmpretrain')
    assert cfg.val_dataloader.persistent_workers
    assert not cfg.val_dataloader.pin_memory  # torch warns otherwise


# --- pictures, test-time augmentation, predictions ---


@pytest.mark.parametrize('scope', [name for name, lib in LIBRARIES.items() if lib.drawing])
@pytest.mark.parametrize('has_hook', [True, False])
def test_visualization_hooks_take_their_arguments(scope, has_hook, tmp_path, monkeypatch):
    """The arguments are checked against the hook's own constructor."""
    pytest.importorskip(scope)
    monkeypatch.chdir(tmp_path)
    hooks = {'visualization': {'type': LIBRARIES[scope].drawing.hook}} if has_hook else {}
    cfg = make(default_scope=scope, default_hooks=hooks)
    cli.set_visualization(cfg, False, 'pictures', wait_time=1.0, interval=3, tta=False)
    Visualizer.get_instance(f'visualizer_{scope}_{has_hook}')
    with HOOKS.switch_scope_and_registry(scope) as registry:
        hook = registry.build(cfg.default_hooks.visualization)
    assert hook.interval == 3
    assert getattr(hook, 'enable', False) or getattr(hook, 'draw', False)
    places = [getattr(hook, 'out_dir', None), getattr(hook, 'test_out_dir', None)]
    places.append(cfg.get('visualizer', {}).get('save_dir'))
    assert str(tmp_path / 'pictures') in places


def test_segmentation_pictures_need_a_local_backend():
    visualizer = {'type': 'SegLocalVisualizer', 'vis_backends': [{'type': 'WandbVisBackend'}]}
    cfg = make(default_scope='mmseg', visualizer=visualizer)
    cli.set_visualization(cfg, False, 'pictures', 1.0, 1, tta=False)
    assert cfg.visualizer.vis_backends == [{'type': 'LocalVisBackend'}]


def test_visualization_that_cannot_be():
    for scope, tta, hint in (
        ('mmaction', False, 'draw.py draws'),
        ('mmpretrain', True, 'cannot draw with --tta'),
        ('mmyolo', False, 'they serve mmpretrain, mmdet'),
    ):
        with pytest.raises(UserError, match=f'--show.*{hint}'):
            cli.set_visualization(make(default_scope=scope), True, None, 1.0, 1, tta)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet'])
def test_default_tta_flips(scope):
    pipeline = [{'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}]
    dataset = {'type': 'RepeatDataset', 'dataset': {'pipeline': pipeline}}
    cfg = make(default_scope=scope, model={'type': 'Model'}, test_dataloader={'dataset': dataset})
    cli.set_tta(cfg)
    assert cfg.model.module == {'type': 'Model'}
    load, tta = cfg.test_dataloader.dataset.dataset.pipeline
    assert tta['type'] == 'TestTimeAug'
    flips, (pack,) = tta['transforms']
    assert [flip['prob'] for flip in flips] == [1.0, 0.0]
    assert pack['type'] == 'PackInputs'
    assert ('flip_direction' in pack.get('meta_keys', ())) == (scope == 'mmdet')


def test_tta_of_the_config_and_averaged_weights():
    cfg = make(
        default_scope='mmseg',
        model={'type': 'Model'},
        tta_model={'type': 'SegTTAModel'},
        tta_pipeline=[{'type': 'Mine'}],
        test_dataloader={'dataset': {'pipeline': []}},
        custom_hooks=[{'type': 'EMAHook'}, {'type': 'Other'}],
    )
    cli.set_tta(cfg)
    assert cfg.model == {'type': 'SegTTAModel', 'module': {'type': 'Model'}}
    assert cfg.test_dataloader.dataset.pipeline == [{'type': 'Mine'}]
    assert [hook['type'] for hook in cfg.custom_hooks] == ['Other']
    cfg.custom_hooks = [{'type': 'EMAHook', 'evaluate_on_ema': False}]
    with pytest.raises(UserError, match='averaged'):
        cli.set_tta(cfg)
    with pytest.raises(UserError, match='flip_test'):
        cli.set_tta(make(default_scope='mmpose', test_dataloader={'dataset': {}}))


@pytest.mark.parametrize('scope', LIBRARIES)
@pytest.mark.parametrize('several', [False, True])
def test_dump(scope, several):
    ema = {'type': 'EMAHook', 'evaluate_on_ema': True, 'evaluate_on_origin': True}
    evaluator = [{'type': 'A'}] if several else {'type': 'A'}
    cfg = make(default_scope=scope, test_evaluator=evaluator, custom_hooks=[ema])
    cli.add_dump(cfg, 'out.pkl')
    kind = 'DumpDetResults' if scope == 'mmdet' else 'DumpResults'
    assert cfg.test_evaluator == [{'type': 'A'}, {'type': kind, 'out_file_path': 'out.pkl'}]
    assert cfg.custom_hooks == [{**ema, 'evaluate_on_origin': False}]


def parse_fast(*args):
    parser = argparse.ArgumentParser()
    cli.add_fast_option(parser)
    return parser.parse_args(args).fast


def test_fast_becomes_a_hook():
    assert parse_fast() is None
    assert parse_fast('--fast', 'compile', 'bf16') == {'compile': True, 'dtype': 'bf16'}
    cfg = make(custom_hooks=[{'type': 'A'}])
    cli.set_fast(cfg, parse_fast('--fast'))
    hook = {'type': 'uniformer_mm.FastInferenceHook', 'compile': False, 'dtype': None}
    assert cfg.custom_hooks == [{'type': 'A'}, hook]


def test_fast_computes_in_one_type(capsys):
    with pytest.raises(SystemExit):
        parse_fast('--fast', 'fp16', 'bf16')
    assert '--fast: bf16 and fp16 exclude each other' in capsys.readouterr().err


# --- where training starts ---


def save_state(file, iteration, **other):
    meta = {'epoch': iteration // 4, 'iter': iteration, 'seed': 11}
    torch.save({'meta': meta, 'optimizer': {}, **other}, file)


@pytest.fixture
def work_dir(tmp_path):
    """Four checkpoints; the one furthest in training is cut short, the next the oldest file."""
    names = ('epoch_1.pth', 'epoch_9.pth', 'epoch_10.pth', 'epoch_11.pth')
    for age, name in enumerate(names):
        file = tmp_path / name
        save_state(file, 4 * int(name[6:-4]))
        os.utime(file, (time.time() + (-9 if '10' in name else age),) * 2)
    file.write_bytes(file.read_bytes()[:300])
    return tmp_path


@pytest.mark.parametrize(('argument', 'in_config'), [('auto', False), (None, True)])
def test_auto_resume_goes_by_the_iteration_and_skips_damage(work_dir, argument, in_config):
    cfg = make(work_dir=str(work_dir), resume=in_config)
    skipped, note = cli.set_resume(cfg, argument)
    assert 'epoch_11.pth' in skipped
    assert 'epoch 10, iteration 40' in note
    assert (cfg.resume, cfg.load_from) == (True, str(work_dir / 'epoch_10.pth'))
    assert cfg.randomness.seed == 11

    for name in ('iter_42.pth', 'preempted.pth'):
        save_state(work_dir / name, 42)
    cli.set_resume(cfg, 'auto')
    assert cfg.load_from == str(work_dir / 'preempted.pth')


def test_auto_resume_without_a_whole_checkpoint(work_dir):
    for file in work_dir.glob('*.pth'):
        file.write_bytes(b'')
    with pytest.raises(UserError, match='has no checkpoint that training can go on from'):
        cli.set_resume(make(work_dir=str(work_dir)), 'auto')
    cfg = make(work_dir=str(work_dir / 'new'), load_from=None)
    (note,) = cli.set_resume(cfg, 'auto')
    assert 'no checkpoint yet: training starts anew' in note
    assert not cfg.resume


def test_nothing_is_overwritten(work_dir, tmp_path_factory):
    cfg = make(work_dir=str(work_dir))
    other = tmp_path_factory.mktemp('other') / 'epoch_9.pth'
    save_state(other, 36)
    with pytest.raises(UserError, match='Choose another --work-dir'):
        cli.set_resume(cfg, str(other))
    for file in work_dir.glob('*.pth'):
        file.unlink()
    best = work_dir / 'best_accuracy_top1_epoch_1.pth'
    torch.save({'meta': {'epoch': 1, 'iter': 4}, 'state_dict': {}}, best)
    with pytest.raises(UserError, match='best_accuracy'):
        cli.set_resume(cfg, None)
    with pytest.raises(UserError, match='best_accuracy.* has only weights'):
        cli.set_resume(cfg, 'auto')
    with pytest.raises(UserError, match='no optimizer and no schedule'):
        cli.set_resume(cfg, str(best))


def test_unusable_work_dirs(tmp_path):
    (tmp_path / 'file').touch()
    for place in ('file', 'file/inside'):
        with pytest.raises(UserError, match='cannot be written to: .*Choose another with --work-d'):
            cli.check_work_dir(str(tmp_path / place))
    cli.check_work_dir(str(tmp_path / 'new'))
    assert list((tmp_path / 'new').iterdir()) == []


# --- data ---


@pytest.mark.parametrize(
    'dataset',
    [
        {'type': 'ConcatDataset', 'datasets': [{'data_root': '{}'}, {'data_root': '{}/no'}]},
        {'type': 'RepeatDataset', 'dataset': {'dataset': {'data_root': '{}/no'}}},
        {'data_prefix': {'video': '{}/no'}},
        {'data_prefix': '{}/no'},
        {'data_root': '{}', 'data_prefix': {'img': 'no'}},
    ],
)
def test_missing_data_folder(dataset, tmp_path):
    dataset = json.loads(json.dumps(dataset).replace('{}', str(tmp_path)))
    with pytest.raises(UserError, match=f'val data folder {tmp_path}/no does not exist'):
        cli.check_data(make(val_dataloader={'dataset': dataset}), ('train', 'val'))
    for fine in ({'data_root': 's3://bucket'}, {'data_root': str(tmp_path), 'data_prefix': '.'}):
        cli.check_data(make(train_dataloader={'dataset': fine}), ('train',))


# --- errors ---


@pytest.mark.parametrize(
    ('content', 'message'),
    [(None, 'There is no checkpoint .*start from nothing'), (b'', 'is empty'), (b'x', None)],
)
def test_weights_to_start_from_are_looked_for(content, message, tmp_path):
    file = tmp_path / 'a.pth'
    if content is not None:
        file.write_bytes(content)
    init_cfg = dict(type='Pretrained', checkpoint=str(file))
    teacher = dict(backbone=dict(init_cfg=[init_cfg]))
    released = dict(type='Pretrained', checkpoint='uniformer_small_in1k')  # fetched when needed
    cfg = make(model=dict(backbone=dict(init_cfg=released), losses=[dict(teacher=teacher)]))
    with pytest.raises(UserError, match=message) if message else nullcontext():
        cli.check_weights(cfg)


def test_what_is_and_is_not_explained(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        cli.run_tool(lambda: 1 / 0)
    with pytest.raises(SystemExit, match='^130$'):
        cli.run_tool(Mock(side_effect=KeyboardInterrupt))
    for rank, start in (('0', 'error'), ('3', r'\[rank 3\] error')):
        monkeypatch.setenv('RANK', rank)
        with pytest.raises(SystemExit, match=f'^{start}: mend this$'):
            cli.run_tool(Mock(side_effect=UserError('mend this')))


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (FileNotFoundError('No such file: a.png'), 'No such file: a.png. Check the paths'),
        (UserError('a.png is wide\nand high'), 'a.png is wide\nand high'),
        (AssertionError('no image: a.png'), 'The data cannot be read: AssertionError: no image: a'),
        (TypeError('our own fault'), None),
    ],
)
def test_errors_in_a_data_worker(error, message):
    """They come back as the same type with the worker's traceback as text."""
    with pytest.raises(type(error)) as caught:
        try:
            raise error
        except Exception:
            wrapper = ExceptionWrapper(where='in DataLoader worker process 0')
        wrapper.reraise()
    found = explain(caught.value)
    assert found is None if message is None else found.startswith(message)


# --- distributed ---


def test_launcher_that_did_not_launch(monkeypatch):
    monkeypatch.delenv('SLURM_PROCID', raising=False)
    with pytest.raises(UserError, match='SLURM_PROCID is not set'):
        cli.prepare_runtime(make(), 'slurm', 0)
    monkeypatch.setenv('SLURM_PROCID', '0')
    with pytest.raises(UserError, match='needs a GPU'):
        cli.prepare_runtime(make(), 'slurm', 0)


def test_gpu_runs_are_left_to_mmengine(gpu, monkeypatch):
    monkeypatch.setenv('RANK', '0')
    cfg = make()
    assert cli.prepare_runtime(cfg, 'pytorch', 0) == []
    assert 'model_wrapper_cfg' not in cfg
