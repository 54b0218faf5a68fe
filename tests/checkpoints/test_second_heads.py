"""Light networks and token labelling: their files in backbones and in whole models."""

from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config
from paper_configs import build
from torch import nn
from torch.nn.functional import linear
from weight_layouts import ARCH, CLASSIFIER, LIGHT, assert_same, heads, layouts

from uniformer_mm import UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D
from uniformer_mm.checkpoints import (
    CheckpointError,
    describe_weights,
    load_backbone,
    load_model,
    parse_checkpoint,
    to_mm,
)

pytest.importorskip('mmaction')
ImageClassificationInferencer = pytest.importorskip('mmpretrain').ImageClassificationInferencer


class Kind(NamedTuple):
    """A kind of classifier: its network, its official heads, and its head in the library."""

    network: type[nn.Module]
    heads: tuple[str, ...]
    head: str
    linear: str = 'LinearClsHead'

    @property
    def light(self) -> bool:
        return issubclass(self.network, UniFormerLight)

    @property
    def arch(self) -> dict:
        return LIGHT if self.light else ARCH

    def official(self) -> dict:
        """Entries of an official file."""
        return {**self.network(self.arch, **CLASSIFIER).state_dict(), **heads(*self.heads)}

    def parts(self, head: str | None = None) -> dict:
        """Config of the classifier, with this head or its own."""
        head = head or self.head
        video = self.network.ndim == 3
        name = f'uniformer_mm.{self.network.__name__}'
        backbone = dict(type=name, arch=self.arch, **CLASSIFIER)
        if head.startswith('uniformer_mm.Light'):
            backbone['with_cls_token'] = True
        return {
            'type': 'Recognizer3D' if video else 'ImageClassifier',
            'backbone': backbone,
            'cls_head' if video else 'head': dict(type=head, num_classes=5, in_channels=64),
        }

    def model(self, head: str | None = None) -> nn.Module:
        """The classifier."""
        return build(self.parts(head), 'mmaction' if self.network.ndim == 3 else 'mmpretrain')


KINDS = {
    'light': Kind(UniFormerLight, ('head', 'norm_cls', 'head_cls'), 'uniformer_mm.LightClsHead'),
    'light clips': Kind(
        UniFormerLight3D, ('head', 'norm_cls', 'head_cls'), 'uniformer_mm.LightHead3D', 'I3DHead'
    ),
    'labelled': Kind(UniFormer, ('head', 'aux_head'), 'uniformer_mm.TokenLabelHead'),
}
BOTH = pytest.mark.parametrize('kind', KINDS.values(), ids=KINDS)


def file_of(state: dict) -> dict:
    """An official file that states its head dimension, as one of token labelling must."""
    return {'model': state, 'meta': {'head_dim': 16}}


# Whole models


@BOTH
@pytest.mark.parametrize('layout', ['training in DDP', 'timm', 'mm', 'mm with EMAHook'])
def test_a_whole_file_loads(kind, layout):
    """Files of OpenMMLab's training do not state the head dimension, and need not."""
    state = kind.official()
    checkpoint = layouts(state)[layout]
    if not layout.startswith('mm'):
        checkpoint['meta'] = {'head_dim': 16}
    model = kind.model()
    load_model(model, checkpoint, 'a.pth')
    assert_same(model.state_dict(), to_mm(parse_checkpoint(state, '')))
    if 'ema_state_dict' in checkpoint:  # which EMAHook swaps with the model's
        names = {f'module.{key}' for key in checkpoint['state_dict']}
        assert checkpoint['ema_state_dict'].keys() - {'steps'} == names


