"""Networks for clips: weights of images inflated, classes of Kinetics in MMAction2's order."""

import pytest
import torch
from torch.nn.functional import conv2d, conv3d
from weight_layouts import ARCH, CLASSIFIER, LIGHT, heads

from uniformer_mm import UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D
from uniformer_mm.checkpoints import (
    CLASS_ORDERS,
    CheckpointError,
    class_order,
    describe_weights,
    inflate_weight,
    load_backbone,
    parse_checkpoint,
    possible_class_order,
    reorder_head,
    to_mm,
    to_official,
)
from uniformer_mm.registry import MODELS

MODES = pytest.mark.parametrize('mode', ['average', 'center'])
CONV = ('conv',) * 4


def image_state(**kwargs) -> dict:
    return UniFormer({**ARCH, **kwargs}, **CLASSIFIER).state_dict()


def load(state: dict, head_dim: int | None = 16, inflate: str | None = None, **model) -> dict:
    """Load a file with these entries into a network for clips; gives the network's entries."""
    network = UniFormer3D(ARCH, **model)
    load_backbone(network, parse_checkpoint(state, 'a.pth'), head_dim=head_dim, inflate=inflate)
    return network.state_dict()


@MODES
@pytest.mark.parametrize('frames', [1, 3, 5])
def test_a_still_clip_gets_the_response_of_its_image(mode, frames):
    weight = torch.rand(8, 3, 5, 5, dtype=torch.float64)
    image = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    inflated = inflate_weight(weight, frames, mode)
    clip = image.unsqueeze(2).expand(-1, -1, frames, -1, -1)
    torch.testing.assert_close(conv3d(clip, inflated).squeeze(2), conv2d(image, weight))
    filled = {i for i in range(frames) if inflated[:, :, i].any()}
    assert filled == (set(range(frames)) if mode == 'average' else {frames // 2})
    with pytest.raises(CheckpointError, match="one of average, center; got 'middle'"):
        inflate_weight(weight, 5, 'middle')


@MODES
@pytest.mark.parametrize('layout', ['official', 'mm', 'training'])
def test_every_entry_comes_from_the_file(layout, mode, log):
    """Kernels are inflated, one- and two-dimensional tensors copied; the log says which."""
    state = image_state()
    file = {
        'official': state,
        'mm': {'state_dict': to_mm(parse_checkpoint(state, ''))},
        'training': {'model': {**state, 'head.weight': torch.zeros(5, 64)}, 'epoch': 1},
    }[layout]
    loaded = load(file, inflate=mode, std=True)
    assert loaded.keys() == state.keys()
    for key, value in loaded.items():
        expected = state[key]
        if expected.ndim == 4:
            expected = inflate_weight(expected, value.shape[2], mode)
        assert torch.equal(value, expected), key
    kernels = sum(value.ndim == 4 for value in state.values())
    for said in (
        f'Loaded {len(state)} backbone entries from a.pth',
        f'by {mode}: inflated {kernels} entries (to 5 frames: blocks1.0.attn.weight, ',
        'to 3 frames: patch_embed1.proj.weight, blocks1.0.pos_embed.weight',
        f'copied {len(state) - kernels} others',
        *(['Not used (1): head.weight.'] if layout == 'training' else []),
    ):
        assert said in log.text


def test_light_networks_are_inflated(log):
    state = UniFormerLight(LIGHT, **CLASSIFIER).state_dict()
    state['cls_token'] = torch.rand_like(state['cls_token'])
    network = UniFormerLight3D(LIGHT)
    file = {**state, **heads('head', 'norm_cls', 'head_cls', num_classes=1000)}
    load_backbone(network, parse_checkpoint({'model': file}, 'a.pth'), head_dim=16)
    loaded = network.state_dict()
    assert loaded.keys() == state.keys()
    for key, value in loaded.items():
        kernel = state[key].ndim == 4
        assert value.equal(inflate_weight(state[key], value.shape[2]) if kernel else state[key])
    assert {loaded[f'patch_embed1.proj.{i}.weight'].shape[2] for i in (0, 3)} == {3}
    assert 'Not used (6): head.{weight,bias}, norm_cls.{weight,bias}, head_cls.' in log.text


def test_layer_scale_may_start_anew(log):
    """As in the light networks for clips, on request."""
    weights = parse_checkpoint(UniFormerLight(LIGHT, **CLASSIFIER).state_dict(), 'a.pth')
    network = UniFormerLight3D(LIGHT, layer_scale_init_value=0.1)
    with pytest.raises(CheckpointError, match='allow_new_layer_scale=True'):
        load_backbone(network, weights, head_dim=16)
    load_backbone(network, weights, head_dim=16, allow_new_layer_scale=True)
    scales = {k: v for k, v in network.state_dict().items() if 'gamma_' in k}
    assert scales and all((scale == 0.1).all() for scale in scales.values())
    assert f'At their initial values ({len(scales)}): blocks1.0.{{gamma_1,gamma_2}}' in log.text


def test_clips_are_not_inflated(log):
    state = UniFormer3D(ARCH).state_dict()
    loaded = load(state, inflate='average')
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())
    assert 'inflated' not in log.text


def test_temporal_attention_keeps_its_start(log):
    """Not in files of images and of joint attention; its output is zero until it is trained."""
    for state in (image_state(), UniFormer3D(ARCH).state_dict()):
        log.clear()
        loaded = load(state, split=True)
        assert torch.equal(loaded['blocks3.0.attn.qkv.bias'], state['blocks3.0.attn.qkv.bias'])
        assert not loaded['blocks3.0.t_attn.qkv.weight'].any()
        assert 'At their initial values (24): blocks3.0.t_norm.{weight,bias}' in log.text
    half = {k: v for k, v in loaded.items() if not k.startswith('blocks4.0.t_attn.')}
    with pytest.raises(CheckpointError, match=r'blocks4\.0\.t_attn\.qkv\.weight'):
        load(half, split=True)


def test_layer_scale_is_inflated_too():
    loaded = load(image_state(layer_scale_init_value=0.5), layer_scale_init_value=1e-6)
    assert loaded['blocks1.0.gamma_1'].shape == (1, 16, 1, 1, 1)
    assert all((v == 0.5).all() for k, v in loaded.items() if 'gamma' in k)


@pytest.mark.parametrize(
    'model, file, hint',
    [
        ({}, {'embed_types': CONV}, r"the file embed_types=\('conv'"),
        ({}, {'layer_scale_init_value': 0.5}, r'layer_scale_stages=\(0, 1, 2, 3\)'),
        ({'stage_types': 'LLLG'}, {}, "stage_types=.*'L', 'L', 'L', 'G'"),
        ({'local_kernel_size': 7}, {}, 'local_kernel_size=7, the file local_kernel_size=5'),
        ({'pos_kernel_size': 0}, {}, 'pos_kernel_size=0, the file pos_kernel_size=3'),
        ({'local_mlp': False}, {}, 'local_mlp=False, the file local_mlp=True'),
        ({'pool_strides': (1, 1, 2, 1)}, {}, r'pool_strides=\(1, 1, 2, 1\), the file'),
    ],
)
def test_another_network(model, file, hint):
    with pytest.raises(CheckpointError, match=hint):
        load(image_state(**file), **model)


def test_other_kinds_of_files():
    labelled = {**image_state(), 'aux_head.weight': torch.zeros(5, 64)}
    with pytest.raises(CheckpointError, match='State it with init_cfg'):
        load(labelled, head_dim=None)
    with pytest.raises(CheckpointError, match='set head_dim=32 in the backbone'):
        load(labelled, head_dim=32)
    with pytest.raises(CheckpointError, match='no classification norm'):
        load(UniFormer(ARCH).state_dict())
    images = UniFormer(ARCH, **CLASSIFIER)
    for state, inflate, message in (
        (UniFormer3D(ARCH).state_dict(), None, 'for clips, the model for images'),
        (images.state_dict(), 'average', "inflate='average' is for clips"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_backbone(images, parse_checkpoint(state, ''), head_dim=16, inflate=inflate)


@pytest.mark.parametrize(
    'options',
    [
        {},
        {'split': True},
        {'std': True},
        {'stage_types': 'LLLG'},
        {'stage_types': 'LGGG', 'pool_strides': (1, 3, 2, 1), 'local_mlp': False},
        {'inflated': False},
    ],
)
def test_options_are_read_off_a_file(options):
    state = UniFormer3D(ARCH, **options).state_dict()
    weights = parse_checkpoint({'model_state': state}, '')
    found = describe_weights(weights, head_dim=16)
    expected = {'stage_types': ('L', 'L', 'G', 'G'), 'split': False, 'std': False}
    expected |= {'local_mlp': True, 'pool_strides': (1, 1, 1, 1), 'inflated': True}
    expected |= {key: tuple(v) if isinstance(v, str) else v for key, v in options.items()}
    assert {key: found['arch'][key] for key in expected} == expected
    load_backbone(MODELS.build(found), weights, head_dim=16)


# The order of the classes


def video_file(num_classes: int, network: type = UniFormer3D) -> dict:
    """An official file whose head tells every class's number: row i is filled with i."""
    numbers = torch.arange(num_classes, dtype=torch.float32)
    head = {'head.weight': numbers[:, None].repeat(1, 64), 'head.bias': numbers}
    return {'model_state': {**network(ARCH, **CLASSIFIER).state_dict(), **head}}


@pytest.mark.parametrize(('name', 'fixed'), [('kinetics400', 0), ('kinetics600', 0), ('sthv1', 1)])
def test_classes_there_and_back(name, fixed):
    """Where the table is a permutation with few fixed classes, weight and bias follow it."""
    order = class_order(name)
    numbers = torch.arange(CLASS_ORDERS[name])
    assert torch.equal(order.sort().values, numbers) and (order == numbers).sum() == fixed
    weights = parse_checkpoint(video_file(len(order)), 'a.pth')
    assert possible_class_order(weights) == name
    state = to_mm(reorder_head(weights, name, to_mmaction=True))
    assert torch.equal(state['cls_head.fc_cls.weight'][order, 0], numbers.float())
    assert torch.equal(state['cls_head.fc_cls.bias'][order], numbers.float())
    again = parse_checkpoint({'state_dict': state}, 'b.pth')
    back = to_official(reorder_head(again, name, to_mmaction=False))
    assert torch.equal(back['head.weight'], weights.classifier['head.weight'])
    assert torch.equal(weights.classifier['head.bias'], numbers.float())


def test_both_heads_of_a_light_network():
    numbers = torch.arange(400.0)
    classifier = heads('norm_cls', num_classes=400)
    for name in ('head', 'head_cls'):
        classifier |= {f'{name}.weight': numbers[:, None].repeat(1, 64), f'{name}.bias': numbers}
    state = UniFormerLight3D(LIGHT).state_dict()
    weights = parse_checkpoint({'model_state': {**state, **classifier}}, 'a.pth')
    mm = to_mm(reorder_head(weights, 'kinetics400', to_mmaction=True))
    order = class_order('kinetics400')
    for name in ('fc_cls', 'token_fc'):
        assert mm[f'cls_head.{name}.weight'][order, 0].equal(numbers)
        assert mm[f'cls_head.{name}.bias'][order].equal(numbers)
    for leaf in ('weight', 'bias'):
        assert mm[f'cls_head.token_norm.{leaf}'].equal(classifier[f'norm_cls.{leaf}'])


def test_heads_without_an_order():
    assert class_order('kinetics400')[[0, 1, 2, 3]].tolist() == [267, 192, 94, 228]
    # "Approaching something ..." is the first in the alphabet, "Wiping something off ..." the last.
    assert class_order('sthv1')[[0, -1]].tolist() == [6, 109]
    with pytest.raises(ValueError, match="not 'kinetics700'"):
        class_order('kinetics700')
    for file in (video_file(101), video_file(400, UniFormer)):
        weights = parse_checkpoint(file, 'a.pth')
        assert possible_class_order(weights) is None
        with pytest.raises(CheckpointError, match='cannot be in the order of kinetics400'):
            reorder_head(weights, 'kinetics400', to_mmaction=True)
    # A 2D network's entries are no UniFormer's head, wherever they are.
    state = {'backbone.conv.weight': torch.zeros(1, 1, 3, 3), 'cls_head.fc_cls.bias': torch.ones(4)}
    assert to_mm(parse_checkpoint({'state_dict': state}, '')).keys() == state.keys()
