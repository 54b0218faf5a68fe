"""Loading through MMEngine's Runner: real training files, official files, and what does not fit."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import Runner
from torch import nn
from weight_layouts import layouts

from uniformer_mm.checkpoints import (
    CheckpointError,
    load_weights_only,
    parse_checkpoint,
    read_checkpoint,
    save_checkpoint,
    through_safe_reader,
    to_official,
)
from uniformer_mm.engine import CheckpointGuardHook

pytest.importorskip('mmpretrain')
from mmpretrain.registry import MODELS  # noqa: E402
from mmpretrain.structures import DataSample  # noqa: E402

EMA = {'type': 'EMAHook', 'momentum': 0.3, 'update_buffers': True}
LAYERS = {'depths': (1, 1, 1, 1), 'embed_dims': (16, 16, 16, 16), 'head_dim': 16}


def classifier(num_classes: int = 2) -> dict:
    return {
        'type': 'mmpretrain.ImageClassifier',
        'backbone': {
            'type': 'uniformer_mm.UniFormer',
            'arch': LAYERS,
            'out_indices': (3,),
            'final_norm': True,
        },
        'neck': {'type': 'GlobalAveragePooling'},
        'head': {'type': 'LinearClsHead', 'num_classes': num_classes, 'in_channels': 16},
        'data_preprocessor': {'num_classes': num_classes, 'mean': [0.0] * 3, 'std': [255.0] * 3},
    }


class Noise(torch.utils.data.Dataset):
    """Four random images of two classes."""

    metainfo = {'classes': ('a', 'b')}

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> dict:
        image = torch.randint(0, 255, (3, 32, 32), generator=torch.Generator().manual_seed(i))
        return {'inputs': image.to(torch.uint8), 'data_samples': DataSample().set_gt_label(i % 2)}


@pytest.fixture
def make_runner(tmp_path, request):
    """A function that makes a Runner with the guard; ``epochs`` to train, keywords as Runner's."""

    def make(epochs: int = 1, num_classes: int = 2, guard: dict | None = None, **kwargs) -> Runner:
        loader = dict(
            dataset=Noise(),
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        )
        make.count += 1
        settings = dict(
            model=classifier(num_classes),
            custom_hooks=[EMA],
            work_dir=str(tmp_path / 'work'),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', save_best='auto'),
                checkpoint_guard=dict(type='uniformer_mm.CheckpointGuardHook', **(guard or {})),
            ),
        )
        for split in ('val', 'test'):
            settings[f'{split}_dataloader'], settings[f'{split}_cfg'] = loader, {}
            settings[f'{split}_evaluator'] = dict(type='Accuracy')
        return Runner(
            train_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
            param_scheduler=[dict(type='CosineAnnealingLR', T_max=3)],
            default_scope='mmpretrain',
            experiment_name=f'{request.node.name}-{make.count}',
            log_level='WARNING',
            **(settings | kwargs),
        )

    make.count = 0
    return make


@pytest.fixture
def trained(make_runner, tmp_path) -> Path:
    """The checkpoint of a real training run with EMA."""
    make_runner().train()
    return tmp_path / 'work' / 'epoch_1.pth'


@pytest.fixture
def weights():
    """A classifier's weights as read from a file."""
    return parse_checkpoint(MODELS.build(classifier()).state_dict(), 'weights')


def assert_loaded(model: nn.Module, state: dict) -> None:
    own = model.state_dict()
    assert own.keys() == state.keys()
    assert all(torch.equal(own[key], state[key]) for key in own)


def test_training_file_is_tested_and_resumed(make_runner, trained):
    saved = load_weights_only(trained)
    assert {'message_hub', 'optimizer', 'ema_state_dict'} <= saved.keys()
    # Without EMAHook a test uses state_dict, which holds the averaged weights.
    runner = make_runner(load_from=str(trained), custom_hooks=[])
    runner.test()
    assert_loaded(runner.model, saved['state_dict'])

    runner = make_runner(epochs=2, resume=True)
    runner.train()
    assert (runner.epoch, runner.iter) == (2, 4)
    # The resumed run took the plain weights, which the hook keeps under ema_state_dict.
    runner = make_runner(resume=True, load_from=str(trained))
    runner.call_hook('before_run')
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.load_or_resume()
    plain = saved['ema_state_dict']
    assert_loaded(runner.model, {k[7:]: v for k, v in plain.items() if k.startswith('module.')})
    # What convert.py starts from.
    for ema, source in ((None, saved['state_dict']), (False, runner.model.state_dict())):
        weights = read_checkpoint(trained, ema=ema)
        assert (weights.layout, weights.averaged) == ('mm', ema is None)
        assert all(v.equal(source[f'backbone.{k}']) for k, v in weights.backbone.items())


