"""DualFormer's files: from images and other clips, of token labelling, and what fits them."""

from collections.abc import Mapping

import pytest
import torch
from golden import assert_matches
from paper_configs import build
from seeded_weights import seeded_state_dict
from torch import Tensor
from torch.nn.functional import conv3d
from weight_layouts import DUAL, assert_same, heads

from uniformer_mm import DualFormer, UniFormer3D
from uniformer_mm.checkpoints import (
    CheckpointError,
    describe_weights,
    inflate_weight,
    load_backbone,
    load_model,
    parse_checkpoint,
    possible_class_order,
    resize_kernel,
    to_mm,
    to_official,
)
from uniformer_mm.registry import MODELS

PYRAMID = ('.attn.sr.', '.attn.lr.')
CLIP = (16, 224, 224)


def state_of(arch: str | dict = DUAL, **kwargs) -> dict:
    return DualFormer(arch, **kwargs).state_dict()


def image_state(state: Mapping[str, Tensor]) -> dict:
    """What the authors' image network of the same sizes has."""
    images = {key: value for key, value in state.items() if '.attn.lr.3.' not in key}
    return {key: v[:, :, 0].clone() if v.ndim == 5 else v for key, v in images.items()}


def twins_state(state: Mapping[str, Tensor]) -> dict:
    """What Twins-SVT of the same sizes has, with its classifier."""
    twins = {key: value for key, value in image_state(state).items() if '.attn.lr.' not in key}
    for key in twins:
        if key.endswith('.attn.sr.weight'):
            channels, _, *size = twins[key].shape
            twins[key] = torch.rand(channels, channels, *size)
    return twins | heads('head', num_classes=1000)


def load(state: dict, arch: str | dict = DUAL, *, clip_size=CLIP, model=None, **options):
    """Load a file into a network; gives its entries before and after."""
    network = DualFormer(arch, clip_size=clip_size, **(model or {}))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    load_backbone(network, parse_checkpoint(state, 'a.pth'), **options)
    return before, network.state_dict()


# Images


def test_golden_inflation(golden_video):
    golden = golden_video['dualformer_tiny_inflation']
    model = DualFormer('tiny').double()
    images = seeded_state_dict(golden['shapes_2d'])
    load_backbone(model, parse_checkpoint(images, 'image.pth'))
    loaded = model.state_dict()
    for key, expected in golden['tensors'].items():
        assert_matches(loaded[key], expected, key)


