"""What a token gathers from where."""

import pytest
import torch

from uniformer_mm import UniFormer, UniFormer3D, UniFormerLight
from uniformer_mm.analysis.affinity import token_affinity


def test_local_is_the_kernel_around_the_token() -> None:
    backbone = UniFormer('mini').eval()
    inputs = torch.randn(1, 3, 64, 96)
    shares, token = token_affinity(backbone, inputs, 0, 0, (0.5, 0.25))
    assert shares.shape == (16, 24) and token == (8, 6)
    kernel = backbone.blocks1[0].attn.weight.abs().mean((0, 1))
    assert torch.allclose(shares[6:11, 4:9], kernel / kernel.sum())
    assert shares.count_nonzero() == 25
    corner, _ = token_affinity(backbone, inputs, 0, 0, (0, 0))
    assert torch.allclose(corner[:3, :3], kernel[2:, 2:] / kernel[2:, 2:].sum())


@pytest.mark.parametrize('window', [0, 4])
@pytest.mark.parametrize('clip', [False, True])
def test_global_shares_mix_the_values_as_the_block_does(clip: bool, window: int) -> None:
    """In windows, too, which the map does not divide; those of clips span all frames."""
    style = dict(stage3_style='window', window_size=window) if window else {}
    backbone = (UniFormer3D if clip else UniFormer)('mini', **style).eval()
    inputs = torch.randn(1, 3, *([4] if clip else []), 96, 160)
    block, seen = backbone.blocks3[0], {}
    block.norm1.register_forward_hook(lambda m, args, out: seen.update(tokens=out.flatten(1, -2)))
    block.attn.proj.register_forward_pre_hook(lambda m, args: seen.update(mixed=args[0]))
    place = (0.9,) * backbone.ndim
    shares, token = token_affinity(backbone, inputs, 2, 0, place)
    size = (2, 6, 10) if clip else (6, 10)
    assert shares.shape == size and token == ((1, 5, 9) if clip else (5, 9))
    if window:  # at the end of the map a window holds 2 x 2 of its tokens, the rest is padding
        inside = shares[..., 4:, 8:].count_nonzero()
        assert inside == shares.count_nonzero() == 4 * (2 if clip else 1)
        assert shares.sum() < 1
        return
    # Queries and keys that are the same in all heads give the mean over the heads.
    head = block.attn.head_dim
    with torch.no_grad():
        for part in block.attn.qkv.weight.unflatten(0, (3, -1, head))[:2]:
            part[:] = part[:1].clone()
    shares, _ = token_affinity(backbone, inputs, 2, 0, place)
    values = block.attn.qkv(seen['tokens']).chunk(3, -1)[2][0]
    assert torch.allclose(shares.flatten() @ values, seen['mixed'][0, -1], atol=1e-5)


def test_what_has_no_such_shares() -> None:
    inputs = torch.randn(1, 3, 64, 64)
    with pytest.raises(ValueError, match=r'stage 3, block 1 of UniFormerLight is neither local'):
        token_affinity(UniFormerLight('mini'), inputs, 2, 0, (0, 0))
    for place in ((0, 1), (0, 0, 0)):
        with pytest.raises(ValueError, match=r'2 shares in \[0, 1\)'):
            token_affinity(UniFormer('mini'), inputs, 2, 0, place)
    split = UniFormer3D('mini', split=True)
    with pytest.raises(ValueError, match='stage 3, block 1 of UniFormer3D'):
        token_affinity(split, torch.randn(1, 3, 4, 64, 64), 2, 0, (0, 0, 0))
