"""Every layout of weights reads to the same tensors; what is no checkpoint is refused and named."""

import os
import re
from pathlib import Path

import pytest
import torch
from weight_layouts import LAYOUTS, assert_same, layouts, shifted, to_openmixup

from uniformer_mm.checkpoints import (
    RELEASED,
    CheckpointError,
    known_head_dim,
    parse_checkpoint,
    read_checkpoint,
    save_checkpoint,
    to_mm,
    to_official,
)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_reads_the_same(thin, layout, tmp_path):
    torch.save(layouts(thin)[layout], tmp_path / 'a.pth')
    weights = read_checkpoint(tmp_path / 'a.pth')
    assert_same({**weights.backbone, **weights.classifier}, thin)
    assert weights.classifier.keys() == {'head.weight', 'head.bias'}
    assert not weights.other
    expected = {'mm': 'mm', 'openmixup': 'openmixup'}.get(layout.split()[0], 'official')
    assert weights.layout == expected


# Official files with a second head: the model, whether for clips, and the heads' names in both.
SECOND = {
    'labelled': ('uniformer_small_tl', False, {'head': 'head.fc', 'aux_head': 'head.aux_fc'}),
    'light': (
        'uniformer_xxs',
        False,
        {'head': 'head.fc', 'norm_cls': 'head.token_norm', 'head_cls': 'head.token_fc'},
    ),
    'light clips': (
        'uniformer_xxs',
        True,
        {
            'head': 'cls_head.fc_cls',
            'norm_cls': 'cls_head.token_norm',
            'head_cls': 'cls_head.token_fc',
        },
    ),
}


@pytest.mark.parametrize('layout', [name for name in LAYOUTS if 'openmixup' not in name])
@pytest.mark.parametrize('model, clips, heads', SECOND.values(), ids=SECOND)
def test_files_with_a_second_head(thin_file, model, clips, heads, layout):
    state = thin_file(model, clips)
    weights = parse_checkpoint(layouts(state)[layout], 'a.pth')
    assert_same(to_official(weights), state)
    assert {key.rpartition('.')[0] for key in weights.classifier} == heads.keys()
    assert weights.token_labelling == ('aux_head' in heads)
    mm = to_mm(weights)
    assert_same(to_mm(parse_checkpoint({'state_dict': mm}, 'b.pth')), mm)
    expected = {f'backbone.{key}': value for key, value in weights.backbone.items()}
    for key, value in weights.classifier.items():
        module, _, leaf = key.rpartition('.')
        expected[f'{heads[module]}.{leaf}'] = value
    assert_same(mm, expected)


@pytest.mark.parametrize(
    'layout, default',
    [('training', 0), ('training in DDP', 0), ('timm', 0), ('mm with EMAHook', 1)],
)
def test_averaged_weights(thin, layout, default):
    """EMAHook swaps on saving, so that its state_dict holds the averaged weights."""
    plain, averaged = (shifted(thin), thin) if default else (thin, shifted(thin))
    for ema in (None, True, False):
        weights = parse_checkpoint(layouts(thin)[layout], 'a.pth', ema=ema)
        assert weights.averaged == bool(default if ema is None else ema)
        found = {**weights.backbone, **weights.classifier}
        assert_same(found, averaged if weights.averaged else plain)


def test_openmixup_of_a_conv_stem(golden_imagenet):
    keys = golden_imagenet['models']['uniformer_small_plus']['keys']
    state = {key: torch.empty(shape, device='meta') for key, shape in keys.items()}
    weights = parse_checkpoint({to_openmixup(key): v for key, v in state.items()}, 'a.pth')
    assert {**weights.backbone, **weights.classifier}.keys() == keys.keys()


def test_dense_file_keeps_its_names(golden_dense):
    backbone = {k: torch.zeros(s) for k, s in golden_dense['maps']['uniformer_small_dense'].items()}
    state = {f'backbone.{key}': value for key, value in backbone.items()}
    state |= {'neck.conv.weight': torch.zeros(1), 'roi_head.fc.bias': torch.zeros(1)}
    weights = parse_checkpoint({'state_dict': state}, 'a.pth')
    assert weights.backbone.keys() == backbone.keys()
    assert weights.other.keys() == {'neck.conv.weight', 'roi_head.fc.bias'}
    assert to_mm(weights).keys() == state.keys()


def test_prefix(thin):
    state = {f'detector.body.{key}': value for key, value in thin.items()}
    for prefix in ('detector.body', 'detector.body.'):
        weights = parse_checkpoint({'state_dict': state}, 'a.pth', prefix=prefix)
        assert_same({**weights.backbone, **weights.classifier}, thin)
    with pytest.raises(CheckpointError, match="starts with 'backbone.'.*detector"):
        parse_checkpoint({'state_dict': state}, 'a.pth', prefix='backbone')


