"""The networks equal the original ones, in float64 on seeded weights."""

from collections.abc import Iterable

import pytest
import torch
import torch.nn.functional as F
from golden import DENSE_STYLES, assert_matches, split_head
from seeded_weights import seeded_input, seeded_state_dict
from torch import Tensor, nn

from uniformer_mm import DualFormer, UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D
from uniformer_mm.checkpoints import load_backbone, parse_checkpoint

CLASSIFIERS = {
    'uniformer_small': dict(arch='small'),
    'uniformer_small_plus': dict(arch='small_plus'),
    'uniformer_tiny_openmixup': dict(arch='tiny'),
}
LIGHT_CLIPS = {
    'uniformer_xxs_light': {},
    'uniformer_xxs_light_train': {},
    'uniformer_xxs_light_layerscale': dict(layer_scale_init_value=0.1),
}


def record(model: nn.Module, names: Iterable[str]) -> dict[str, Tensor]:
    """Will hold the output of each named module after the next forward."""
    outputs: dict[str, Tensor] = {}
    for name in names:
        module = model.get_submodule(name)
        module = module[-1] if isinstance(module, nn.ModuleList) else module
        module.register_forward_hook(lambda _m, _i, out, name=name: outputs.update({name: out}))
    return outputs


@pytest.mark.parametrize('name', CLASSIFIERS)
@torch.no_grad()
def test_classifier(golden_imagenet: dict, name: str) -> None:
    golden = golden_imagenet['models'][name]
    state, head = split_head(seeded_state_dict(golden['keys']))
    model = UniFormer(out_indices=(3,), final_norm=True, **CLASSIFIERS[name]).double().eval()
    model.load_state_dict(state, strict=True)
    parameters = sum(p.numel() for p in (*model.parameters(), *head.values()))
    assert parameters == golden['params']

    outputs = record(model, [k for k in golden['outputs'] if k not in ('features', 'logits')])
    (features,) = model(seeded_input(golden['input']['shape'], golden['input']['seed']))
    outputs['features'] = features
    outputs['logits'] = features.mean((2, 3)) @ head['head.weight'].T + head['head.bias']
    assert outputs.keys() == golden['outputs'].keys()
    for key, expected in golden['outputs'].items():
        assert_matches(outputs[key], expected, f'{name} {key}')
    for unit, expected in golden['units'].items():
        x = seeded_input(expected['input']['shape'], expected['input']['seed'])
        assert_matches(model.get_submodule(unit)(x), expected['output'], f'{name} {unit}')


@pytest.mark.parametrize('fused_attn', [True, False])
@pytest.mark.parametrize('name', DENSE_STYLES)
@torch.no_grad()
def test_dense(golden_dense: dict, name: str, fused_attn: bool) -> None:
    case = next(case for case in golden_dense['cases'] if case['name'] == name)
    model = UniFormer('small', fused_attn=fused_attn, **DENSE_STYLES[name]).double().eval()
    model.load_state_dict(seeded_state_dict(golden_dense['maps'][case['map']]), strict=True)
    assert sum(p.numel() for p in model.parameters()) == case['num_parameters']
    outputs = model(seeded_input(case['input_shape'], case['input_seed']))
    assert len(outputs) == len(case['outputs'])
    for i, (output, expected) in enumerate(zip(outputs, case['outputs'], strict=True)):
        assert_matches(output, expected, f'{name} stage {i}')


def check_video(model: UniFormer3D, head: dict[str, Tensor], golden: dict, name: str) -> None:
    """Compare every stage and the logits."""
    outputs = record(model, list(golden['stages']))
    features = model(seeded_input(golden['input']['shape'], golden['input']['seed']))
    logits = features.mean((2, 3, 4)) @ head['head.weight'].T + head['head.bias']
    for key, expected in golden['stages'].items():
        assert_matches(outputs[key], expected, f'{name} {key}')
    assert_matches(logits, golden['output'], f'{name} logits')


@pytest.mark.parametrize('fused_attn', [True, False])
@torch.no_grad()
def test_video(golden_video: dict, fused_attn: bool) -> None:
    golden = golden_video['uniformer_small']
    state, head = split_head(seeded_state_dict(golden['shapes']))
    model = UniFormer3D('small', fused_attn=fused_attn).double().eval()
    model.load_state_dict(state, strict=True)
    parameters = sum(p.numel() for p in (*model.parameters(), *head.values()))
    assert parameters == golden['num_params']
    check_video(model, head, golden, 'uniformer_small')


@torch.no_grad()
def test_video_inflation(golden_video: dict) -> None:
    """An image network's weights, inflated; the clips' head keeps its own."""
    golden = golden_video['uniformer_small_inflation']
    model = UniFormer3D('small').double().eval()
    images = seeded_state_dict(golden['shapes_2d'])
    load_backbone(model, parse_checkpoint(images, 'image.pth'), head_dim=64)
    loaded = model.state_dict()
    for key, expected in golden['tensors'].items():
        assert_matches(loaded[key], expected, key)
    _, head = split_head(seeded_state_dict(golden['shapes_3d']))
    check_video(model, head, golden, 'uniformer_small_inflation')


