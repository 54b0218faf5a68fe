"""Every layout of weights reads to the same tensors; nothing that does not fit gets in."""

import argparse
import os
import re
from pathlib import Path

import pytest
import torch
from seeded_weights import seeded_state_dict

from uniformer_mm import UniFormer
from uniformer_mm.architectures import ARCHS, Arch
from uniformer_mm.checkpoints import (
    CheckpointError,
    Differences,
    adapt_stem_weight,
    check_file,
    describe_weights,
    known_head_dim,
    load_backbone,
    parse_checkpoint,
    read_checkpoint,
    save_checkpoint,
    to_mm,
    to_official,
)

ARCH = {'depths': (1, 2, 3, 1), 'embed_dims': (16, 32, 32, 64), 'head_dim': 16}
CLASSIFIER = {'out_indices': (3,), 'final_norm': True}


@pytest.fixture(scope='module')
def tiny(golden_imagenet) -> dict:
    """UniFormer-T's official entries."""
    keys = golden_imagenet['models']['uniformer_tiny_openmixup']['keys']
    return seeded_state_dict(keys, torch.float32)


@pytest.fixture(scope='module')
def thin(golden_imagenet) -> dict:
    """The same entries with few channels, for what depends on names only."""
    keys = golden_imagenet['models']['uniformer_tiny_openmixup']['keys']
    clipped = {key: [min(size, 4) for size in shape] for key, shape in keys.items()}
    return seeded_state_dict(clipped, torch.float32)


@pytest.fixture
def small_file(tmp_path):
    """A function that builds a small classifier's official file and gives its path and entries."""

    def make(name='file.pth', head=True, **kwargs):
        state = UniFormer({**ARCH, **kwargs}, **CLASSIFIER).state_dict()
        if head:
            state['head.weight'], state['head.bias'] = torch.rand(5, 64), torch.rand(5)
        torch.save(state, tmp_path / name)
        return tmp_path / name, state

    return make


def assert_same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def to_openmixup(key: str) -> str:
    """OpenMixup's name of an official entry."""
    if key.startswith('head.'):
        return key.replace('head.', 'head.fc.')
    key = re.sub(r'^(patch_embed\d)\.proj\.', r'\1.projection.', key)
    key = re.sub(r'^(blocks[12]\.\d+)\.norm(\d)\.', r'\1.bn\2.', key)
    key = re.sub(r'^(blocks[34]\.\d+)\.norm(\d)\.', r'\1.ln\2.', key)
    key = re.sub(r'^(blocks\d\.\d+)\.mlp\.', r'\1.ffn.', key)
    return 'backbone.' + re.sub(r'^norm\.', 'norm3.', key)


def shifted(state: dict) -> dict:
    """Other values under the same names."""
    return {key: value + 1 for key, value in state.items()}


def layouts(state: dict) -> dict:
    """The same weights in every layout they are found in."""
    training = {
        'optimizer': {'state': {0: {'step': 1}}},
        'epoch': 299,
        'args': argparse.Namespace(model='uniformer', lr=1e-3),
    }
    wrapped = {f'module.{key}': value for key, value in state.items()}
    mm = to_mm(parse_checkpoint(state, 'state'))
    openmixup = {to_openmixup(key): value for key, value in state.items()}
    averaged = {f'ema_{key.replace(".", "_")}': v for key, v in openmixup.items()}
    return {
        'bare': state,
        'bare in DDP': wrapped,
        'model': {'model': state},
        'training': {'model': state, 'model_ema': shifted(state), **training},
        'training in DDP': {'model': wrapped, 'model_ema': shifted(wrapped), **training},
        'timm': {'state_dict': state, 'state_dict_ema': shifted(state), **training},
        'slowfast': {'model_state': state, 'cfg': 'MODEL: {}', 'epoch': 1},
        'mm': {'state_dict': mm, 'meta': {'epoch': 1}, 'message_hub': {}},
        'mm with EMAHook': {
            'state_dict': mm,
            'ema_state_dict': {
                'steps': torch.tensor(3),
                **{f'module.{key}': value + 1 for key, value in mm.items()},
            },
        },
        'openmixup': {'state_dict': openmixup, 'meta': {}},
        'openmixup with EMA buffers': {'state_dict': {**openmixup, **averaged}},
    }


