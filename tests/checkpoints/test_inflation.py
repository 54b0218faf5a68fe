"""Weights of images in networks for clips."""

import pytest
import torch
from torch.nn.functional import conv2d, conv3d

from uniformer_mm import UniFormer, UniFormer3D
from uniformer_mm.checkpoints import (
    CheckpointError,
    describe_weights,
    inflate_weight,
    load_backbone,
    parse_checkpoint,
    to_mm,
)

ARCH = {'depths': (1, 2, 3, 1), 'embed_dims': (16, 32, 32, 64), 'head_dim': 16}


def image_state(**kwargs) -> dict:
    return UniFormer({**ARCH, **kwargs}, out_indices=(3,), final_norm=True).state_dict()


def load(model: UniFormer3D, state: dict, **kwargs) -> dict:
    """Load a file with these entries; gives the model's entries."""
    load_backbone(model, parse_checkpoint(state, 'image.pth'), **{'head_dim': 16, **kwargs})
    return model.state_dict()


@pytest.mark.parametrize('mode', ['average', 'center'])
@pytest.mark.parametrize('frames', [1, 3, 5])
def test_a_still_clip_gets_the_response_of_its_image(mode, frames):
    weight = torch.rand(8, 3, 5, 5, dtype=torch.float64)
    image = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    inflated = inflate_weight(weight, frames, mode)
    assert inflated.shape == (8, 3, frames, 5, 5)
    clip = image.unsqueeze(2).expand(-1, -1, frames, -1, -1)
    torch.testing.assert_close(conv3d(clip, inflated).squeeze(2), conv2d(image, weight))


def test_modes_differ_as_they_say():
    weight = torch.rand(4, 1, 3, 3)
    average, center = (inflate_weight(weight, 5, mode) for mode in ('average', 'center'))
    assert all(torch.equal(average[:, :, i], weight / 5) for i in range(5))
    assert torch.equal(center[:, :, 2], weight)
    assert not center[:, :, [0, 1, 3, 4]].any()
    with pytest.raises(CheckpointError, match="one of average, center; got 'middle'"):
        inflate_weight(weight, 5, 'middle')


@pytest.mark.parametrize('mode', ['average', 'center'])
@pytest.mark.parametrize('layout', ['official', 'mm', 'training'])
def test_every_entry_comes_from_the_file(layout, mode):
    """Kernels are inflated, one- and two-dimensional tensors copied."""
    state = image_state()
    file = {
        'official': state,
        'mm': {'state_dict': to_mm(parse_checkpoint(state, ''))},
        'training': {'model': {**state, 'head.weight': torch.zeros(5, 64)}, 'epoch': 1},
    }[layout]
    loaded = load(UniFormer3D(ARCH), file, inflate=mode)
    assert loaded.keys() == state.keys()
    for key, value in loaded.items():
        expected = state[key]
        if expected.ndim == 4:
            expected = inflate_weight(expected, value.shape[2], mode)
        assert torch.equal(value, expected), key


def test_report_names_everything(log):
    state = image_state()
    load(UniFormer3D(ARCH), {**state, 'head.weight': torch.zeros(5, 64)})
    loaded, inflated = (record.message for record in log.records)
    assert f'Loaded {len(state)} backbone entries from image.pth' in loaded
    assert 'Not used (1): head.weight.' in loaded
    kernels = sum(value.ndim == 4 for value in state.values())
    assert f'by average: inflated {kernels} entries (to 5 frames: ' in inflated
    assert 'to 5 frames: blocks1.0.attn.weight, blocks2.[0-1].attn.weight; ' in inflated
    assert 'to 3 frames: patch_embed1.proj.weight, blocks1.0.pos_embed.weight' in inflated
    assert f'copied {len(state) - kernels} others' in inflated


def test_clips_are_not_inflated(log):
    state = UniFormer3D(ARCH).state_dict()
    loaded = load(UniFormer3D(ARCH), state, inflate='average')
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())
    assert 'inflated' not in log.text


def test_embeddings_that_mix_frames():
    state = image_state()
    loaded = load(UniFormer3D(ARCH, std=True), state)
    key = 'patch_embed3.proj.weight'
    assert torch.equal(loaded[key], inflate_weight(state[key], 3))


