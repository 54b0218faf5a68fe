"""tools/checkpoints/convert.py: what it writes loads, and it destroys nothing."""

import argparse
import hashlib
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from weight_layouts import CLASSIFIER, LIGHT, assert_same, heads

from uniformer_mm import DualFormer, UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D
from uniformer_mm.checkpoints import CLASS_ORDERS, class_order, load_backbone, read_checkpoint

ARCH = {'depths': (1, 1, 1, 1), 'embed_dims': (16, 16, 16, 32), 'head_dim': 16}
HEAD_DIM = ('--head-dim', 16)
CLIP = (16, 64, 64)


@pytest.fixture
def convert(repo_root, monkeypatch, capsys):
    """Run the tool in this process; gives its exit code and what it said."""
    main = runpy.run_path(str(repo_root / 'tools/checkpoints/convert.py'))['main']

    def run(*args: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, 'argv', ['convert.py', *map(str, args)])
        try:
            main()
        except SystemExit as stop:
            return (stop.code, '') if isinstance(stop.code, int) else (1, str(stop.code))
        return 0, capsys.readouterr().out

    return run


@pytest.fixture
def official(tmp_path) -> Path:
    """An official training file with averaged weights."""
    state = UniFormer(ARCH, out_indices=(3,), final_norm=True).state_dict()
    state['head.weight'], state['head.bias'] = torch.rand(5, 32), torch.rand(5)
    averaged = {key: value + 1 for key, value in state.items()}
    path = tmp_path / 'official.pth'
    torch.save({'model': state, 'model_ema': averaged, 'optimizer': {'lr': 1}, 'epoch': 9}, path)
    return path


def test_to_mm_and_back(convert, official, tmp_path):
    mm = tmp_path / 'out' / 'mm.pth'
    code, said = convert(official, mm, *HEAD_DIM)
    assert code == 0 and said.splitlines()[-1] == f'Wrote {mm}'
    source, written = torch.load(official)['model'], torch.load(mm)
    assert written.keys() == {'state_dict', 'meta'}
    expected = {f'backbone.{k}': v for k, v in source.items() if not k.startswith('head.')}
    expected |= {k.replace('head.', 'head.fc.'): source[k] for k in ('head.weight', 'head.bias')}
    assert written['state_dict'].keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in written['state_dict'].items())
    meta = written['meta']
    assert meta['arch'].items() >= {**ARCH, 'mlp_ratio': 4.0}.items()
    assert (meta['type'], meta['head_dim'], meta['averaged']) == (
        'uniformer_mm.UniFormer',
        16,
        False,
    )
    assert meta['source_sha256'] == hashlib.sha256(official.read_bytes()).hexdigest()

    code, said = convert(mm, tmp_path / 'published.pth', '--to', 'official', '--add-hash')
    assert code == 0
    published = Path(said.split()[-1])
    assert published.stem == f'published-{hashlib.sha256(published.read_bytes()).hexdigest()[:8]}'
    again = torch.load(published)
    assert again.keys() == {'model', 'meta'} and again['model'].keys() == source.keys()
    assert all(torch.equal(again['model'][key], source[key]) for key in source)
    load_backbone(UniFormer(ARCH), published)


def test_safetensors(convert, official, tmp_path):
    """There is no pickle in it; what the file says of itself is read again."""
    mm, back = tmp_path / 'mm.safetensors', tmp_path / 'back.pth'
    assert convert(official, mm, *HEAD_DIM)[0] == 0
    assert convert(mm, back, '--to', 'official')[0] == 0  # with the head_dim of the file
    expected, again = torch.load(official)['model'], torch.load(back)
    assert_same(again['model'], expected)
    assert again['meta']['head_dim'] == 16
    assert convert(mm, back, '--to', 'official')[0] == 1


def test_averaged_weights(convert, official, tmp_path):
    assert convert(official, tmp_path / 'a.pth', *HEAD_DIM, '--ema')[0] == 0
    written = torch.load(tmp_path / 'a.pth')
    expected = torch.load(official)['model_ema']['norm.weight']
    assert torch.equal(written['state_dict']['backbone.norm.weight'], expected)
    assert written['meta']['averaged']


def test_written_file_is_a_classifier(convert, official, tmp_path):
    models = pytest.importorskip('mmpretrain.models')
    convert(official, tmp_path / 'mm.pth', *HEAD_DIM)
    backbone = dict(type='uniformer_mm.UniFormer', out_indices=(3,), final_norm=True, arch=ARCH)
    head = dict(type='LinearClsHead', num_classes=5, in_channels=32)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = models.ImageClassifier(backbone, dict(type='GlobalAveragePooling'), head)
    model.load_state_dict(torch.load(tmp_path / 'mm.pth')['state_dict'], strict=True)