def test_training_file_of_two_heads(make_runner, tmp_path):
    model = classifier()
    model['backbone'] |= dict(type='uniformer_mm.UniFormerLight', with_cls_token=True)
    model |= dict(neck=None, head={**model['head'], 'type': 'uniformer_mm.LightClsHead'})
    make_runner(model=model).train()
    path = tmp_path / 'work' / 'epoch_1.pth'
    runner = make_runner(model=model, load_from=str(path), custom_hooks=[])
    runner.test()
    assert_loaded(runner.model, load_weights_only(path)['state_dict'])
    assert {'norm_cls.weight', 'head_cls.weight'} <= read_checkpoint(path).classifier.keys()
    runner = make_runner(epochs=2, model=model, resume=True)
    runner.train()
    assert runner.iter == 4


@pytest.mark.parametrize('layout', ['bare', 'model', 'module', 'converted', 'openmixup'])
def test_official_file_in_load_from(make_runner, weights, tmp_path, layout):
    official = to_official(weights)
    expected = {f'backbone.{key}': value for key, value in weights.backbone.items()}
    expected |= {key.replace('head.', 'head.fc.'): v for key, v in weights.classifier.items()}
    checkpoint = {
        'bare': official,
        'model': {'model': official, 'epoch': 3},
        'module': {'state_dict': {f'module.{key}': value for key, value in official.items()}},
        'converted': {'state_dict': expected, 'meta': {'head_dim': 16}},
        'openmixup': layouts(official)['openmixup with EMA buffers'],
    }[layout]
    torch.save(checkpoint, tmp_path / 'a.pth')
    runner = make_runner(load_from=str(tmp_path / 'a.pth'))
    runner.test()
    assert_loaded(runner.model, expected)
    # EMAHook, which reads the same checkpoint after the guard, has them as well.
    averaged = next(hook.ema_model for hook in runner.hooks if hasattr(hook, 'ema_model'))
    assert_loaded(averaged.module, expected)


def test_training_file_starts_a_run_on_other_classes(make_runner, trained):
    saved = load_weights_only(trained)['state_dict']
    runner = make_runner(load_from=str(trained), num_classes=3, guard={'allow_new_head': True})
    runner.test()
    assert runner.model.head.fc.weight.shape == (3, 16)
    averaged = next(hook.ema_model for hook in runner.hooks if hasattr(hook, 'ema_model'))
    key = 'backbone.blocks4.0.mlp.fc1.weight'
    assert torch.equal(averaged.module.state_dict()[key], saved[key])


@pytest.mark.parametrize(
    ('file', 'resume', 'message'),
    [
        ('truncated.pth', False, 'truncated'),
        (None, True, 'empty'),  # the newest of the work dir
        ('weights.pth', True, 'nothing can be resumed'),
    ],
)
def test_unusable_files(make_runner, trained, weights, tmp_path, file, resume, message):
    (tmp_path / 'truncated.pth').write_bytes(trained.read_bytes()[:1000])
    torch.save(to_official(weights), tmp_path / 'weights.pth')
    trained.write_bytes(b'')
    runner = make_runner(epochs=2, load_from=file and str(tmp_path / file), resume=resume)
    with pytest.raises(CheckpointError, match=message):
        runner.train()


def altered(path: Path, change: Callable[[dict], object]) -> Path:
    """A copy of a training file in another folder, changed."""
    checkpoint = load_weights_only(path)
    change(checkpoint)
    target = path.parents[1] / 'other' / path.name
    target.parent.mkdir(exist_ok=True)
    torch.save(checkpoint, target)
    return target