LAYOUTS = tuple(layouts({'patch_embed1.proj.weight': torch.zeros(1)}))


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_reads_the_same(thin, layout, tmp_path):
    torch.save(layouts(thin)[layout], tmp_path / 'a.pth')
    weights = read_checkpoint(tmp_path / 'a.pth')
    assert_same({**weights.backbone, **weights.classifier}, thin)
    assert weights.classifier.keys() == {'head.weight', 'head.bias'}
    assert all(key.startswith('ema_') for key in weights.other)
    expected = {'mm': 'mm', 'openmixup': 'openmixup'}.get(layout.split()[0], 'official')
    assert weights.layout == expected


@pytest.mark.parametrize('layout', ['training', 'training in DDP', 'timm'])
def test_averaged_weights_of_official_files(thin, layout):
    weights = parse_checkpoint(layouts(thin)[layout], 'a.pth', ema=True)
    assert weights.averaged
    assert_same({**weights.backbone, **weights.classifier}, shifted(thin))
    assert not parse_checkpoint(layouts(thin)[layout], 'a.pth').averaged


def test_averaged_weights_of_mmengine(thin):
    """EMAHook swaps on saving: state_dict holds the averaged weights."""
    checkpoint = layouts(thin)['mm with EMAHook']
    for ema in (None, True):
        weights = parse_checkpoint(checkpoint, 'a.pth', ema=ema)
        assert weights.averaged
        assert_same({**weights.backbone, **weights.classifier}, thin)
    plain = parse_checkpoint(checkpoint, 'a.pth', ema=False)
    assert not plain.averaged
    assert_same({**plain.backbone, **plain.classifier}, shifted(thin))


def test_averaged_weights_that_are_not_there(thin):
    with pytest.raises(CheckpointError, match='no averaged weights'):
        parse_checkpoint({'model': thin}, 'a.pth', ema=True)


def test_openmixup_of_a_conv_stem(golden_imagenet):
    keys = golden_imagenet['models']['uniformer_small_plus']['keys']
    state = {key: torch.empty(shape, device='meta') for key, shape in keys.items()}
    weights = parse_checkpoint({to_openmixup(key): v for key, v in state.items()}, 'a.pth')
    assert {**weights.backbone, **weights.classifier}.keys() == keys.keys()


def test_dense_checkpoint_keeps_its_names(golden_dense):
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
    'checkpoint, message',
    [
        (torch.zeros(1), 'holds a Tensor'),
        ({}, 'not a mapping of names to tensors'),
        ({'epoch': 1, 'args': 'x'}, 'epoch, args'),
        ({'model': {}}, "Entry 'model'"),
        ({'state_dict': {'a': 1}}, "Entry 'state_dict'"),
        ({'model_ema': {'a': torch.zeros(1)}}, 'not a mapping'),
        ({'a': torch.zeros(1), 'module.a': torch.zeros(1)}, 'both with and without'),
    ],
)
def test_no_weights(checkpoint, message):
    with pytest.raises(CheckpointError, match=message):
        parse_checkpoint(checkpoint, 'a.pth')


class TestUnreadableFiles:
    @pytest.mark.parametrize(
        'content, message',
        [
            (b'', 'is empty'),
            (b'<!DOCTYPE html><html>Google Drive</html>', 'web page'),
            (b'\n  <html>', 'web page'),
            (b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'Git LFS'),
            (b'PK\x03\x04 and no more', 'truncated'),
            (b'weights', 'cannot be read as a checkpoint'),
        ],
    )
    def test_other_content(self, tmp_path, content, message):
        (tmp_path / 'a.pth').write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            read_checkpoint(tmp_path / 'a.pth')

    @pytest.mark.parametrize('zipped', [True, False])
    @pytest.mark.parametrize('part', [0.1, 0.5, 0.99])
    def test_truncated(self, thin, tmp_path, zipped, part):
        path = tmp_path / 'a.pth'
        torch.save(thin, path, _use_new_zipfile_serialization=zipped)
        os.truncate(path, int(path.stat().st_size * part))
        with pytest.raises(CheckpointError, match='truncated' if zipped else 'damaged'):
            read_checkpoint(path)

    def test_missing_and_folder(self, tmp_path):
        with pytest.raises(CheckpointError, match='There is no checkpoint'):
            read_checkpoint(tmp_path / 'a.pth')
        with pytest.raises(CheckpointError, match='not a file'):
            read_checkpoint(tmp_path)

    def test_code_is_refused(self, tmp_path):
        class Bomb:
            def __reduce__(self):
                return os.system, (f'touch {tmp_path / "marker"}',)

        torch.save({'model': {'a': torch.zeros(1)}, 'args': Bomb()}, tmp_path / 'a.pth')
        with pytest.raises(CheckpointError, match='could run code') as error:
            read_checkpoint(tmp_path / 'a.pth')
        assert 'weights_only=False' not in str(error.value)
        assert not (tmp_path / 'marker').exists()

    def test_good_file_passes_the_quick_check(self, small_file):
        check_file(small_file()[0])