@BOTH
def test_another_head_is_named(kind):
    state = kind.official()
    remedy = f'head.*: use {kind.head}' + ('.*--drop-token-head' if kind.light else '')
    with pytest.raises(CheckpointError, match=remedy):
        load_model(kind.model(kind.linear), file_of(state), 'a.pth')
    second = kind.heads[-1]
    linear = {k: v for k, v in state.items() if not k.startswith((second, 'norm_cls'))}
    with pytest.raises(CheckpointError, match=f'the file none: use {kind.linear}'):
        load_model(kind.model(), file_of(linear), 'a.pth')
    load_model(kind.model(kind.linear), file_of(linear), 'a.pth')
    load_model(kind.model(kind.linear), file_of(state), 'a.pth', allow_new_head=True)


def test_labelled_file_of_unknown_head_dim():
    kind = KINDS['labelled']
    with pytest.raises(CheckpointError, match=r'--head-dim of tools/checkpoints/convert\.py'):
        load_model(kind.model(), {'model': kind.official()}, 'a.pth')


def test_another_network_in_a_whole_model():
    light, plain = KINDS['light'], KINDS['labelled']
    with pytest.raises(CheckpointError, match='the model none: use UniFormerLight.'):
        load_model(plain.model(), file_of(light.official()), 'a.pth')
    with pytest.raises(CheckpointError, match='no class token: use UniFormer.'):
        load_model(light.model(), file_of(plain.official()), 'a.pth')


@pytest.mark.parametrize('kind', [KINDS['light'], KINDS['labelled']], ids=['light', 'labelled'])
def test_mmpretrains_inferencer(kind, tmp_path):
    """Its scores of a converted file are those of the original networks' heads."""
    state = kind.official()
    torch.save({'state_dict': to_mm(parse_checkpoint(state, ''))}, tmp_path / 'mm.pth')
    steps = ['LoadImageFromFile', 'PackInputs']
    cfg = dict(
        model=kind.parts(),
        data_preprocessor=dict(num_classes=5, mean=[0.0] * 3, std=[255.0] * 3),
        test_dataloader=dict(
            dataset=dict(type='ImageNet', pipeline=[dict(type=step) for step in steps])
        ),
    )
    image = torch.randint(0, 256, (64, 96, 3), dtype=torch.uint8)
    inferencer = ImageClassificationInferencer(Config(cfg), pretrained=str(tmp_path / 'mm.pth'))
    (found,) = inferencer(image.numpy())

    backbone = kind.network(kind.arch, **CLASSIFIER).eval()
    load_backbone(backbone, parse_checkpoint(state, 'a.pth'), head_dim=16)
    with torch.no_grad():
        (feature_map,) = backbone(image.permute(2, 0, 1)[None] / 255)
    tokens = feature_map.flatten(2).mT
    scores = linear(tokens.mean(1), state['head.weight'], state['head.bias'])
    if not kind.light:
        of_tokens = linear(tokens, state['aux_head.weight'], state['aux_head.bias'])
        scores += 0.5 * of_tokens.amax(1)
    assert found['pred_scores'] == pytest.approx(scores.softmax(1)[0].numpy(), abs=1e-4)


# Backbones


@pytest.mark.parametrize(
    'file, model, wanted',
    [
        (UniFormerLight, UniFormer, 'class token of the light networks.*use UniFormerLight'),
        (UniFormerLight, UniFormer3D, 'class token of the light networks.*use UniFormerLight3D'),
        (UniFormerLight3D, UniFormerLight, 'for clips, the model for images: use UniFormerLight3D'),
        (UniFormer, UniFormerLight, 'has no class token: use UniFormer'),
        (UniFormer, UniFormerLight3D, 'has no class token: use UniFormer3D'),
    ],
)
def test_another_network(file, model, wanted):
    """Where only the class token differs, too."""
    weights = parse_checkpoint(file(LIGHT, **CLASSIFIER).state_dict(), 'a.pth')
    with pytest.raises(CheckpointError, match=rf'{wanted}\.\n') as error:
        load_backbone(model(LIGHT, **CLASSIFIER), weights, head_dim=16)
    assert 'light=' not in str(error.value)