@pytest.mark.parametrize(
    'checkpoint, ema, message',
    [
        (torch.zeros(1), None, 'holds a Tensor'),
        ({}, None, 'not a mapping of names to tensors'),
        ({'epoch': 1, 'args': 'x'}, None, 'epoch, args'),
        ({'model': {}}, None, "Entry 'model'"),
        ({'state_dict': {'a': 1}}, None, "Entry 'state_dict'"),
        ({'model_ema': {'a': torch.zeros(1)}}, None, 'not a mapping'),
        ({'a': torch.zeros(1), 'module.a': torch.zeros(1)}, None, 'both with and without'),
        ({'model': {'a': torch.zeros(1)}}, True, 'no averaged weights'),
    ],
)
def test_no_weights(checkpoint, ema, message):
    with pytest.raises(CheckpointError, match=message):
        parse_checkpoint(checkpoint, 'a.pth', ema=ema)


@pytest.mark.parametrize(
    'content, message',
    [
        (None, 'There is no checkpoint'),
        (b'', 'is empty'),
        (b'<!DOCTYPE html><html>Google Drive</html>', 'web page'),
        (b'\n  <html>', 'web page'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'Git LFS'),
        (b'PK\x03\x04 and no more', 'truncated'),
        (b'weights', 'cannot be read as a checkpoint'),
    ],
)
def test_other_files(tmp_path, content, message):
    if content is not None:
        (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='not a file'):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('part', [0.1, 0.5, 0.99])
def test_truncated_file(thin, tmp_path, zipped, part):
    path = tmp_path / 'a.pth'
    torch.save(thin, path, _use_new_zipfile_serialization=zipped)
    os.truncate(path, int(path.stat().st_size * part))
    with pytest.raises(CheckpointError, match='truncated' if zipped else 'damaged'):
        read_checkpoint(path)


def test_message_does_not_advise_to_run_code(tmp_path):
    torch.save({'model': {'a': torch.zeros(1)}, 'args': os.system}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='could run code') as error:
        read_checkpoint(tmp_path / 'a.pth')
    assert 'weights_only=False' not in str(error.value)


class TestReleased:
    def test_table(self):
        orders = {'k400': 'kinetics400', 'k600': 'kinetics600', 'sthv1': 'sthv1'}
        for name, entry in RELEASED.items():
            assert entry.head_dim in (28, 32, 64)
            data = re.match(r'uniformer_.*?_(k400|k600|sthv1)(_|$)', name)
            assert entry.class_order == (orders[data[1]] if data else None)
            for path in (f'exp/{name}.pth', f'{name}-0123abcd_20240101.pth'):
                assert known_head_dim(path, entry.token_labelling) == entry.head_dim
            assert known_head_dim(name, not entry.token_labelling) is None
            if entry.url and 'drive' not in entry.url:
                assert entry.url.rpartition('/')[2] == f'{name}.pth'

    def test_other_names_of_a_file(self):
        for name, head_dim in (
            ('https://host/resolve/main/uniformer_base_in1k.pth?download=true', 64),
            ('weights/uniformer_small_plus_in1k.pth', 32),
            ('uniformer_small_plus_dim64_224-0123abcd.pth', 64),
            ('exp/uniformer_s16x4_k400.pyth', 64),
            ('exp/uniformer_b32_sthv2_prek600.pyth', 64),
            ('top_down_256x192_global_small.pth', 64),
            ('exp_light/xxs_160.pth', 28),
            ('uniformer_xs_224.pth', 32),
            ('uniformer_xxs16_160_k400.pyth', 28),
            ('uniformer_small_tl.pth', None),
            ('my_weights.pth', None),
        ):
            assert known_head_dim(name, False) == head_dim
        assert known_head_dim('uniformer_base_tl_384.pth.tar', True) == 32
        assert known_head_dim('uniformer_base_dim64_tl.pth', True) == 64
        assert known_head_dim('uniformer_base_dim64_tl_384.pth', True) == 64


class TestWriting:
    def test_round_trip(self, thin):
        mm = to_mm(parse_checkpoint(thin, ''))
        assert {'backbone.norm.weight', 'head.fc.weight'} <= mm.keys()
        assert_same(to_official(parse_checkpoint({'state_dict': mm}, '')), thin)

    def test_parts_without_a_place(self, thin, thin_file):
        with pytest.raises(CheckpointError, match="'aux_head', which no recognizer has"):
            to_mm(parse_checkpoint(thin_file('uniformer_small_tl', clips=True), ''))
        with pytest.raises(CheckpointError, match='neck'):
            mm = {**to_mm(parse_checkpoint(thin, '')), 'neck.bias': torch.zeros(1)}
            to_official(parse_checkpoint(mm, ''))

    def test_saving_is_atomic(self, tmp_path, monkeypatch):
        path = save_checkpoint({'a': torch.ones(1)}, tmp_path / 'new' / 'a.pth')
        with pytest.raises(FileExistsError):
            save_checkpoint({'a': torch.zeros(1)}, path)

        def fail(file, data):
            with file.open('wb') as half:
                half.write(data[:9])
            raise OSError('disk full')

        monkeypatch.setattr(Path, 'write_bytes', fail)
        with pytest.raises(OSError, match='disk full'):
            save_checkpoint({}, path, force=True)
        assert torch.load(path)['a'] == 1
        assert list(path.parent.iterdir()) == [path]