@pytest.mark.parametrize('mode', ['average', 'center'])
@pytest.mark.parametrize('frames', [8, 16, 48])
def test_inflation_to_other_clips(frames, mode, log):
    """The second step of the coarse level is an average, whatever its kernel."""
    images = image_state(state_of())
    _, loaded = load({'model': images}, clip_size=(frames, 224, 224), inflate=mode)
    for key, value in loaded.items():
        if '.attn.lr.3.' in key:
            expected = torch.zeros(()) if value.ndim == 1 else 1 / torch.tensor(value[0].numel())
            assert value.equal(expected.expand_as(value)), key
        elif value.ndim == 5:
            assert value.equal(inflate_weight(images[key], value.shape[2], mode)), key
        else:
            assert value.equal(images[key]), key
    sizes = {loaded[f'blocks.{stage}.1.attn.lr.3.weight'].shape[2:] for stage in (0, 1)}
    assert sizes == {(max(1, frames // 8), 2, 2), (max(1, frames // 8), 1, 1)}
    assert f'Loaded {len(images)} backbone entries' in log.text and f'by {mode}:' in log.text
    assert 'Averages over their kernels: blocks.0.1.attn.lr.3.{weight,bias}, bl' in log.text
    assert 'initial' not in log.text


def test_twins_svt(log):
    """All but the pyramid fits; what does not is named, and the pyramid stays as it was."""
    twins = twins_state(state_of())
    before, loaded = load(twins)
    for key, value in loaded.items():
        if '.attn.lr.3.' not in key and any(part in key for part in PYRAMID):
            assert value.equal(before[key]), key
        elif '.attn.lr.3.' not in key:
            expected = twins[key]
            kernel = value.ndim == 5
            assert value.equal(inflate_weight(expected, value.shape[2]) if kernel else expected)
    module = 'blocks.2.1.attn.sr.{weight,bias}'
    assert 'left out what does not fit: blocks.0.1.attn.sr.{weight,bias}, bl' in log.text
    assert f'{module}.' in log.text and 'Not used (2): head.{weight,bias}.' in log.text
    assert 'At their initial values (20): blocks.0.1.attn.sr.{weight,bias}, bl' in log.text


def test_twins_svt_with_full_convolutions(log):
    """Of the networks of the paper's Table 6, one has the convolutions of Twins-SVT."""
    twins = twins_state(state_of())
    _, loaded = load(twins, model=dict(down_sampling='conv'))
    for stage in range(3):
        key = f'blocks.{stage}.1.attn.sr.weight'
        assert loaded[key].equal(inflate_weight(twins[key], loaded[key].shape[2]))
    average = loaded['blocks.0.1.attn.lr.3.weight']
    assert average.sum((2, 3, 4)).equal(torch.eye(32)) and (average[0, 0] == 1 / 8).all()
    assert 'left out what' not in log.text
    load(twins, model=dict(down_sampling='average'))
    assert 'left out what does not fit: blocks.0.1.attn.sr.{weight,bias}, bl' in log.text


def test_half_a_pyramid_is_an_error():
    images = image_state(state_of({**DUAL, 'depths': (2, 2, 4, 2)}))
    del images['blocks.2.3.attn.sr.bias']
    with pytest.raises(CheckpointError, match=r'from the file \(1\):\n.*blocks\.2\.3\.attn\.sr\.b'):
        load(images, {**DUAL, 'depths': (2, 2, 4, 2)})


# Clips


@pytest.mark.parametrize('layout', ['official', 'mm', 'mm in DDP'])
def test_layouts(layout, log):
    state = state_of(clip_size=CLIP)
    mm = {f'backbone.{key}': value for key, value in state.items()}
    mm |= {f'cls_head.fc_cls.{k}': torch.rand(400, 64)[:, 0] for k in ('weight', 'bias')}
    file = {
        'official': state,
        'mm': {'state_dict': mm, 'meta': {'mmaction_version': '0.15'}},
        'mm in DDP': {f'module.{key}': value for key, value in mm.items()},
    }[layout]
    assert_same(load(file)[1], state)
    assert ('cls_head' in log.text or 'head.{weight,bias}' in log.text) == (layout != 'official')
    assert 'head_dim' not in log.text


@pytest.mark.parametrize('stages', [1, 2, 4])
def test_networks_that_stop_earlier(stages, log):
    state = state_of(clip_size=CLIP)
    options = dict(out_indices=tuple(range(stages)), final_norm=False)
    _, loaded = load(state, model=options, clip_kernels='resize')
    assert all(value.equal(state[key]) for key, value in loaded.items() if key in state)
    assert {k.split('.')[0] for k in loaded.keys() - state.keys()} == {
        f'norm{i + 1}' for i in range(stages)
    }
    assert 'norm.{weight,bias}' in log.text and 'At their initial values' in log.text
    assert ('pos_block.3.proj.0.{weight,bias}' in log.text) == (stages < 4)
    assert 'pyramid' not in log.text
    images = image_state(state)
    log.clear()
    load(images, model=options)
    assert ('blocks.2.1.attn.sr.{weight,bias}' in log.text) == (stages < 3)
    assert 'does not fit' not in log.text


def test_clips_of_another_size_must_be_asked_for():
    state = state_of()
    with pytest.raises(CheckpointError, match='clip_kernels="resize"') as error:
        load(state)
    assert 'is for clips of (16, 224, 224), that of the file for (32, 224, 224)' in str(error.value)
    assert 'Of another shape (5)' in str(error.value)
    with pytest.raises(CheckpointError, match="one of resize, initial; got 'new'"):
        load(state, clip_kernels='new')


@pytest.mark.parametrize('how', ['resize', 'initial'])
@pytest.mark.parametrize('clip_size', [(16, 224, 224), (48, 224, 224), (32, 112, 112)])
def test_clips_of_another_size(how, clip_size, log):
    """Only kernels of the pyramid differ; with ``initial`` those that the authors leave out."""
    state = state_of()
    before, loaded = load(state, clip_size=clip_size, clip_kernels=how)
    others = {key for key, value in loaded.items() if value.shape != state[key].shape}
    assert others and all(any(part in key for part in PYRAMID) for key in others)
    for key, value in loaded.items():
        expected = state[key]
        if key in others:
            resized = resize_kernel(expected, value.shape[2:])
            expected = resized if how == 'resize' else before[key]
        assert value.equal(expected), key
    said = {'resize': 'Resampled for other clips', 'initial': 'At their initial values'}[how]
    assert f'{said} ({len(others)}): blocks.0.1.attn.' in log.text


def test_pyramids_come_and_go(log):
    """Where a map gets larger or smaller than the levels of its stage."""
    state = state_of()
    before, loaded = load(state, clip_size=(64, 224, 224), clip_kernels='resize')
    new = {key for key in loaded if key not in state}
    assert new and all(key.startswith('blocks.3.1.attn.') for key in new)
    assert all(loaded[key].equal(before[key]) for key in new)
    assert f'At their initial values ({len(new)}): blocks.3.1.attn.sr.{{weight,bias}}' in log.text
    _, loaded = load(state, clip_size=(16, 64, 64), clip_kernels='resize')
    assert not any(key.startswith('blocks.2.1.attn.sr.') for key in loaded)
    assert 'In a stage without a pyramid (' in log.text
    with pytest.raises(CheckpointError, match="the file down_sampling='depthwise'"):
        load(state, model=dict(down_sampling='conv'), clip_kernels='initial')


@pytest.mark.parametrize('images', [False, True])
def test_option_does_nothing_where_nothing_differs(images, log):
    state = state_of(clip_size=CLIP)
    _, plain = load(image_state(state) if images else state)
    _, loaded = load(image_state(state) if images else state, clip_kernels='resize')
    assert_same(loaded, plain)
    assert 'Resampled' not in log.text and 'pyramid' not in log.text


@pytest.mark.parametrize('old, new', [((4, 2, 2), (2, 2, 2)), ((2, 4, 4), (4, 8, 8))])
def test_resized_kernels_give_the_same_tokens(old, new):
    """Of a clip with every frame (and pixel) once, twice or four times."""
    weight = torch.rand(6, 1, *old, dtype=torch.float64)
    clip = torch.rand(1, 6, *(2 * min(a, b) for a, b in zip(old, new, strict=True))).double()

    def repeated(size: tuple[int, ...]) -> Tensor:
        x = clip
        for axis, n in enumerate(size, start=2):
            x = x.repeat_interleave(2 * n // x.shape[axis], axis)
        return x

    resized = resize_kernel(weight, new)
    expected = conv3d(repeated(old), weight, stride=old, groups=6)
    torch.testing.assert_close(conv3d(repeated(new), resized, stride=new, groups=6), expected)


def test_resized_kernels_keep_their_sum():
    weight = torch.rand(6, 1, 4, 7, 5, dtype=torch.float64)
    resized = resize_kernel(weight, (3, 2, 11))
    assert resized.shape == (6, 1, 3, 2, 11)
    torch.testing.assert_close(resized.sum((2, 3, 4)), weight.sum((2, 3, 4)))
    assert resize_kernel(weight, (4, 7, 5)).equal(weight)


@pytest.mark.parametrize(
    'model, hint',
    [
        ({'depths': (2, 2, 4, 2)}, r'depths=\(2, 2, 4, 2\), the file depths=\(2, 2, 2, 2\)'),
        ({'embed_dims': (32, 32, 64, 64)}, r'the file embed_dims=\(32, 32, 32, 64\)'),
        ({'mlp_ratio': 2.0}, 'mlp_ratio=2.0, the file mlp_ratio=4.0'),
        ({'attention': ('LL', 'LG', 'LG', 'LG')}, r"attention=\('LL', .*the file .*\('LG',"),
        ({'down_sampling': 'conv'}, "down_sampling='conv', the file down_sampling='depthwise'"),
        ({'pos_kernel_size': 0}, 'pos_kernel_size=0, the file pos_kernel_size=3'),
        ({'temporal_pooling': (2, 1, 1, 2)}, r'temporal_pooling=\(2, 1, 1, 2\), the file'),
        ({'in_channels': 2}, 'adapt_stem=True'),
        ({'head_dim': 16}, 'was trained with head_dim=32, but the backbone has head_dim=16'),
    ],
)
def test_another_network(model, hint):
    with pytest.raises(CheckpointError, match=hint):
        load(state_of(clip_size=CLIP), model=model)


def test_another_kind_of_network():
    uniformer = UniFormer3D('mini', out_indices=(3,), final_norm=True)
    with pytest.raises(CheckpointError, match='not look like a DualFormer.*patch_embed1'):
        load(uniformer.state_dict(), head_dim=32)
    with pytest.raises(CheckpointError, match='not look like a UniFormer.*patch_embeds'):
        load_backbone(uniformer, parse_checkpoint(state_of(), ''))
    with pytest.raises(CheckpointError, match='no classification norm: use final_norm=False'):
        load(state_of(clip_size=CLIP, out_indices=(2, 3), final_norm=False))


def test_other_input_channels(log):
    state = state_of(clip_size=CLIP)
    _, loaded = load(state, model=dict(in_channels=2), adapt_stem=True)
    assert loaded['patch_embeds.0.proj.weight'].shape[1] == 2
    assert 'adapted to 2 input channels' in log.text


# Token labelling


def labelled_state() -> dict:
    """A file of the authors' training: the network, its head of two parts, and the teacher."""
    state = {f'backbone.{key}': value for key, value in state_of(clip_size=CLIP).items()}
    widths = (64, 128, 256, 400)
    for index, (width, out) in enumerate(zip(widths, widths[1:], strict=False)):
        state[f'cls_head.token_linear.{3 * index}.weight'] = torch.rand(out, width)
        state[f'cls_head.token_linear.{3 * index}.bias'] = torch.rand(out)
    state |= {
        'cls_head.fc_cls.weight': torch.rand(400, 64),
        'cls_head.fc_cls.bias': torch.rand(400),
    }
    teacher = {f'teacher.{key}': value + 1 for key, value in state.items() if '_linear' not in key}
    return state | teacher


def test_teacher_is_left_out(log):
    state = labelled_state()
    student = {key: value for key, value in state.items() if not key.startswith('teacher.')}
    weights = parse_checkpoint({'state_dict': state}, 'a.pth')
    assert_same(to_mm(weights), student)
    left_out = len(state) - len(student)
    assert f'a.pth: left out {left_out} entries of the teacher of token labelling' in log.text
    teacher = parse_checkpoint({'state_dict': state}, 'a.pth', prefix='teacher')
    key = 'patch_embeds.0.proj.bias'
    assert teacher.backbone[key].equal(weights.backbone[key] + 1)


def test_token_head_needs_its_class():
    pytest.importorskip('mmaction')
    backbone = dict(type='uniformer_mm.DualFormer', arch=DUAL, clip_size=CLIP)
    head = dict(type='I3DHead', num_classes=400, in_channels=64)
    model = build({'type': 'Recognizer3D', 'backbone': backbone, 'cls_head': head}, 'mmaction')
    with pytest.raises(CheckpointError, match='use uniformer_mm.TokenLabelHead3D.*--drop-token'):
        load_model(model, {'state_dict': labelled_state()}, 'a.pth')
    plain = {k: v for k, v in labelled_state().items() if '_linear' not in k}
    load_model(model, {'state_dict': plain}, 'a.pth', class_order='kinetics400')
    key = 'cls_head.fc_cls.weight'  # its classes are MMAction2's already
    assert model.state_dict()[key].equal(plain[key])


def test_official_files_have_mmactions_layout():
    weights = parse_checkpoint({'state_dict': labelled_state()}, 'a.pth')
    assert possible_class_order(weights) is None
    with pytest.raises(CheckpointError, match='use --to mm, or publish the backbone only'):
        to_official(weights)
    weights.classifier.clear()
    assert_same(to_official(weights), weights.backbone)


# Which network fits a file


def fitting(state: dict, arch: str | None = None) -> dict:
    """What is said to fit a file, which must take its entries."""
    found = describe_weights(parse_checkpoint(state, 'a.pth'), arch)
    with torch.device('meta'):
        own = MODELS.build(dict(found)).state_dict()
    assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in state.items()}
    return found


@pytest.mark.parametrize(
    'arch, clip_size',
    [
        ('tiny', (32, 224, 224)),
        ('tiny', (16, 224, 224)),
        ('small', (16, 64, 96)),
        ('base', (48, 256, 320)),
        ('mini', (8, 112, 112)),
    ],
)
def test_network_of_a_file(arch, clip_size):
    with torch.device('meta'):
        found = fitting(state_of(arch, clip_size=clip_size))
    assert (found['type'], found['arch']) == ('uniformer_mm.DualFormer', arch)
    assert (found['head_dim'], found['in_channels'], found['final_norm']) == (32, 3, True)
    smaller = tuple(found['clip_size'])
    assert smaller[0] == clip_size[0] and all(
        a <= b for a, b in zip(smaller, clip_size, strict=True)
    )


@pytest.mark.parametrize(
    'options',
    [
        {'down_sampling': 'conv'},
        {'down_sampling': 'average'},
        {'attention': ('LL', 'GG', 'LG', 'LG')},
        {'fine_sizes': (None,) * 4},
        {'coarse_sizes': ((4, 4, 4), (4, 4, 4), (4, 4, 4), None)},
        {'pos_kernel_size': 0, 'mlp_ratio': 2.0, 'in_channels': 1},
        {'temporal_pooling': (4, 1, 1, 1)},
    ],
)
def test_options_are_read_off_a_file(options):
    found = fitting(state_of(**options))
    assert {k: found['arch'][k] for k in options if k not in ('attention', 'fine_sizes')} == {
        k: v for k, v in options.items() if k not in ('attention', 'fine_sizes')
    }


def test_what_fits_nothing():
    with pytest.raises(CheckpointError, match="is not 'tiny'.*fits 'mini'"):
        fitting(state_of('mini'), 'tiny')
    with pytest.raises(CheckpointError, match='for images, and only loading inflates it'):
        fitting(twins_state(state_of()))