def light_logits(
    feature_map: Tensor, cls_token: Tensor, head: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Logits of the pooled map and of the class token."""
    norm = head['norm_cls.weight'], head['norm_cls.bias']
    token = F.layer_norm(cls_token, cls_token.shape[1:], *norm)
    return (
        F.linear(feature_map.flatten(2).mean(2), head['head.weight'], head['head.bias']),
        F.linear(token, head['head_cls.weight'], head['head_cls.bias']),
    )


@pytest.mark.parametrize('fused_attn', [True, False])
@torch.no_grad()
def test_light_classifier(golden_imagenet: dict, fused_attn: bool) -> None:
    golden = golden_imagenet['models']['uniformer_xxs']
    state, head = split_head(seeded_state_dict(golden['keys']))
    options = dict(out_indices=(3,), final_norm=True, with_cls_token=True, fused_attn=fused_attn)
    model = UniFormerLight('xxs', **options).double().eval()
    model.load_state_dict(state, strict=True)
    parameters = sum(p.numel() for p in (*model.parameters(), *head.values()))
    assert parameters == golden['params']

    outputs = record(
        model, {k.removesuffix('.cls') for k in golden['outputs']} - {'features', 'logits'}
    )
    ((features, cls_token),) = model(
        seeded_input(golden['input']['shape'], golden['input']['seed'])
    )
    for stage in ('blocks3', 'blocks4'):
        outputs[stage], outputs[f'{stage}.cls'], _ = outputs[stage]
    outputs['features'] = features
    outputs['logits'], _ = light_logits(features, cls_token, head)
    assert outputs.keys() == golden['outputs'].keys()
    for key, expected in golden['outputs'].items():
        assert_matches(outputs[key], expected, key)


@pytest.mark.parametrize('name', LIGHT_CLIPS)
@torch.no_grad()
def test_light_video(golden_video: dict, name: str) -> None:
    golden = golden_video[name]
    state, head = split_head(seeded_state_dict(golden['shapes']))
    model = UniFormerLight3D('xxs', with_cls_token=True, **LIGHT_CLIPS[name]).double()
    model.train(golden['mode'] == 'train')
    model.load_state_dict(state, strict=True)
    parameters = sum(p.numel() for p in (*model.parameters(), *head.values()))
    assert parameters == golden['num_params']

    outputs = record(model, {key.partition('[')[0] for key in golden['stages']})
    pair = model(seeded_input(golden['input']['shape'], golden['input']['seed']))
    for block in [key for key, output in outputs.items() if isinstance(output, tuple)]:
        outputs[f'{block}[1]'], outputs[f'{block}[0]'], _ = outputs.pop(block)
    assert outputs.keys() == golden['stages'].keys()
    for key, expected in golden['stages'].items():
        assert_matches(outputs[key], expected, f'{name} {key}')
    logits = light_logits(*pair, head)
    expected = golden['output']
    expected = [expected['out[0]'], expected['out[1]']] if model.training else [expected]
    for found, output in zip(logits, expected, strict=False):
        assert_matches(found, output, f'{name} logits')


@pytest.mark.parametrize('frames', [16, 32])
@torch.no_grad()
def test_dualformer(golden_video: dict, frames: int) -> None:
    golden = golden_video[f'dualformer_tiny_{frames}f']
    model = DualFormer('tiny', clip_size=(frames, 224, 224)).double().eval()
    model.load_state_dict(seeded_state_dict(golden['shapes']), strict=True)
    assert sum(p.numel() for p in model.parameters()) == golden['num_params']

    outputs = record(model, {key.removesuffix('[0]') for key in golden['stages']})
    features = model(seeded_input(golden['input']['shape'], golden['input']['seed']))
    for key, expected in golden['stages'].items():
        output = outputs[key.removesuffix('[0]')]
        if len(expected['shape']) == 3:
            output = output.flatten(2).transpose(1, 2)  # the original's parts pass on tokens
        assert_matches(output, expected, f'{frames} frames {key}')
    assert_matches(features, golden['output'], f'{frames} frames')


def test_every_entry_is_covered(
    golden_imagenet: dict, golden_dense: dict, golden_video: dict
) -> None:
    # The token-labelling head has tests of its own.
    assert golden_imagenet['models'].keys() - {'uniformer_xxs', 'uniformer_small_tl'} == {
        *CLASSIFIERS
    }
    dense = {c['name'] for c in golden_dense['cases'] if c['official_class'] == 'UniFormer'}
    assert dense == DENSE_STYLES.keys()
    networks = {'uniformer_small', 'uniformer_small_inflation', *LIGHT_CLIPS}
    # The inflation of DualFormer has a test among those of weights.
    networks |= {'dualformer_tiny_16f', 'dualformer_tiny_32f', 'dualformer_tiny_inflation'}
    assert golden_video.keys() - networks == {'_about', 'uniformer_protocol'}