def test_names_of_released_files(make_runner, trained, tmp_path, monkeypatch):
    """In load_from, for a test, and in init_cfg; here of a file that a browser has fetched."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    name = 'uniformer_base_ls'
    (tmp_path / 'checkpoints').mkdir()
    trained.rename(tmp_path / f'checkpoints/{name}.pth')
    expected = read_checkpoint(name).backbone
    started = classifier()
    started['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint=name)
    for settings in (dict(load_from=name), dict(model=started)):
        runner = make_runner(custom_hooks=[], **settings)
        runner.model.init_weights()
        if 'load_from' in settings:
            runner.test()
        for key, value in runner.model.backbone.state_dict().items():
            assert torch.equal(value, expected[key])


def test_resuming_runs_no_text(make_runner, trained, tmp_path):
    """MMEngine parses an entry of the file as Python; so it does without the hook, from a tool."""
    text = f'open({str(tmp_path / "marker")!r}, "w")'
    path = altered(trained, lambda file: file['meta'].update(config=text))
    make_runner(epochs=2, resume=True, load_from=str(path)).train()
    # A config without the hook, as the tools start it.
    address = through_safe_reader(path)
    runner = make_runner(epochs=2, resume=True, default_hooks=None, load_from=address)
    runner.train()
    assert runner.epoch == 2 and not (tmp_path / 'marker').exists()


def test_resuming_deletes_nothing_of_others(make_runner, trained, tmp_path):
    """Not what the file names as the best before, be it the best of the run that it is from."""
    (best,) = trained.parent.glob('best_*.pth')
    victim = tmp_path / 'best_folder'
    victim.mkdir()

    def improve(file: dict, named: Path | None = None) -> None:
        info = file['message_hub']['runtime_info']
        info['best_score'] = -1.0  # so that the next is better
        info['best_ckpt'] = str(named or info['best_ckpt'])

    for named in (victim, None):
        path = altered(trained, lambda file, named=named: improve(file, named))
        work_dir = str(tmp_path / 'second')
        make_runner(epochs=2, resume=True, load_from=str(path), work_dir=work_dir).train()
        assert best.exists() and victim.exists()
        assert list(Path(work_dir).glob('best_*.pth'))
    # In its own folder the old best is replaced.
    improve_own = altered(trained, improve)
    improve_own.replace(trained)
    make_runner(epochs=2, resume=True).train()
    assert [file.name for file in trained.parent.glob('best_*')] == [
        best.name.replace('epoch_1', 'epoch_2')
    ]


def shapes_of_another_model(file: dict) -> None:
    for state in file['optimizer']['state'].values():
        state['exp_avg'] = state['exp_avg'][None]


ODD = (
    (lambda file: file.update(meta=[1]), 'no state of a training run'),
    (lambda file: file['meta'].update(epoch=-1), 'epoch.* is no count'),
    (lambda file: file['meta'].update(epoch=9), 'raise train_cfg.max_epochs'),
    (lambda file: file.update(message_hub=None), 'message_hub.*log_scalars'),
    (lambda file: file['message_hub']['runtime_info'].update(keep_ckpt_ids=['/a']), 'ids'),
    (lambda file: file['message_hub']['runtime_info'].update(best_score='0'), 'best_score'),
    (lambda file: file.pop('optimizer'), 'no optimizer.* best_'),
    (lambda file: file['optimizer']['param_groups'][0].update(lr=float('nan')), 'lr of its'),
    (lambda file: file['optimizer']['param_groups'][0]['params'].pop(), 'of another model'),
    (shapes_of_another_model, 'exp_avg of its optimizer'),
    (lambda file: file['param_schedulers'].append({}), 'param_scheduler of the config'),
    (lambda file: file['param_schedulers'][0].update(last_step=0.5), 'last_step of its Cosine'),
    (lambda file: file['message_hub']['resumed_keys'].update(iter=False), 'iter is not resumed'),
    (lambda file: file.pop('state_dict'), "'state_dict' .* is not a mapping"),
    (lambda file: file.pop('ema_state_dict'), 'of a run without averaged weights'),
    (lambda file: file['ema_state_dict'].pop('steps'), 'no count of steps'),
    (lambda file: file['ema_state_dict'].popitem(), 'Missing from the file'),
)


def test_odd_training_states(make_runner, trained):
    for change, message in ODD:
        runner = make_runner(epochs=2, resume=True, load_from=str(altered(trained, change)))
        with pytest.raises(CheckpointError, match=message):
            runner.train()


def test_files_of_a_run_tell_their_head_dim(make_runner, trained):
    model = classifier()
    model['backbone']['arch'] = {**LAYERS, 'head_dim': 8}
    with pytest.raises(CheckpointError, match='was trained with head_dim=16'):
        make_runner(model=model, load_from=str(trained)).test()


def test_weights_of_safetensors(make_runner, weights, tmp_path):
    path = tmp_path / 'a.safetensors'
    state = to_official(weights)
    save_checkpoint({'model': state, 'meta': {'head_dim': 16}}, path)
    runner = make_runner(load_from=str(path))
    runner.test()
    assert torch.equal(runner.model.head.fc.weight, state['head.weight'])


def test_model_init_cfg_is_refused(make_runner, weights, tmp_path):
    """MMEngine would load it non-strictly, from an official file nothing at all."""
    torch.save(to_official(weights), tmp_path / 'a.pth')
    init_cfg = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'a.pth')}
    with pytest.raises(CheckpointError, match='use load_from'):
        make_runner(model={**classifier(), 'init_cfg': init_cfg}).train()
    backbone = {**classifier()['backbone'], 'init_cfg': init_cfg}
    runner = make_runner(model={**classifier(), 'backbone': backbone})
    runner._init_model_weights()
    loaded = runner.model.backbone.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in weights.backbone.items())


def test_two_guards_may_disagree(make_runner):
    hook = dict(type='uniformer_mm.CheckpointGuardHook', class_order='kinetics400')
    with pytest.raises(CheckpointError, match='default_hooks.checkpoint_guard instead'):
        make_runner(custom_hooks=[hook]).train()


def guard(model: nn.Module, checkpoint: dict, **kwargs) -> dict:
    """Run the hook alone; returns the state dict that it hands to MMEngine."""
    runner = SimpleNamespace(model=model, _load_from='some/file.pth', _resume=False, work_dir='.')
    CheckpointGuardHook(**kwargs).after_load_checkpoint(runner, checkpoint)
    return checkpoint['state_dict']


@pytest.fixture
def model():
    return MODELS.build(classifier())


@pytest.fixture
def state():
    return MODELS.build(classifier()).state_dict()


QKV = 'backbone.blocks3.0.attn.qkv.weight'


@pytest.mark.parametrize(
    ('key', 'value', 'said'),
    [
        (QKV, None, f'Missing from the file (1):\n    {QKV} (48, 16)'),
        ('backbone.gamma_1', torch.zeros(16), 'Not in the model (1):\n    backbone.gamma_1 (16,)'),
        (QKV, torch.zeros(16, 48), f'{QKV}: the model has (48, 16), the file (16, 48)'),
    ],
)
def test_differences(model, state, key, value, said):
    state = {k: v for k, v in {**state, key: value}.items() if v is not None}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CheckpointError) as error:
        guard(model, {'state_dict': state})
    if 'the model has' in said:
        assert_loaded(model, before)
    assert 'some/file.pth does not fit the model' in str(error.value)
    assert said in str(error.value)


def test_allowed_differences(model, state):
    state = {k: v for k, v in state.items() if not k.endswith('num_batches_tracked')}
    state['data_preprocessor.mean'] = torch.zeros(3)
    assert 'data_preprocessor.mean' not in guard(model, {'state_dict': state})
    with pytest.raises(CheckpointError, match='head_dim=32'):
        guard(model, {'state_dict': state, 'meta': {'head_dim': 32}})


def test_other_classes(state):
    model = MODELS.build(classifier(num_classes=5))
    with pytest.raises(CheckpointError, match='allow_new_head=True'):
        guard(model, {'state_dict': dict(state)})
    before = model.head.fc.weight.clone()
    loaded = guard(model, {'state_dict': dict(state)}, allow_new_head=True)
    assert torch.equal(model.head.fc.weight, before)
    assert set(state) - set(loaded) == {'head.fc.weight', 'head.fc.bias'}
    assert torch.equal(model.backbone.norm.weight, state['backbone.norm.weight'])
    # The rest stays strict.
    broken = {k: v for k, v in state.items() if k != 'backbone.norm.weight'}
    with pytest.raises(CheckpointError, match=r'backbone\.norm\.weight'):
        guard(model, {'state_dict': broken}, allow_new_head=True)


def test_wrapped_models(model, state):
    guard(nn.DataParallel(model), {'state_dict': state})
    assert_loaded(model, state)
    tta = MODELS.build({'type': 'mmpretrain.AverageClsScoreTTA', 'module': classifier()})
    guard(tta, {'state_dict': state})
    assert_loaded(tta.module, state)


class Estimator(nn.Module):
    """Renames entries while it loads, as mmpose's estimators do."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(2, 2)
        self._register_load_state_dict_pre_hook(self.rename)

    def rename(self, state, prefix, *args):
        for key in [key for key in state if key.startswith('former_head.')]:
            state[key.replace('former_head.', 'head.')] = state.pop(key)


def test_renaming_by_the_model():
    model = Estimator()
    state = {'former_head.weight': torch.ones(2, 2), 'former_head.bias': torch.ones(2)}
    guard(model, {'state_dict': dict(state)})
    assert model.head.weight.eq(1).all()
    state['former_head.weight'] = torch.ones(3, 2)
    with pytest.raises(CheckpointError, match=r'size mismatch for head\.weight'):
        guard(model, {'state_dict': state})
