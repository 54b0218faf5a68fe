"""The network for clips: any clip, divided attention, and the keys that it shares with images."""

import pytest
import torch
from torch import Tensor, nn

from uniformer_mm import UniFormer, UniFormer3D
from uniformer_mm.models.layers import GlobalBlock, SplitBlock

MINI = dict(depths=(1, 1, 5, 1), embed_dims=(16, 32, 48, 64), head_dim=16)


def mini(**kwargs) -> UniFormer3D:
    return UniFormer3D(MINI, **kwargs)


def same(found: Tensor, expected: Tensor, tolerance: float) -> None:
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize('frames', [2, 3, 7, 8])
@pytest.mark.parametrize('size', [(32, 32), (33, 47), (112, 60)])
@torch.no_grad()
def test_any_clip(frames: int, size: tuple[int, int]) -> None:
    """Height and width are floored by every embedding, the frames are halved once, rounding up."""
    outs = mini(out_indices=(0, 1, 2, 3), final_norm=False).eval()(torch.rand(1, 3, frames, *size))
    for i, out in enumerate(outs):
        expected = [s // 4 // 2**i for s in size]
        assert out.shape == (1, MINI['embed_dims'][i], (frames + 1) // 2, *expected)
        assert out.is_contiguous()


def test_kernels() -> None:
    model = mini(local_kernel_size=7, pos_kernel_size=5)
    assert model.blocks1[0].attn.kernel_size == (7, 7, 7)
    assert model.blocks4[0].pos_embed.kernel_size == (5, 5, 5)
    assert not any('pos_embed' in key for key in mini(pos_kernel_size=0).state_dict())
    assert [mini(std=True)._embed(i).proj.kernel_size[0] for i in range(4)] == [3, 3, 3, 3]
    assert [mini()._embed(i).proj.kernel_size[0] for i in range(4)] == [3, 1, 1, 1]


@torch.no_grad()
def test_kernels_of_one_frame() -> None:
    """Behind the first embedding only attention mixes frames; its windows here overlap by one."""
    clips = torch.rand(2, 3, 8, 32, 32)
    clips[1, :, 1:] = clips[0, :, 1:]
    for options, frames in (({}, 4), ({'inflated': False}, 1)):
        one, other = mini(stage_types='LLLL', out_indices=(2,), final_norm=False, **options).eval()(
            clips
        )
        changed = (one != other).flatten(2).any(-1).any(0)
        assert changed.tolist() == [i < frames for i in range(4)]


@pytest.mark.parametrize('arch', ['small', 'base'])
def test_same_keys_as_images(arch: str) -> None:
    with torch.device('meta'):
        clips = UniFormer3D(arch).state_dict()
        images = UniFormer(arch, out_indices=(3,), final_norm=True).state_dict()
    assert clips.keys() == images.keys()
    assert len(clips) + 2 == {'small': 331, 'base': 687}[arch]  # and a head


# Divided attention


def split_block(**kwargs) -> SplitBlock:
    block = SplitBlock(8, head_dim=4, ndim=3, **kwargs).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    return block


@torch.no_grad()
def test_divided_attention_position_by_position() -> None:
    """Written out: sequences of one position, then of one frame, added to the block's input."""
    block = split_block().eval()
    x = torch.randn(2, 8, 3, 4, 5).double()
    embedded = block.pos_embed(x)
    attended = torch.empty_like(embedded)
    for h in range(4):
        for w in range(5):
            tokens = embedded[:, :, :, h, w].transpose(1, 2)
            tokens = tokens + block.t_attn(block.t_norm(tokens))
            attended[:, :, :, h, w] = tokens.transpose(1, 2)
    mixed = torch.empty_like(embedded)
    for t in range(3):
        tokens = attended[:, :, t].flatten(2).transpose(1, 2)
        branch = block.attn(block.norm1(tokens)).transpose(1, 2).unflatten(2, (4, 5))
        mixed[:, :, t] = embedded[:, :, t] + branch
    tokens = mixed.flatten(2).transpose(1, 2)
    tokens = tokens + block.mlp(block.norm2(tokens))
    same(block(x), tokens.transpose(1, 2).unflatten(2, (3, 4, 5)), 1e-12)


@torch.no_grad()
def test_divided_attention_starts_without_time() -> None:
    for block in mini(split=True).blocks3:
        assert not block.t_attn.qkv.weight.any() and not block.t_attn.qkv.bias.any()
        assert (block.t_attn.proj.weight == 1).all() and not block.t_attn.proj.bias.any()
        assert not block.t_attn(torch.randn(2, 5, 48)).any()
        assert block.attn.qkv.weight.any()


def test_divided_attention_drops_sequences() -> None:
    """Drop path draws for every position in time, every frame in space, every clip at last."""
    block = split_block(drop_path=0.5).train()
    drawn = []
    block.drop_path.register_forward_hook(lambda _m, args, _o: drawn.append(len(args[0])))
    block(torch.randn(2, 8, 3, 4, 5).double())
    assert drawn == [2 * 4 * 5, 2 * 3, 2]


@pytest.mark.parametrize('split', [False, True])
@torch.no_grad()
def test_windows_span_all_frames(split: bool) -> None:
    """A change inside one window reaches all its frames, and no other window."""
    block = split_block() if split else GlobalBlock(8, head_dim=4, ndim=3).double()
    block.eval().window_size, block.pos_embed = 2, nn.Identity()
    x = torch.randn(1, 8, 3, 4, 4).double()
    changed = x.clone()
    changed[:, :, 0, 0, 0] += torch.randn(8).double()  # a constant would vanish in the norm
    moved = (block(changed) - block(x)).abs().amax((0, 1)) > 0
    assert moved[:, :2, :2].all()
    assert not moved[:, 2:].any() and not moved[:, :, 2:].any()


@pytest.mark.parametrize('split', [False, True])
@torch.no_grad()
def test_large_windows_are_global(split: bool) -> None:
    model = mini(split=split).eval()
    x = torch.randn(1, 3, 4, 64, 96)
    expected = model(x)
    model.set_stage3_style('window', 6)
    same(model(x), expected, 0.5)  # 4 x 6 positions in one padded window
    model.set_stage3_style('window', 2)
    assert not torch.allclose(model(x), expected, rtol=1e-3)
