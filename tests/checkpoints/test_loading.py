"""A backbone takes the weights that fit it; all else is refused, or logged by name."""

import pytest
import torch
from seeded_weights import seeded_state_dict
from weight_layouts import ARCH, CLASSIFIER, DUAL, LIGHT, assert_same, to_openmixup

from uniformer_mm import DualFormer, UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D
from uniformer_mm.architectures import ARCHS, Arch
from uniformer_mm.checkpoints import (
    CheckpointError,
    Differences,
    adapt_stem_weight,
    describe_weights,
    load_backbone,
    parse_checkpoint,
    read_checkpoint,
    to_mm,
)
from uniformer_mm.registry import MODELS

CONV = ('conv',) * 4


@pytest.fixture(scope='module')
def tiny(golden_imagenet) -> dict:
    """UniFormer-T's official entries."""
    keys = golden_imagenet['models']['uniformer_tiny_openmixup']['keys']
    return seeded_state_dict(keys, torch.float32)


def test_init_cfg_of_a_classifier(tiny, tmp_path):
    torch.save({'model': tiny}, tmp_path / 'a.pth')
    init_cfg = {'type': 'Pretrained', 'checkpoint': tmp_path / 'a.pth'}
    backbone = UniFormer('tiny', **CLASSIFIER, init_cfg=init_cfg)
    backbone.init_weights()
    assert_same(backbone.state_dict(), {k: v for k, v in tiny.items() if 'head' not in k})
    with pytest.raises(TypeError, match='strict'):
        UniFormer('tiny', init_cfg={**init_cfg, 'strict': False}).init_weights()


@pytest.mark.parametrize(
    ('network', 'kwargs'),
    [
        (UniFormer, dict(arch={**ARCH, 'layer_scale_init_value': 0.5})),
        (UniFormer3D, dict(arch=ARCH, split=True)),
        (UniFormerLight, dict(arch='xxs')),
        (UniFormerLight3D, dict(arch=LIGHT)),
        (DualFormer, dict(arch=DUAL, clip_size=(8, 64, 64))),
    ],
)
def test_from_pretrained_builds_what_fits(network, kwargs, tmp_path) -> None:
    made = network(**kwargs, **CLASSIFIER)
    head = torch.zeros(5, made.num_features)
    torch.save({'model': {**made.state_dict(), 'head.weight': head}}, tmp_path / 'a.pth')
    stated = dict(head_dim=made.head_dim)
    found = network.from_pretrained(tmp_path / 'a.pth', **stated, **CLASSIFIER)
    assert_same(found.state_dict(), made.state_dict())
    assert found.is_init and found.training
    dense = dict(out_indices=(1, 2), final_norm=False)
    maps = network.from_pretrained(tmp_path / 'a.pth', **stated, **dense)
    assert [info['num_chs'] for info in maps.feature_info] == list(made.arch.embed_dims[1:3])


def test_from_pretrained_takes_the_arguments_of_loading(small_file) -> None:
    path, state = small_file()
    clips = UniFormer3D.from_pretrained(path, head_dim=16, inflate='center')
    assert clips.blocks1[0].attn.weight[:, :, 2].equal(state['blocks1.0.attn.weight'])
    wide = UniFormer.from_pretrained(path, head_dim=16, in_channels=5, adapt_stem=True)
    assert wide.patch_embed1.proj.weight.shape[1] == 5
    fixed = UniFormer.from_pretrained(path, arch=ARCH, stage3_style='hybrid')
    assert fixed.blocks3[0].window_size == 14


@pytest.mark.parametrize(
    ('network', 'kwargs', 'message'),
    [
        (UniFormer, dict(checkpoint='nowhere.pth'), 'There is no checkpoint nowhere.pth'),
        (UniFormer, dict(checkpoint='uniformer_smal_in1k'), "close are 'uniformer_small_in1k'"),
        (UniFormer, {}, r'tells its head_dim: give the one it was trained with, head_dim=\.\.\.'),
        (
            UniFormerLight,
            dict(head_dim=16),
            'for UniFormer, not for UniFormerLight',
        ),
        (DualFormer, dict(arch='tiny', clip_size=(8, 64, 64)), 'does not fit this DualFormer'),
    ],
)
def test_from_pretrained_says_what_is_wrong(network, kwargs, message, small_file) -> None:
    with pytest.raises(CheckpointError, match=message):
        network.from_pretrained(**{'checkpoint': small_file()[0], **kwargs})


