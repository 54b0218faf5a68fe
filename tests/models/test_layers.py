import pytest
import torch
from torch import nn

from uniformer_mm.models.layers import (
    OPS,
    Attention,
    GlobalBlock,
    LocalBlock,
    window_partition,
    window_reverse,
)
from uniformer_mm.models.layers.recompute import checkpoint_block
from uniformer_mm.models.layers.fusion import fuse_block


@pytest.mark.parametrize(
    ('size', 'window'),
    [
        ((8, 12), (4, 4)),
        ((9, 13), (4, 4)),
        ((3, 5), (14, 14)),
        ((4, 9, 6), (2, 4, 4)),
        ((7,), (3,)),
    ],
)
def test_windows_round_trip(size: tuple[int, ...], window: tuple[int, ...]) -> None:
    x = torch.randn(2, *size, 6)
    windows = window_partition(x, window)
    counts = [-(-s // w) for s, w in zip(size, window, strict=True)]
    assert windows.shape == (2 * torch.tensor(counts).prod(), torch.tensor(window).prod(), 6)
    assert torch.equal(window_reverse(windows, window, size), x)


def test_windows_are_row_major_and_padded_at_the_far_ends() -> None:
    x = torch.arange(1.0, 13.0).reshape(1, 3, 4, 1)
    windows = window_partition(x, (2, 2)).squeeze(-1)
    assert windows.tolist() == [[1, 2, 5, 6], [3, 4, 7, 8], [9, 10, 0, 0], [11, 12, 0, 0]]


def test_fused_attention_equals_plain() -> None:
    attention = Attention(48, head_dim=16).double()
    x = torch.randn(2, 10, 48, dtype=torch.float64)
    fused = attention(x)
    attention.fused = False
    torch.testing.assert_close(attention(x), fused, rtol=1e-12, atol=1e-12)


def test_attention_drops_weights_only_in_training() -> None:
    attention = Attention(32, head_dim=16, attn_drop=0.5)
    x = torch.randn(1, 8, 32)
    assert not torch.equal(attention(x), attention(x))
    attention.eval()
    assert torch.equal(attention(x), attention(x))


def test_head_dim_must_divide_channels() -> None:
    with pytest.raises(ValueError, match='head_dim must divide the 48 channels.*got 32'):
        Attention(48, head_dim=32)


@pytest.mark.parametrize('ndim', OPS)
@pytest.mark.parametrize('block_type', [LocalBlock, GlobalBlock])
def test_blocks_serve_both_dimensionalities(block_type: type, ndim: int) -> None:
    kwargs = {} if block_type is LocalBlock else dict(head_dim=8)
    block = block_type(16, ndim=ndim, layer_scale=0.1, **kwargs)
    x = torch.randn(2, 16, *(4, 5, 6)[:ndim], requires_grad=True)
    out = block(x)
    assert out.shape == x.shape
    out.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for n, p in block.named_parameters() if not is_key_bias(n))


def is_key_bias(name: str) -> bool:
    """A bias in front of a norm or shared by all keys moves nothing."""
    return name.endswith('attn.qkv.bias') or name == 'conv1.bias'


def test_window_covering_the_map_equals_global() -> None:
    block = GlobalBlock(32, head_dim=16).eval()
    x = torch.randn(1, 32, 7, 7)
    whole = block(x)
    block.window_size = 7
    torch.testing.assert_close(block(x), whole)
    block.window_size = 14  # pads, so padded tokens take part
    assert not torch.allclose(block(x), whole)


def test_drop_path_drops_whole_samples_of_both_branches_and_rescales() -> None:
    block = LocalBlock(4, drop_path=0.5)
    block.pos_embed = nn.Identity()
    block.conv2 = nn.Identity()
    for module in (block.conv1, block.norm1, block.attn):
        module.forward = lambda x: torch.ones_like(x)
    block.mlp.forward = lambda x: torch.zeros_like(x)
    steps = block(torch.zeros(256, 4, 2, 2)).flatten(1)
    assert torch.equal(steps, steps[:, :1].expand_as(steps))
    assert set(steps[:, 0].tolist()) == {0.0, 2.0}
    block.eval()
    assert torch.equal(block(torch.zeros(8, 4, 2, 2)), torch.ones(8, 4, 2, 2))


@pytest.mark.parametrize('block_type', [LocalBlock, GlobalBlock])
def test_checkpointing_changes_nothing(block_type: type) -> None:
    kwargs = {} if block_type is LocalBlock else dict(head_dim=8)
    block = block_type(16, drop_path=0.3, **kwargs)
    state = {k: v.clone() for k, v in block.state_dict().items()}
    results = []
    for run in (block, lambda x: checkpoint_block(block, x)):
        block.load_state_dict(state)
        block.zero_grad()
        torch.manual_seed(1)
        out = run(torch.linspace(-1, 1, 4 * 16 * 36).reshape(4, 16, 6, 6))
        out.square().mean().backward()
        gradients = [p.grad.clone() for p in block.parameters()]
        results.append([out.detach(), *gradients, *(b.clone() for b in block.buffers())])
    for plain, recomputed in zip(*results, strict=True):
        assert torch.equal(plain, recomputed)
    if block_type is LocalBlock:
        assert block.norm1.num_batches_tracked == 1
        assert block.norm1.momentum == 0.1


@pytest.mark.parametrize('ndim', OPS)
@pytest.mark.parametrize('block_type', [LocalBlock, GlobalBlock])
def test_fused_block_is_equal(block_type: type, ndim: int) -> None:
    kwargs = {} if block_type is LocalBlock else dict(head_dim=8)
    block = block_type(16, ndim=ndim, layer_scale=0.5, **kwargs).double()
    x = torch.randn(2, 16, *(4, 5, 6)[:ndim], dtype=torch.float64)
    for _ in range(3):
        block(x)  # moves the BatchNorm statistics away from 0 and 1
    block.eval()
    expected = block(x)
    fuse_block(block)
    torch.testing.assert_close(block(x), expected, rtol=1e-12, atol=1e-12)
    left = [type(m).__name__ for m in block.modules()]
    assert not any('BatchNorm' in name or 'Residual' in name for name in left)
    assert block.gamma_1 is None