class TestUrl:
    URL = 'https://host.example/resolve/main/a.pth?download=true'

    @pytest.fixture(autouse=True)
    def hub(self, tmp_path, monkeypatch):
        monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))

    def test_is_fetched_once(self, thin, tmp_path, monkeypatch):
        fetched = []

        def download(url, path, hash_prefix=None):
            fetched.append(url)
            torch.save(thin, path)

        monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
        for _ in range(2):
            weights = read_checkpoint(self.URL)
        assert fetched == [self.URL]
        assert weights.source == self.URL
        assert (tmp_path / 'hub' / 'checkpoints' / 'a.pth').exists()

    @pytest.mark.parametrize('page', [True, False])
    def test_failure_leaves_nothing(self, tmp_path, monkeypatch, page):
        def download(url, path, hash_prefix=None):
            if not page:
                raise OSError('no route to host')
            Path(path).write_text('<html>Sign in</html>')

        monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
        with pytest.raises(CheckpointError, match='give the local path'):
            read_checkpoint(self.URL)
        assert not any((tmp_path / 'hub' / 'checkpoints').iterdir())


class TestLoadBackbone:
    def test_classifier(self, tiny, tmp_path):
        torch.save({'model': tiny}, tmp_path / 'a.pth')
        backbone = UniFormer(
            'tiny', **CLASSIFIER, init_cfg={'type': 'Pretrained', 'checkpoint': tmp_path / 'a.pth'}
        )
        backbone.init_weights()
        head = {'head.weight', 'head.bias'}
        assert_same(backbone.state_dict(), {k: v for k, v in tiny.items() if k not in head})

    def test_dense_from_classification_reports_everything(self, small_file, log):
        path, state = small_file()
        backbone = UniFormer(ARCH)
        load_backbone(backbone, path, head_dim=16)
        own = backbone.state_dict()
        norms = {f'norm{i}.{leaf}' for i in range(1, 5) for leaf in ('weight', 'bias')}
        assert own.keys() - state.keys() == norms
        assert all(torch.equal(value, state[key]) for key, value in own.items() if key in state)
        norm = 'norm.{weight,bias,running_mean,running_var,num_batches_tracked}'
        assert f'Not used (7): {norm}, head.{{weight,bias}}.' in log.text
        assert 'initial values (8): norm1.{weight,bias}, norm2' in log.text
        assert len(log.records) == 1

    def test_dense_from_dense(self, tmp_path, log):
        dense = UniFormer(ARCH)
        torch.save({'state_dict': dense.state_dict()}, tmp_path / 'a.pth')
        fewer = UniFormer(ARCH, out_indices=(1, 2))
        load_backbone(fewer, tmp_path / 'a.pth', head_dim=16)
        assert_same(fewer.state_dict(), {k: dense.state_dict()[k] for k in fewer.state_dict()})
        assert 'norm1.{weight,bias}' in log.text
        # Stage norms are learned in dense training: a file with some of them must have all.
        torch.save(fewer.state_dict(), tmp_path / 'b.pth')
        with pytest.raises(CheckpointError, match=r'norm1\.weight'):
            load_backbone(UniFormer(ARCH, out_indices=(0, 1, 2)), tmp_path / 'b.pth', head_dim=16)

    def test_mm_prefix_as_in_stock_configs(self, small_file, tmp_path):
        _, state = small_file()
        torch.save({'state_dict': to_mm(parse_checkpoint(state, ''))}, tmp_path / 'mm.pth')
        for prefix in (None, 'backbone.'):
            backbone = UniFormer(ARCH, **CLASSIFIER)
            load_backbone(backbone, tmp_path / 'mm.pth', prefix=prefix)
            assert torch.equal(backbone.norm.weight, state['norm.weight'])

    def test_without_batch_counters(self, small_file, tmp_path):
        _, state = small_file()
        state = {k: v for k, v in state.items() if not k.endswith('num_batches_tracked')}
        load_backbone(UniFormer(ARCH, **CLASSIFIER), parse_checkpoint(state, ''), head_dim=16)

    @pytest.mark.parametrize('kind', ['missing', 'unexpected', 'misshapen'])
    def test_differences_are_errors_and_change_nothing(self, small_file, kind):
        _, state = small_file()
        key = 'blocks3.1.attn.qkv.weight'
        if kind == 'missing':
            del state[key]
        elif kind == 'unexpected':
            state['blocks3.0.attn.rel_pos'] = torch.zeros(3)
        else:
            state[key] = state[key][:-1]
        backbone = UniFormer(ARCH, **CLASSIFIER)
        before = {k: v.clone() for k, v in backbone.state_dict().items()}
        with pytest.raises(CheckpointError) as error:
            load_backbone(backbone, parse_checkpoint(state, 'some/file.pth'), head_dim=16)
        assert_same(backbone.state_dict(), before)
        assert 'some/file.pth does not fit this UniFormer' in str(error.value)
        expected = {
            'missing': 'Missing from the file (1):\n    blocks3.1.attn.qkv.weight (96, 32)',
            'unexpected': 'Not in the model (1):\n    blocks3.0.attn.rel_pos (3,)',
            'misshapen': f'{key}: the model has (96, 32), the file (95, 32)',
        }
        assert expected[kind] in str(error.value)

    @pytest.mark.parametrize(
        'file, model, hint',
        [
            ({}, {'layer_scale_init_value': 1e-6}, 'layer_scale_init_value=0'),
            ({'layer_scale_init_value': 1e-6}, {}, r'layer_scale_stages=\(0, 1, 2, 3\)'),
            (
                {},
                {'depths': (1, 2, 4, 1)},
                r'depths=\(1, 2, 4, 1\), the file depths=\(1, 2, 3, 1\)',
            ),
            ({}, {'embed_dims': (16, 32, 48, 64)}, 'embed_dims'),
            ({}, {'mlp_ratio': 3}, 'mlp_ratio=3.0, the file mlp_ratio=4.0'),
            (
                {},
                {'embed_types': ('conv',) * 4},
                r"embed_types=\('conv', .*, the file embed_types=\('patch'",
            ),
        ],
    )
    def test_cause_is_named(self, small_file, file, model, hint):
        path, _ = small_file(**file)
        with pytest.raises(CheckpointError, match=hint):
            load_backbone(UniFormer({**ARCH, **model}, **CLASSIFIER), path, head_dim=16)

    def test_layer_scale_in_some_stages(self, small_file, tmp_path):
        """B with layer scale has it in the last two stages only."""
        scaled = UniFormer(
            ARCH, **CLASSIFIER, layer_scale_init_value=1e-6, layer_scale_stages=(2, 3)
        )
        torch.save(scaled.state_dict(), tmp_path / 'a.pth')
        everywhere = UniFormer(ARCH, **CLASSIFIER, layer_scale_init_value=1e-6)
        with pytest.raises(CheckpointError, match=r'layer_scale_stages=\(2, 3\)'):
            load_backbone(everywhere, tmp_path / 'a.pth', head_dim=16)

    def test_other_network(self):
        weights = parse_checkpoint({'layer1.0.conv1.weight': torch.zeros(1)}, 'resnet.pth')
        with pytest.raises(CheckpointError, match='does not look like a UniFormer.*layer1'):
            load_backbone(UniFormer(ARCH), weights, head_dim=16)

    def test_dense_file_in_a_classifier(self, tmp_path):
        weights = parse_checkpoint(UniFormer(ARCH).state_dict(), 'dense.pth')
        with pytest.raises(CheckpointError, match='no classification norm'):
            load_backbone(UniFormer(ARCH, **CLASSIFIER), weights, head_dim=16)

    @pytest.mark.parametrize('style', ['global', 'window', 'hybrid'])
    def test_any_stage3_style(self, small_file, style):
        path, state = small_file()
        backbone = UniFormer(ARCH, stage3_style=style)
        load_backbone(backbone, path, head_dim=16)
        assert torch.equal(backbone.blocks3[2].attn.qkv.weight, state['blocks3.2.attn.qkv.weight'])

    def test_unknown_option(self, small_file):
        path, _ = small_file()
        init_cfg = {'type': 'Pretrained', 'checkpoint': str(path), 'strict': False}
        with pytest.raises(TypeError, match='strict'):
            UniFormer(ARCH, init_cfg=init_cfg).init_weights()


