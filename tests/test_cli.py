"""Config preparations of the tools."""

import json
import os
import time

import pytest
import torch
from mmengine.config import Config, ConfigDict

from uniformer_mm import cli
from uniformer_mm.cli import UserError

LIBRARIES = list(cli.LIBRARIES)


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
    fp16, bf16, off, none = (make(optim_wrapper=dict(wrapper)) for _ in range(4))
    cli.set_amp(fp16, 'fp16')
    assert fp16.optim_wrapper.type == 'AmpOptimWrapper'
    assert (fp16.optim_wrapper.dtype, fp16.optim_wrapper.loss_scale) == ('float16', 'dynamic')
    cli.set_amp(bf16, 'bf16')
    assert bf16.optim_wrapper.dtype == 'bfloat16'
    assert bf16.optim_wrapper.loss_scale == {'enabled': False}
    cli.set_amp(bf16, 'off')
    assert bf16.optim_wrapper == {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD'}}
    cli.set_amp(off, 'off')
    assert off.optim_wrapper.type == 'OptimWrapper'
    cli.set_amp(none, None)
    assert none.optim_wrapper == wrapper


def test_amp_keeps_the_loss_scale_of_the_config(gpu):
    cfg = make(optim_wrapper={'type': 'AmpOptimWrapper', 'loss_scale': 512.0})
    cli.set_amp(cfg, 'fp16')
    assert cfg.optim_wrapper.loss_scale == 512.0


def test_amp_needs_a_gpu_and_a_plain_wrapper():
    fp16 = make(optim_wrapper={'type': 'AmpOptimWrapper'})
    with pytest.raises(UserError, match='trains in fp16, which needs a GPU; add --amp off'):
        cli.set_amp(fp16, None)
    cli.set_amp(fp16, 'off')
    with pytest.raises(UserError, match='ApexOptimWrapper'):
        cli.set_amp(make(optim_wrapper={'type': 'ApexOptimWrapper'}), 'bf16')
    with pytest.raises(UserError, match='no optim_wrapper'):
        cli.set_amp(make(), None)


# --- options ---


@pytest.mark.parametrize(
    ('option', 'hint'),
    [
        ('optim_wraper.type', 'Did you mean optim_wrapper.type?'),
        ('randomnes.seed', 'Did you mean randomness.seed?'),  # not in the config, but known
        ('model.backbone.window_sise', 'Did you mean model.backbone.window_size?'),
        ('model.bakcbone.arch', 'Did you mean model.backbone.arch?'),
        ('hooks.0.intervall', 'Did you mean hooks.0.interval?'),
        ('hooks.first.interval', "an index from 0 to 0, got 'first'"),
    ],
)
def test_misspelt_options(option, hint):
    cfg = make(
        optim_wrapper={'type': 'OptimWrapper'},
        model={'backbone': {'arch': 'small', 'window_size': 14}},
        hooks=[{'interval': 1}],
    )
    with pytest.raises(UserError) as error:
        cli.check_options(cfg, {option: 1})
    assert hint in str(error.value)


def test_new_options_are_added_and_named(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("model = dict(backbone=dict(window_size=14, drop_rate=0.0))\nwork_dir = ''\n")
    options = {
        'model.backbone.eval_window_size': 32,
        'model.backbone.drop_path_rate': 0.1,
        'model.backbone.init_cfg.checkpoint': 'a.pth',
        'randomness.seed': 0,
        'load_from': 'b.pth',
        'my_own_notes': 'text',
        '+model.backbone.window_sizes': 7,
        'model.backbone.window_size': 7,
    }
    cfg, (note,) = cli.load_config(str(config), options)
    assert cfg.model.backbone.init_cfg.checkpoint == 'a.pth'
    assert cfg.model.backbone.window_sizes == 7
    assert cfg.load_from == 'b.pth'
    assert 'model.backbone.eval_window_size' in note
    assert 'model.backbone.window_size,' not in note


def test_option_inside_a_value(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("model = dict(type='A')\n")
    with pytest.raises(UserError, match='--cfg-options'):
        cli.load_config(str(config), {'model.type.name': 1})


def test_unreadable_config(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text('model = dict(\n')
    with pytest.raises(UserError, match='cannot be read: SyntaxError'):
        cli.load_config(str(config))


# --- loaders and hooks ---


def test_mmpretrain_loader_defaults(gpu):
    cfg = make(
        default_scope='mmpretrain',
        train_dataloader={'num_workers': 4},
        val_dataloader={'num_workers': 0, 'collate_fn': {'type': 'mine'}},
    )
    cli.set_loaders(cfg, ('train', 'val', 'test'))
    assert cfg.train_dataloader.collate_fn.type == 'default_collate'
    assert cfg.val_dataloader.collate_fn.type == 'mine'
    assert cfg.train_dataloader.pin_memory
    # EpochSeedHook seeds training workers when they start; and without workers none persist.
    assert not cfg.train_dataloader.persistent_workers
    assert not cfg.val_dataloader.persistent_workers


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpose', 'mmaction'])
def test_other_loaders_keep_their_collate(scope):
    loader = {'num_workers': 2, 'persistent_workers': True, 'pin_memory': True}
    cfg = make(default_scope=scope, val_dataloader=loader)
    cli.set_loaders(cfg, ('val',))
    assert 'collate_fn' not in cfg.val_dataloader
    assert cfg.val_dataloader.persistent_workers
    assert not cfg.val_dataloader.pin_memory  # torch warns otherwise


def test_hooks_are_added_once():
    cfg = make(custom_hooks=[{'type': 'EMAHook'}, {'type': 'uniformer_mm.CheckpointGuardHook'}])
    for _ in range(2):
        cli.set_hooks(cfg, training=True)
        assert [hook['type'] for hook in cfg.custom_hooks] == [
            'EMAHook',
            'uniformer_mm.CheckpointGuardHook',
            'uniformer_mm.EpochSeedHook',
            'uniformer_mm.FiniteLossHook',
        ]
    cfg = make()
    cli.set_hooks(cfg, training=False)
    assert [hook['type'] for hook in cfg.custom_hooks] == ['uniformer_mm.CheckpointGuardHook']


# --- pictures, test-time augmentation, predictions ---


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmseg', 'mmpose'])
@pytest.mark.parametrize('has_hook', [True, False])
def test_visualization_hooks_take_their_arguments(scope, has_hook, tmp_path, monkeypatch):
    """The arguments are checked against the hook's own constructor."""
    pytest.importorskip(scope)
    monkeypatch.chdir(tmp_path)
    from mmengine.registry import HOOKS
    from mmengine.visualization import Visualizer

    kind = cli.LIBRARIES[scope].visualization[0]
    hooks = {'visualization': {'type': kind}} if has_hook else {}
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
    for scope, tta in (('mmaction', False), ('mmpretrain', True), ('mmyolo', False)):
        with pytest.raises(UserError, match='--show'):
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


def test_tta_that_cannot_be():
    data = {'test_dataloader': {'dataset': {'pipeline': []}}, 'model': {}}
    with pytest.raises(UserError, match='flip_test'):
        cli.set_tta(make(default_scope='mmpose', **data))
    hooks = [{'type': 'EMAHook', 'evaluate_on_ema': False}]
    pipeline = {'tta_pipeline': [], 'tta_model': {'type': 'A'}}
    with pytest.raises(UserError, match='averaged'):
        data['test_dataloader']['dataset']['pipeline'] = [{'type': 'PackInputs'}]
        cli.set_tta(make(default_scope='mmpretrain', custom_hooks=hooks, **data, **pipeline))


@pytest.mark.parametrize('scope', LIBRARIES)
@pytest.mark.parametrize('several', [False, True])
def test_dump(scope, several):
    cfg = make(default_scope=scope, test_evaluator=[{'type': 'A'}] if several else {'type': 'A'})
    cli.add_dump(cfg, 'out.pkl')
    kind = 'DumpDetResults' if scope == 'mmdet' else 'DumpResults'
    assert cfg.test_evaluator == [{'type': 'A'}, {'type': kind, 'out_file_path': 'out.pkl'}]


def test_dump_is_of_the_averaged_weights():
    ema = {'type': 'EMAHook', 'evaluate_on_ema': True, 'evaluate_on_origin': True}
    cfg = make(default_scope='mmpretrain', test_evaluator={'type': 'A'}, custom_hooks=[ema])
    cli.add_dump(cfg, 'out.pkl')
    assert cfg.custom_hooks == [{**ema, 'evaluate_on_origin': False}]


# --- where training starts ---


@pytest.fixture
def work_dir(tmp_path):
    """Two checkpoints; the newer one is cut short."""
    for epoch in (1, 2):
        meta = {'epoch': epoch, 'iter': 4 * epoch, 'seed': 11}
        file = tmp_path / f'epoch_{epoch}.pth'
        torch.save({'meta': meta, 'state_dict': {}}, file)
        os.utime(file, (time.time() + epoch,) * 2)
    (tmp_path / 'epoch_2.pth').write_bytes((tmp_path / 'epoch_2.pth').read_bytes()[:300])
    os.utime(tmp_path / 'epoch_2.pth', (time.time() + 2,) * 2)
    return tmp_path


def test_auto_resume_takes_the_newest_whole_checkpoint(work_dir):
    cfg = make(work_dir=str(work_dir))
    skipped, note = cli.set_resume(cfg, 'auto')
    assert 'epoch_2.pth' in skipped
    assert 'epoch 1, iteration 4' in note
    assert (cfg.resume, cfg.load_from) == (True, str(work_dir / 'epoch_1.pth'))
    assert cfg.randomness.seed == 11


def test_auto_resume_from_nothing(tmp_path):
    cfg = make(work_dir=str(tmp_path / 'new'), load_from=None)
    (note,) = cli.set_resume(cfg, 'auto')
    assert 'no checkpoint yet: training starts anew' in note
    assert not cfg.resume


def test_auto_resume_with_only_damaged_checkpoints(work_dir):
    (work_dir / 'epoch_1.pth').write_bytes(b'')
    with pytest.raises(UserError, match='no checkpoint in .* can be read'):
        cli.set_resume(make(work_dir=str(work_dir)), 'auto')


def test_resume_in_the_config_is_the_same(work_dir):
    cfg = make(work_dir=str(work_dir), resume=True)
    cli.set_resume(cfg, None)
    assert cfg.load_from == str(work_dir / 'epoch_1.pth')


def test_nothing_is_overwritten(work_dir, tmp_path_factory):
    cfg = make(work_dir=str(work_dir))
    with pytest.raises(UserError, match='holds the checkpoints of another run'):
        cli.set_resume(cfg, None)
    other = tmp_path_factory.mktemp('other') / 'epoch_9.pth'
    torch.save({'meta': {'epoch': 9}}, other)
    with pytest.raises(UserError, match='Choose another --work-dir'):
        cli.set_resume(cfg, str(other))
    for file in work_dir.glob('*.pth'):
        file.unlink()
    (work_dir / 'best_accuracy_top1_epoch_1.pth').touch()
    with pytest.raises(UserError, match='best_accuracy'):
        cli.set_resume(cfg, None)


# --- data ---


@pytest.mark.parametrize(
    'dataset',
    [
        {'data_root': '{}/no'},
        {'type': 'ConcatDataset', 'datasets': [{'data_root': '{}'}, {'data_root': '{}/no'}]},
        {'type': 'RepeatDataset', 'dataset': {'dataset': {'data_root': '{}/no'}}},
        {'data_prefix': {'video': '{}/no'}},
        {'data_prefix': '{}/no'},
    ],
)
def test_missing_data_folder(dataset, tmp_path):
    dataset = json.loads(json.dumps(dataset).replace('{}', str(tmp_path)))
    with pytest.raises(UserError, match=f'val data folder {tmp_path}/no does not exist'):
        cli.check_data(make(val_dataloader={'dataset': dataset}), ('train', 'val'))


def test_data_elsewhere_is_not_checked(tmp_path):
    datasets = [{'data_root': 's3://bucket'}, {'data_root': str(tmp_path), 'data_prefix': 'no'}]
    for dataset in datasets:
        cli.check_data(make(train_dataloader={'dataset': dataset}), ('train',))


# --- errors ---


def fail(error):
    def main():
        raise error

    return main


def test_what_is_and_is_not_explained(capsys, monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(SystemExit, match='^error: mend this$'):
        cli.run_tool(fail(UserError('mend this')))
    with pytest.raises(ZeroDivisionError):
        cli.run_tool(fail(ZeroDivisionError()))
    with pytest.raises(SystemExit) as stop:
        cli.run_tool(fail(KeyboardInterrupt()))
    assert stop.value.code == 130
    monkeypatch.setenv('RANK', '3')
    with pytest.raises(SystemExit, match=r'^\[rank 3\] error: mend this$'):
        cli.run_tool(fail(UserError('mend this')))


def test_error_in_a_data_worker():
    text = 'Caught FileNotFoundError in DataLoader worker process 0.\nOriginal Traceback ...\n'
    message = cli.messages.explain(
        FileNotFoundError(f"{text}FileNotFoundError: No such file: 'a.png'\n")
    )
    assert message.startswith("FileNotFoundError: No such file: 'a.png'")


# --- distributed ---


def test_launcher_that_did_not_launch(monkeypatch):
    monkeypatch.delenv('SLURM_PROCID', raising=False)
    with pytest.raises(UserError, match='SLURM_PROCID is not set'):
        cli.prepare_runtime(make(), 'slurm', 0)
    monkeypatch.setenv('SLURM_PROCID', '0')
    with pytest.raises(UserError, match='needs a GPU'):
        cli.prepare_runtime(make(), 'slurm', 0)


def test_gloo_without_a_gpu(monkeypatch):
    started = []
    monkeypatch.setattr(cli.runtime.dist, 'init_process_group', started.append)
    monkeypatch.setenv('RANK', '0')
    cfg = make(find_unused_parameters=True, env_cfg=ConfigDict(cudnn_benchmark=True))
    (note,) = cli.prepare_runtime(cfg, 'pytorch', 0)
    assert 'gloo' in note
    assert started == ['gloo']
    assert cfg.env_cfg.dist_cfg.backend == 'gloo'
    assert cfg.model_wrapper_cfg.find_unused_parameters
    assert cfg.model_wrapper_cfg.type == 'CPUDistributedDataParallel'


def test_gpu_runs_are_left_to_mmengine(gpu, monkeypatch):
    monkeypatch.setenv('RANK', '0')
    cfg = make()
    assert cli.prepare_runtime(cfg, 'pytorch', 0) == []
    assert 'model_wrapper_cfg' not in cfg
