"""The video network of local windows and global pyramids: any clip, and what the kernels are."""

import pytest
import torch
from torch import nn

from uniformer_mm import DualFormer
from uniformer_mm.models.layers import PyramidAttention, PyramidBlock, WindowBlock, pyramid_kernels

MINI = dict(depths=(2, 2, 2, 2), embed_dims=(16, 32, 48, 64), head_dim=16)


@pytest.mark.parametrize('clip_size', [(4, 64, 96), (32, 224, 224)])
@pytest.mark.parametrize('frames', [2, 7, 8])
@pytest.mark.parametrize('size', [(32, 32), (33, 47), (112, 60)])
@torch.no_grad()
def test_any_clip(clip_size: tuple, frames: int, size: tuple[int, int]) -> None:
    """Sizes are floored by every embedding; windows and pyramids that do not divide are padded."""
    model = DualFormer(MINI, clip_size=clip_size, out_indices=(0, 1, 2, 3), final_norm=False)
    for i, out in enumerate(model.eval()(torch.rand(1, 3, frames, *size))):
        expected = [s // 4 // 2**i for s in size]
        assert out.shape == (1, MINI['embed_dims'][i], frames // 2, *expected)
        assert out.is_contiguous() and out.isfinite().all()


def test_kernels_of_the_released_networks() -> None:
    """Spec: the pyramids of 32 and 16 frames of 224 x 224."""
    fine, coarse = (8, 7, 7), (4, 4, 4)
    for frames, time in ((16, 2), (8, 1)):
        found = pyramid_kernels((frames, 56, 56), fine, coarse)
        assert found == ((time, 8, 8), (2 * time, 14, 14))
        assert pyramid_kernels((frames, 14, 14), fine, None) == ((time, 2, 2), None)
        assert pyramid_kernels((frames, 7, 7), (16, 7, 7), None) == (None, None)
    with torch.device('meta'):
        coarse = DualFormer('tiny').blocks[0][1].attn.lr
    assert (coarse[0].kernel_size, coarse[3].kernel_size) == ((1, 7, 7), (4, 2, 2))


@pytest.mark.parametrize('side', [28, 56, 64, 100])
def test_coarse_kernels_of_other_sizes_keep_to_the_pyramid(side: int) -> None:
    """Whatever the size, the coarse level has the sides that the architecture names."""
    fine, coarse = pyramid_kernels((8, side, side), (8, 7, 7), (4, 4, 4))
    attention = PyramidAttention(8, 8, fine=fine, coarse=coarse)
    x = torch.rand(1, 8, 8, *(n // k * k for n, k in zip((side, side), fine[1:], strict=True)))
    assert -(-side // attention.kernels['lr'][1]) in (4, 5)
    assert attention(x.movedim(1, -1)).shape == (1, *x.shape[2:], 8)


@torch.no_grad()
def test_tokens_attend_to_the_pyramid_and_to_nothing_else() -> None:
    """Written out for one query: fine tokens, then coarse ones, normalised together."""
    attention = PyramidAttention(8, 4, fine=(1, 2, 2), coarse=(2, 4, 4)).double().eval()
    for parameter in attention.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(1, 2, 4, 4, 8).double()
    maps = x.movedim(-1, 1)
    tokens = torch.cat([attention.sr(maps).flatten(2), attention.lr(maps).flatten(2)], 2)
    k, v = attention.kv(attention.norm(tokens.transpose(1, 2)))[0].chunk(2, -1)
    query = attention.q(x[0, 1, 2, 3])
    heads = [(query[h] @ k[:, h].T / 2).softmax(-1) @ v[:, h] for h in (slice(0, 4), slice(4, 8))]
    expected = attention.proj(torch.cat(heads))
    torch.testing.assert_close(attention(x)[0, 1, 2, 3], expected)
    assert tokens.shape[-1] == 8 + 1


@torch.no_grad()
def test_windows_are_cut_to_small_maps() -> None:
    """A window as large as the map gives the same as a larger one, and what is outside no say."""
    large = WindowBlock(8, 4, (8, 7, 7)).eval()
    small = WindowBlock(8, 4, (2, 3, 4)).eval()
    small.load_state_dict(large.state_dict())
    x = torch.rand(1, 8, 2, 3, 4)
    torch.testing.assert_close(large(x), small(x))
    two = torch.cat([x, torch.rand_like(x)], -1)
    torch.testing.assert_close(small(two)[..., :4], small(x))


def test_positions_are_encoded_behind_the_first_block() -> None:
    order = []
    model = DualFormer(MINI, clip_size=(4, 64, 64))
    for name, module in model.named_modules():
        if name.startswith(('blocks.', 'pos_block.')) and name.count('.') + (name[0] == 'p') == 2:
            module.register_forward_hook(lambda *_, name=name: order.append(name))
    model(torch.rand(1, 3, 4, 64, 64))
    assert order[:3] == ['blocks.0.0', 'pos_block.0', 'blocks.0.1']


def test_initialisation() -> None:
    """Linear layers as in the original, convolutions and norms as PyTorch makes them."""
    model = DualFormer(MINI)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert not module.bias.any()
    assert {m.eps for m in model.modules() if isinstance(m, nn.LayerNorm)} == {1e-5}


@pytest.mark.parametrize(('arch', 'entries'), [('tiny', 306), ('small', 400), ('base', 400)])
def test_number_of_entries(arch: str, entries: int) -> None:
    with torch.device('meta'):
        model = DualFormer(arch)
    assert len(model.state_dict()) == entries
    kinds = [type(block) for block in model.blocks[2]]
    assert kinds == [WindowBlock, PyramidBlock] * (len(kinds) // 2)