class TestHeadDim:
    @pytest.mark.parametrize(
        'name, token_labelling, expected',
        [
            ('uniformer_small_in1k.pth', False, 64),
            ('https://host/resolve/main/uniformer_base_in1k.pth', False, 64),
            ('weights/uniformer_small_plus.pth', False, 32),
            ('uniformer_small_plus_dim64.pth', False, 64),
            ('uniformer_small_tl_224.pth', True, 32),
            ('uniformer_base_tl_384.pth', True, 32),
            ('uniformer_base_dim64_tl_224.pth', True, 64),
            ('uniformer_large_ls_tl_384-0123abcd.pth', True, 64),
            ('uniformer_base_sthv2_32_prek600.pth', False, 64),
            ('exp/uniformer_s16x4_k400.pyth', False, 64),
            ('uniformer_xxs16_160_k400.pyth', False, 28),
            ('uniformer_small_in1k.pth', True, None),
            ('uniformer_small_tl_224.pth', False, None),
            ('my_weights.pth', False, None),
        ],
    )
    def test_known_files(self, name, token_labelling, expected):
        assert known_head_dim(name, token_labelling) == expected

    def test_contradiction_with_the_name(self, small_file):
        path, _ = small_file('uniformer_small_in1k.pth')
        with pytest.raises(CheckpointError, match='head_dim=64, but the backbone has head_dim=16'):
            load_backbone(UniFormer(ARCH), path)
        with pytest.raises(CheckpointError, match='init_cfg says head_dim=16'):
            load_backbone(UniFormer(ARCH), path, head_dim=16)

    def test_contradiction_with_meta(self, small_file, tmp_path):
        _, state = small_file()
        weights = parse_checkpoint({'model': state, 'meta': {'head_dim': 32}}, 'a.pth')
        with pytest.raises(CheckpointError, match='head_dim=32'):
            load_backbone(UniFormer(ARCH), weights)
        load_backbone(UniFormer({**ARCH, 'head_dim': 32}), weights)

    def test_unknown_is_a_warning(self, small_file, log):
        load_backbone(UniFormer(ARCH), small_file()[0])
        assert 'does not tell its head_dim' in log.text

    def test_token_labelling_must_be_stated(self, small_file, log):
        _, state = small_file()
        state |= {'aux_head.weight': torch.zeros(5, 64), 'aux_head.bias': torch.zeros(5)}
        weights = parse_checkpoint({'state_dict': state}, 'unknown.pth')
        with pytest.raises(CheckpointError, match='token labelling'):
            load_backbone(UniFormer(ARCH), weights)
        load_backbone(UniFormer(ARCH), weights, head_dim=16)
        assert 'aux_head.{weight,bias}' in log.text