@pytest.mark.parametrize('stages', [1, 2, 3, 4])
@pytest.mark.parametrize('network', [UniFormerLight, UniFormerLight3D])
def test_networks_that_stop_earlier(network, stages, log):
    """The class token belongs to the third stage, what widens it to the fourth."""
    state = {**network(LIGHT, **CLASSIFIER).state_dict(), **heads('head', 'norm_cls', 'head_cls')}
    backbone = network(LIGHT, out_indices=tuple(range(stages)), final_norm=False)
    load_backbone(backbone, parse_checkpoint({'model': state}, 'a.pth'), head_dim=16)
    loaded = backbone.state_dict()
    assert all(value.equal(state[key]) for key, value in loaded.items() if key in state)
    assert ('cls_token' in log.text) == (stages < 3)
    assert ('cls_upsample.{weight,bias}' in log.text) == (stages < 4)
    assert 'head_cls.{weight,bias}' in log.text


def test_plain_network_of_the_first_stages():
    """There are no tokens to rank there."""
    state = UniFormerLight(LIGHT, **CLASSIFIER).state_dict()
    backbone = UniFormer(LIGHT, out_indices=(0, 1))
    load_backbone(backbone, parse_checkpoint(state, 'a.pth'), head_dim=16)
    assert backbone.blocks2[0].mlp.fc1.weight.equal(state['blocks2.0.mlp.fc1.weight'])


@pytest.mark.parametrize('stage', ['cls_token', 'cls_upsample.weight'])
def test_class_token_must_be_whole(stage):
    state = UniFormerLight(LIGHT).state_dict()
    del state[stage]
    with pytest.raises(CheckpointError, match=stage):
        load_backbone(UniFormerLight(LIGHT), parse_checkpoint(state, 'a.pth'), head_dim=16)


# Which network fits a file


@pytest.mark.parametrize(
    'model, clips, network, arch',
    [
        ('uniformer_xxs', False, 'UniFormerLight', 'xxs'),
        ('uniformer_xxs', True, 'UniFormerLight3D', 'xxs'),
        ('uniformer_small_tl', False, 'UniFormer', 'small'),
        ('uniformer_small', True, 'UniFormer3D', 'small'),
    ],
)
def test_network_of_a_file(golden_imagenet, model, clips, network, arch):
    keys = golden_imagenet['models'][model]['keys']
    state = {key: torch.empty(shape, device='meta') for key, shape in keys.items()}
    if clips:
        kernels = {key: value for key, value in state.items() if value.ndim == 4}
        state |= {k: v.unsqueeze(2).repeat(1, 1, v.shape[-1], 1, 1) for k, v in kernels.items()}
    light = arch == 'xxs'
    found = describe_weights(parse_checkpoint(state, 'a.pth'), head_dim=None if light else 32)
    assert found['type'] == f'uniformer_mm.{network}'
    assert (found['arch'], found['head_dim']) == (arch, 28 if light else 32)
    assert found['final_norm'] and found['out_indices'] == (3,)


def test_network_of_a_file_of_token_labelling():
    """Its name tells which of two head dimensions it has; that of an architecture does not."""
    state = KINDS['labelled'].official()
    with pytest.raises(
        CheckpointError, match=r'tells its head_dim: give .* head_dim=\.\.\. or --head-dim'
    ):
        describe_weights(parse_checkpoint(state, 'a.pth'))
    for name, head_dim in (('tl_384', 32), ('dim64_tl_224', 64)):
        weights = parse_checkpoint(state, f'uniformer_small_{name}.pth')
        assert describe_weights(weights)['head_dim'] == head_dim


def test_network_of_a_dense_file():
    state = {f'backbone.{k}': v for k, v in UniFormerLight('mini').state_dict().items()}
    weights = parse_checkpoint({'state_dict': {**state, 'neck.a': torch.zeros(1)}}, 'a.pth')
    found = describe_weights(weights)
    assert (found['type'], found['arch']) == ('uniformer_mm.UniFormerLight', 'mini')
    assert found['out_indices'] == (0, 1, 2, 3) and not found['final_norm']