@pytest.mark.parametrize('style', ['global', 'window', 'hybrid'])
def test_dense_from_classification_reports_everything(small_file, log, style):
    path, state = small_file()
    backbone = UniFormer(ARCH, stage3_style=style)
    load_backbone(backbone, path, head_dim=16)
    own = backbone.state_dict()
    norms = {f'norm{i}.{leaf}' for i in range(1, 5) for leaf in ('weight', 'bias')}
    assert own.keys() - state.keys() == norms
    assert all(torch.equal(value, state[key]) for key, value in own.items() if key in state)
    norm = 'norm.{weight,bias,running_mean,running_var,num_batches_tracked}'
    assert f'Not used (7): {norm}, head.{{weight,bias}}.' in log.text
    assert 'initial values (8): norm1.{weight,bias}, norm2' in log.text
    assert len(log.records) == 1


def test_dense_from_dense(log):
    dense = parse_checkpoint({'state_dict': UniFormer(ARCH).state_dict()}, 'a.pth')
    fewer = UniFormer(ARCH, out_indices=(1, 2))
    load_backbone(fewer, dense, head_dim=16)
    assert_same(fewer.state_dict(), {k: dense.backbone[k] for k in fewer.state_dict()})
    assert 'norm1.{weight,bias}' in log.text
    # Stage norms are learned in dense training: a file with some of them must have all.
    with pytest.raises(CheckpointError, match=r'norm1\.weight'):
        file = parse_checkpoint(fewer.state_dict(), 'b.pth')
        load_backbone(UniFormer(ARCH, out_indices=(0, 1, 2)), file, head_dim=16)


def test_mm_prefix_as_in_stock_configs(small_file, tmp_path):
    _, state = small_file()
    torch.save({'state_dict': to_mm(parse_checkpoint(state, ''))}, tmp_path / 'mm.pth')
    for prefix in (None, 'backbone.'):
        backbone = UniFormer(ARCH, **CLASSIFIER)
        load_backbone(backbone, tmp_path / 'mm.pth', prefix=prefix)
        assert torch.equal(backbone.norm.weight, state['norm.weight'])


def test_without_batch_counters(small_file):
    _, state = small_file()
    state = {k: v for k, v in state.items() if not k.endswith('num_batches_tracked')}
    load_backbone(UniFormer(ARCH, **CLASSIFIER), parse_checkpoint(state, ''), head_dim=16)


@pytest.mark.parametrize('kind', ['missing', 'unexpected', 'misshapen'])
def test_differences_are_errors_and_change_nothing(small_file, kind):
    _, state = small_file()
    key = 'blocks3.1.attn.qkv.weight'
    expected = {
        'missing': 'Missing from the file (1):\n    blocks3.1.attn.qkv.weight (96, 32)',
        'unexpected': 'Not in the model (1):\n    blocks3.0.attn.rel_pos (3,)',
        'misshapen': f'{key}: the model has (96, 32), the file (95, 32)',
    }[kind]
    value = state.pop(key)
    if kind == 'unexpected':
        state |= {key: value, 'blocks3.0.attn.rel_pos': torch.zeros(3)}
    elif kind == 'misshapen':
        state[key] = value[:-1]
    backbone = UniFormer(ARCH, **CLASSIFIER)
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    with pytest.raises(CheckpointError) as error:
        load_backbone(backbone, parse_checkpoint(state, 'some/file.pth'), head_dim=16)
    assert_same(backbone.state_dict(), before)
    assert 'some/file.pth does not fit this UniFormer' in str(error.value)
    assert expected in str(error.value)


@pytest.mark.parametrize(
    'file, model, hint',
    [
        ({}, {'layer_scale_init_value': 1e-6}, 'layer_scale_init_value=0'),
        ({'layer_scale_init_value': 1e-6}, {}, r'layer_scale_stages=\(0, 1, 2, 3\)'),
        (  # as in B with layer scale
            {'layer_scale_init_value': 1e-6, 'layer_scale_stages': (2, 3)},
            {'layer_scale_init_value': 1e-6},
            r'layer_scale_stages=\(2, 3\)',
        ),
        ({}, {'depths': (1, 2, 4, 1)}, r'depths=\(1, 2, 4, 1\), the file depths=\(1, 2, 3, 1\)'),
        ({}, {'embed_dims': (16, 32, 48, 64)}, 'embed_dims'),
        ({}, {'mlp_ratio': 3}, 'mlp_ratio=3.0, the file mlp_ratio=4.0'),
        ({}, {'embed_types': CONV}, r"embed_types=\('conv', .*the file embed_types=\('patch'"),
        ({}, {'in_channels': 5}, 'adapt_stem=True'),
    ],
)
def test_cause_is_named(small_file, file, model, hint):
    path, _ = small_file(**file)
    with pytest.raises(CheckpointError, match=hint):
        load_backbone(UniFormer({**ARCH, **model}, **CLASSIFIER), path, head_dim=16)