class TestStem:
    @pytest.mark.parametrize('channels', [1, 2, 3, 4, 10])
    def test_equal_channels_give_the_same_response(self, channels):
        weight = torch.rand(8, 3, 4, 4, dtype=torch.float64)
        grey = torch.rand(2, 1, 16, 16, dtype=torch.float64)
        adapted = adapt_stem_weight(weight, channels)
        expected = torch.conv2d(grey.expand(-1, 3, -1, -1), weight, stride=4)
        found = torch.conv2d(grey.expand(-1, channels, -1, -1), adapted, stride=4)
        torch.testing.assert_close(found, expected)

    def test_colours_keep_their_filters(self):
        weight = torch.rand(8, 3, 4, 4)
        torch.testing.assert_close(adapt_stem_weight(weight, 6)[:, :3] * 2, weight)
        assert torch.equal(adapt_stem_weight(weight, 3), weight)

    def test_only_rgb(self):
        with pytest.raises(CheckpointError, match='4 input channels'):
            adapt_stem_weight(torch.rand(8, 4, 4, 4), 3)

    @pytest.mark.parametrize('stem', ['patch', 'conv'])
    def test_only_on_request(self, small_file, stem, log):
        path, state = small_file(embed_types=(stem,) * 4)
        backbone = UniFormer(ARCH, embed_types=(stem,) * 4, in_channels=5)
        with pytest.raises(CheckpointError, match='adapt_stem=True'):
            load_backbone(backbone, path, head_dim=16)
        load_backbone(backbone, path, head_dim=16, adapt_stem=True)
        key = 'patch_embed1.proj.weight' if stem == 'patch' else 'patch_embed1.proj.0.weight'
        assert torch.equal(backbone.state_dict()[key], adapt_stem_weight(state[key], 5))
        assert f'{key} adapted to 5 input channels' in log.text