def test_backbone_of_a_dense_model(convert, official, tmp_path):
    dense = UniFormer(ARCH, out_indices=(1, 2, 3)).state_dict()
    state = {f'backbone.{key}': value for key, value in dense.items()}
    torch.save({'state_dict': {**state, 'neck.weight': torch.zeros(1)}}, tmp_path / 'dense.pth')
    args = (tmp_path / 'dense.pth', tmp_path / 'a.pth', *HEAD_DIM)
    code, said = convert(*args)
    assert code == 1 and '--task dense or --task backbone' in said
    assert convert(*args, '--task', 'backbone')[0] == 0
    written = torch.load(tmp_path / 'a.pth')
    assert written['state_dict'].keys() == state.keys()
    assert written['meta']['out_indices'] == (1, 2, 3)
    args = (official, tmp_path / 'b.pth', *HEAD_DIM, '--task', 'backbone', '--to', 'official')
    assert convert(*args)[0] == 0 and not read_checkpoint(tmp_path / 'b.pth').classifier


@pytest.mark.parametrize('name', ['kinetics400', 'sthv1'])
def test_classes_are_renumbered(convert, tmp_path, name):
    size = CLASS_ORDERS[name]
    numbers = torch.arange(float(size))
    state = UniFormer3D(ARCH).state_dict()
    state['head.weight'], state['head.bias'] = torch.rand(size, 32), numbers
    source, mm, official = (tmp_path / f'{name}.pth' for name in ('source', 'mm', 'official'))
    torch.save({'model_state': state, 'epoch': 9}, source)
    order, other = ('--class-order', name), ('--class-order', 'kinetics600')
    code, said = convert(source, mm, *HEAD_DIM)
    assert code == 1 and f'--class-order {name}' in said and not mm.exists()
    code, said = convert(source, mm, *HEAD_DIM, *other)
    assert code == 1 and f'head of {size} classes' in said
    assert convert(source, mm, *HEAD_DIM, *order)[0] == 0
    written = torch.load(mm)
    assert written['meta']['type'] == 'uniformer_mm.UniFormer3D'
    bias = written['state_dict']['cls_head.fc_cls.bias']
    assert torch.equal(bias[class_order(name)], numbers)

    back = ('--to', 'official')
    assert convert(mm, official, *back)[0] == 1
    assert convert(mm, official, *back, *order)[0] == 0
    assert torch.equal(torch.load(official)['model']['head.bias'], numbers)
    code, said = convert(official, tmp_path / 'b.pth', *back, *order)
    assert code == 1 and 'renumbers between official and mm files' in said
    assert convert(source, tmp_path / 'c.pth', *HEAD_DIM, '--class-order', 'keep')[0] == 0
    kept = torch.load(tmp_path / 'c.pth')['state_dict']['cls_head.fc_cls.bias']
    assert torch.equal(kept, numbers)

    models = pytest.importorskip('mmaction.models')
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = models.Recognizer3D(
            backbone={'type': 'uniformer_mm.UniFormer3D', 'arch': ARCH},
            cls_head={'type': 'I3DHead', 'num_classes': size, 'in_channels': 32},
        )
    model.load_state_dict(written['state_dict'], strict=True)


LIGHT_HEADS = ('head', 'norm_cls', 'head_cls')


@pytest.mark.parametrize(
    'network, parts, names',
    [
        (UniFormer, ('head', 'aux_head'), 'head.fc head.aux_fc'),
        (UniFormerLight, LIGHT_HEADS, 'head.fc head.token_norm head.token_fc'),
        (UniFormerLight3D, LIGHT_HEADS, 'cls_head.fc_cls cls_head.token_norm cls_head.token_fc'),
    ],
)
def test_second_heads_there_and_back(convert, tmp_path, network, parts, names):
    state = {**network(LIGHT, **CLASSIFIER).state_dict(), **heads(*parts, num_classes=400)}
    source, mm, official = (tmp_path / f'{name}.pth' for name in ('source', 'mm', 'official'))
    training = {'optimizer': {'lr': 1}, 'args': argparse.Namespace(model='uniformer_xxs')}
    torch.save({'model': state, 'model_ema': state, **training}, source)
    order = ('--class-order', 'kinetics400') if network.ndim == 3 else ()
    assert convert(source, mm, *HEAD_DIM, *order)[0] == 0
    written = torch.load(mm)
    found = {key.rpartition('.')[0] for key in written['state_dict'] if 'head' in key}
    assert found == set(names.split())
    assert written['meta']['type'] == f'uniformer_mm.{network.__name__}'
    assert convert(mm, official, '--to', 'official', *order)[0] == 0
    assert_same(torch.load(official)['model'], state)