def test_temporal_attention_keeps_its_start(log):
    """Not in files of images and of joint attention; its output is zero until it is trained."""
    joint = UniFormer3D(ARCH).eval()
    split = UniFormer3D(ARCH, split=True).eval()
    for state in (image_state(), joint.state_dict()):
        log.clear()
        loaded = load(split, state)
        assert torch.equal(loaded['blocks3.0.attn.qkv.bias'], state['blocks3.0.attn.qkv.bias'])
        assert not loaded['blocks3.0.t_attn.qkv.weight'].any()
        assert 'At their initial values (24): blocks3.0.t_norm.{weight,bias}' in log.text
    half = {k: v for k, v in split.state_dict().items() if not k.startswith('blocks4.0.t_attn.')}
    with pytest.raises(CheckpointError, match=r'blocks4\.0\.t_attn\.qkv\.weight'):
        load(split, half)


class TestOtherKinds:
    def test_layer_scale_needs_layer_scale(self):
        state = image_state(layer_scale_init_value=0.5)
        with pytest.raises(CheckpointError, match=r'layer_scale_stages=\(0, 1, 2, 3\)'):
            load(UniFormer3D(ARCH), state)
        loaded = load(UniFormer3D(ARCH, layer_scale_init_value=1e-6), state)
        assert loaded['blocks1.0.gamma_1'].shape == (1, 16, 1, 1, 1)
        assert (loaded['blocks1.0.gamma_1'] == 0.5).all()
        assert (loaded['blocks4.0.gamma_2'] == 0.5).all()

    def test_token_labelling_needs_its_head_dim(self):
        state = {**image_state(), 'aux_head.weight': torch.zeros(5, 64)}
        with pytest.raises(CheckpointError, match='State it with init_cfg'):
            load(UniFormer3D(ARCH), state, head_dim=None)
        with pytest.raises(CheckpointError, match='set head_dim=32 in the backbone'):
            load(UniFormer3D(ARCH), state, head_dim=32)
        load(UniFormer3D(ARCH, head_dim=32), state, head_dim=32)

    @pytest.mark.parametrize(
        'model, file, hint',
        [
            ({}, {'embed_types': ('conv',) * 4}, r"the file embed_types=\('conv'"),
            ({'stage_types': 'LLLG'}, {}, "stage_types=.*'L', 'L', 'L', 'G'"),
            ({'local_kernel_size': 7}, {}, 'local_kernel_size=7, the file local_kernel_size=5'),
            ({'pos_kernel_size': 0}, {}, 'pos_kernel_size=0, the file pos_kernel_size=3'),
        ],
    )
    def test_another_network(self, model, file, hint):
        with pytest.raises(CheckpointError, match=hint):
            load(UniFormer3D(ARCH, **model), image_state(**file))

    def test_dense_file_has_no_classification_norm(self):
        with pytest.raises(CheckpointError, match='no classification norm'):
            load(UniFormer3D(ARCH), UniFormer(ARCH).state_dict())

    def test_clips_into_images(self):
        images = UniFormer(ARCH, out_indices=(3,), final_norm=True)
        with pytest.raises(CheckpointError, match='for clips, the model for images'):
            load(images, UniFormer3D(ARCH).state_dict())
        with pytest.raises(CheckpointError, match="inflate='average' is for clips"):
            load(images, images.state_dict(), inflate='average')


@pytest.mark.parametrize('options', [{}, {'split': True}, {'std': True}, {'stage_types': 'LLLG'}])
def test_options_are_read_off_a_file(options):
    state = UniFormer3D(ARCH, **options).state_dict()
    found = describe_weights(parse_checkpoint({'model_state': state}, ''), head_dim=16)
    expected = {'stage_types': ('L', 'L', 'G', 'G'), 'split': False, 'std': False}
    expected |= {key: tuple(v) if isinstance(v, str) else v for key, v in options.items()}
    assert {key: found['arch'][key] for key in expected} == expected
    load_backbone(UniFormer3D(**found), parse_checkpoint(state, ''), head_dim=16)