def test_differences_fold_blocks_without_loss():
    model = {f'blocks3.{i}.norm1.weight': torch.zeros(4) for i in (0, 1, 2, 5, 7, 8)}
    text = Differences.between({**model, 'norm.bias': torch.zeros(4)}, {}).describe()
    assert text.splitlines() == [
        'Missing from the file (7):',
        '    blocks3.[0-2,5,7-8].norm1.weight (4,)',
        '    norm.bias (4,)',
    ]
    assert not Differences.between(model, dict(model))


@pytest.mark.parametrize(
    'name, arch',
    [
        ('uniformer_small', 'small'),
        ('uniformer_small_plus', 'small_plus'),
        ('uniformer_tiny_openmixup', 'tiny'),
    ],
)
def test_architecture_from_shapes(golden_imagenet, name, arch):
    keys = golden_imagenet['models'][name]['keys']
    state = {key: torch.empty(shape, device='meta') for key, shape in keys.items()}
    found, named = Arch.of(state), ARCHS[arch]
    assert (found.shape, found.scaled_stages) == (named.shape, named.scaled_stages)
    assert (found.in_channels, found.head_dim) == (3, None)


class TestDescribe:
    def test_named(self, tiny):
        found = describe_weights(parse_checkpoint(tiny, 'a.pth'), arch='tiny')
        assert (found['arch'], found['head_dim']) == ('tiny', 32)
        assert found['layer_scale_stages'] == (0, 1, 2, 3)

    def test_unnamed(self, small_file):
        weights = read_checkpoint(small_file()[0])
        found = describe_weights(weights, head_dim=16)
        assert (
            found['arch'].items()
            >= {**ARCH, 'mlp_ratio': 4.0, 'embed_types': ('patch',) * 4}.items()
        )
        assert found['final_norm'] and found['out_indices'] == (3,)
        load_backbone(UniFormer(**found), weights, head_dim=16)

    def test_head_dim_is_needed(self, small_file):
        with pytest.raises(CheckpointError, match='--head-dim'):
            describe_weights(read_checkpoint(small_file()[0]))

    def test_wrong_name(self, tiny):
        with pytest.raises(CheckpointError, match="is not 'small'.*fits 'tiny'"):
            describe_weights(parse_checkpoint(tiny, 'a.pth'), arch='small')

    def test_openmixup_epsilon(self, tiny):
        renamed = {to_openmixup(key): value for key, value in tiny.items()}
        assert describe_weights(parse_checkpoint(renamed, ''), 'tiny')['patch_norm_eps'] == 1e-6


class TestWriting:
    def test_round_trip(self, thin):
        mm = to_mm(parse_checkpoint(thin, ''))
        assert {'backbone.norm.weight', 'head.fc.weight'} <= mm.keys()
        assert_same(to_official(parse_checkpoint({'state_dict': mm}, '')), thin)

    def test_parts_without_a_place(self, thin):
        with pytest.raises(CheckpointError, match='aux_head'):
            to_mm(parse_checkpoint({**thin, 'aux_head.bias': torch.zeros(1)}, ''))
        with pytest.raises(CheckpointError, match='neck'):
            mm = {**to_mm(parse_checkpoint(thin, '')), 'neck.bias': torch.zeros(1)}
            to_official(parse_checkpoint(mm, ''))

    def test_saving_is_atomic(self, tmp_path, monkeypatch):
        path = save_checkpoint({'a': torch.ones(1)}, tmp_path / 'new' / 'a.pth')
        with pytest.raises(FileExistsError):
            save_checkpoint({'a': torch.zeros(1)}, path)

        def fail(checkpoint, file):
            file.write_bytes(b'half')
            raise OSError('disk full')

        monkeypatch.setattr(torch, 'save', fail)
        with pytest.raises(OSError, match='disk full'):
            save_checkpoint({}, path, force=True)
        assert torch.load(path)['a'] == 1
        assert list(path.parent.iterdir()) == [path]

    def test_hash_in_the_name(self, tmp_path):
        path = save_checkpoint({'a': torch.ones(1)}, tmp_path / 'a.pth', add_hash=True)
        assert re.fullmatch(r'a-[0-9a-f]{8}\.pth', path.name)
        with pytest.raises(FileExistsError):
            save_checkpoint({'a': torch.ones(1)}, tmp_path / 'a.pth', add_hash=True)