def test_head_on_the_class_token_may_be_dropped(convert, official, tmp_path):
    state = {**UniFormerLight(LIGHT, **CLASSIFIER).state_dict(), **heads(*LIGHT_HEADS)}
    source, target = tmp_path / 'source.pth', tmp_path / 'a.pth'
    torch.save(state, source)
    assert convert(source, target, *HEAD_DIM, '--drop-token-head')[0] == 0
    written = torch.load(target)['state_dict']
    assert {key for key in written if 'head' in key} == {'head.fc.weight', 'head.fc.bias'}
    code, said = convert(official, target, *HEAD_DIM, '--force', '--drop-token-head')
    assert code == 1 and 'has no head on tokens' in said


def test_light_detector(convert, tmp_path):
    state = {f'backbone.{k}': v for k, v in UniFormerLight('mini').state_dict().items()}
    state |= {'neck.weight': torch.zeros(1), 'rpn_head.weight': torch.zeros(1)}
    source, target = tmp_path / 'source.pth', tmp_path / 'a.pth'
    torch.save({'state_dict': state, 'meta': {'CLASSES': ('person',)}}, source)
    assert convert(source, target, '--task', 'dense', '--arch', 'mini')[0] == 0
    written = torch.load(target)
    assert_same(written['state_dict'], state)
    assert written['meta']['type'] == 'uniformer_mm.UniFormerLight'
    assert written['meta']['dataset_meta'] == {'classes': ('person',)}


def test_dualformer(convert, tmp_path):
    """Its authors' files have MMAction2's layout and order of classes already."""
    backbone = {
        f'backbone.{k}': v for k, v in DualFormer('mini', clip_size=CLIP).state_dict().items()
    }
    fc = {'cls_head.fc_cls.weight': torch.rand(400, 256), 'cls_head.fc_cls.bias': torch.rand(400)}
    tokens = {'cls_head.token_linear.6.bias': torch.rand(400)}
    teacher = {f'teacher.{key}': value for key, value in {**backbone, **fc}.items()}
    source, mm, bare = (tmp_path / f'{name}.pth' for name in ('source', 'mm', 'bare'))
    torch.save({'state_dict': {**backbone, **fc, **tokens, **teacher}}, source)
    for options, expected in (
        ((), {**backbone, **fc, **tokens}),
        (('--drop-token-head', '--force'), {**backbone, **fc}),
    ):
        assert convert(source, mm, '--arch', 'mini', *options)[0] == 0
        written = torch.load(mm)
        assert_same(written['state_dict'], expected)
    meta = written['meta']
    assert (meta['type'], meta['arch']) == ('uniformer_mm.DualFormer', 'mini')
    assert (meta['head_dim'], meta['clip_size']) == (32, CLIP)
    code, said = convert(mm, bare, '--to', 'official')
    assert code == 1 and 'use --to mm' in said
    assert convert(mm, bare, '--to', 'official', '--task', 'backbone')[0] == 0
    load_backbone(DualFormer('mini', clip_size=CLIP), bare)


def test_what_is_refused_leaves_no_file(convert, official, tmp_path):
    target = tmp_path / 'a.pth'
    state = torch.load(official)['model']
    del state['blocks4.0.mlp.fc2.bias']
    torch.save(state, tmp_path / 'half.pth')
    torch.save(state, tmp_path / 'uniformer_small_in1k.pth')
    for args, message in (
        ((official, target), '--head-dim'),
        ((official, target, *HEAD_DIM, '--arch', 'small'), "is not 'small'"),
        ((tmp_path / 'half.pth', target, *HEAD_DIM), 'blocks4.0.mlp.fc2.bias'),
        ((tmp_path / 'uniformer_small_in1k.pth', target, *HEAD_DIM), 'head_dim=64'),
        ((tmp_path / 'no.pth', target), 'error: There is no checkpoint'),
    ):
        code, said = convert(*args)
        assert code == 1 and message in said
        assert not target.exists()
    target.write_text('precious')
    code, said = convert(official, target, *HEAD_DIM)
    assert code == 1 and '--force' in said and target.read_text() == 'precious'
    assert convert(official, target, *HEAD_DIM, '--force')[0] == 0
    assert torch.load(target)['meta']['head_dim'] == 16