def test_other_networks():
    resnet = parse_checkpoint({'layer1.0.conv1.weight': torch.zeros(1)}, 'resnet.pth')
    with pytest.raises(CheckpointError, match='does not look like a UniFormer.*layer1'):
        load_backbone(UniFormer(ARCH), resnet, head_dim=16)
    dense = parse_checkpoint(UniFormer(ARCH).state_dict(), 'dense.pth')
    with pytest.raises(CheckpointError, match='no classification norm'):
        load_backbone(UniFormer(ARCH, **CLASSIFIER), dense, head_dim=16)


def test_differences_fold_blocks_without_loss():
    model = {f'blocks3.{i}.norm1.weight': torch.zeros(4) for i in (0, 1, 2, 5, 7, 8)}
    text = Differences.between({**model, 'norm.bias': torch.zeros(4)}, {}).describe()
    assert text.splitlines() == [
        'Missing from the file (7):',
        '    blocks3.[0-2,5,7-8].norm1.weight (4,)',
        '    norm.bias (4,)',
    ]
    assert not Differences.between(model, dict(model))


class TestHeadDim:
    def test_contradictions(self, small_file):
        path, state = small_file('uniformer_small_in1k.pth')
        with pytest.raises(CheckpointError, match='head_dim=64, but the backbone has head_dim=16'):
            load_backbone(UniFormer(ARCH), path)
        with pytest.raises(CheckpointError, match='init_cfg says head_dim=16'):
            load_backbone(UniFormer(ARCH), path, head_dim=16)
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
        with pytest.raises(CheckpointError, match='4 input channels'):
            adapt_stem_weight(torch.rand(8, 4, 4, 4), 3)

    @pytest.mark.parametrize('stem', ['patch', 'conv'])
    def test_on_request(self, small_file, stem, log):
        path, state = small_file(embed_types=(stem,) * 4)
        backbone = UniFormer(ARCH, embed_types=(stem,) * 4, in_channels=5)
        load_backbone(backbone, path, head_dim=16, adapt_stem=True)
        key = 'patch_embed1.proj.weight' if stem == 'patch' else 'patch_embed1.proj.0.weight'
        assert torch.equal(backbone.state_dict()[key], adapt_stem_weight(state[key], 5))
        assert f'{key} adapted to 5 input channels' in log.text


class TestDescribe:
    @pytest.mark.parametrize(
        'file, name',
        [
            ('uniformer_small', 'small'),
            ('uniformer_small_plus', 'small_plus'),
            ('uniformer_tiny_openmixup', 'tiny'),
        ],
    )
    def test_architecture_from_shapes(self, golden_imagenet, file, name):
        keys = golden_imagenet['models'][file]['keys']
        found = Arch.of({key: torch.empty(shape, device='meta') for key, shape in keys.items()})
        assert (found.shape, found.scaled_stages) == (ARCHS[name].shape, ARCHS[name].scaled_stages)
        assert (found.in_channels, found.head_dim) == (3, None)

    def test_named(self, tiny):
        found = describe_weights(parse_checkpoint(tiny, 'a.pth'), arch='tiny')
        assert (found['arch'], found['head_dim']) == ('tiny', 32)
        assert found['layer_scale_stages'] == (0, 1, 2, 3)
        with pytest.raises(CheckpointError, match="is not 'small'.*fits 'tiny'"):
            describe_weights(parse_checkpoint(tiny, 'a.pth'), arch='small')
        renamed = {to_openmixup(key): value for key, value in tiny.items()}
        assert describe_weights(parse_checkpoint(renamed, ''), 'tiny')['patch_norm_eps'] == 1e-6

    def test_unnamed(self, small_file):
        weights = read_checkpoint(small_file()[0])
        with pytest.raises(CheckpointError, match='--head-dim'):
            describe_weights(weights)
        found = describe_weights(weights, head_dim=16)
        assert found['arch'].items() >= {**ARCH, 'mlp_ratio': 4.0}.items()
        assert found['final_norm'] and found['out_indices'] == (3,)
        load_backbone(MODELS.build(found), weights, head_dim=16)
