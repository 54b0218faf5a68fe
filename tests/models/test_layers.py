"""The layers one by one, where a whole network would not show what they do."""

import copy
import math

import pytest
import torch
from torch import nn

from uniformer_mm.models.layers import (
    OPS,
    Attention,
    GlobalBlock,
    LocalBlock,
    Mlp,
    PooledAttention,
    checkpoint_block,
    mlp,
    window_partition,
    window_reverse,
)
from uniformer_mm.models.layers.ops import depthwise


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


def test_window_covering_the_map_equals_global() -> None:
    block = GlobalBlock(32, head_dim=16).eval()
    x = torch.randn(1, 32, 7, 7)
    whole = block(x)
    block.window_size = 7
    torch.testing.assert_close(block(x), whole)
    block.window_size = 14  # pads, so padded tokens take part
    assert not torch.allclose(block(x), whole)


@pytest.mark.parametrize('size', [(7, 10), (3, 7, 10)])
@torch.no_grad()
def test_pooled_attention_reads_every_third_row_and_column(size: tuple[int, ...]) -> None:
    """Where the kernels of keys and values pick their middle and no norm changes that."""
    attention = PooledAttention(8, head_dim=4, stride=3, ndim=len(size)).double()
    for pool in (attention.pool_k, attention.pool_v):
        kernel = pool[0].weight.zero_()
        kernel[(slice(None), 0, *(side // 2 for side in kernel.shape[2:]))] = 1
        pool[1] = nn.Identity()
    x = torch.randn(2, *size, 8).double()
    q, k, v = Attention._heads(attention, x)
    read = torch.arange(q.shape[2]).reshape(size)[..., ::3, ::3].flatten()
    expected = attention._mix(q, k[:, :, read], v[:, :, read]).view(x.shape)
    torch.testing.assert_close(attention(x), expected)


def test_attention_drops_weights_only_in_training() -> None:
    attention = Attention(32, head_dim=16, attn_drop=0.5)
    x = torch.randn(1, 8, 32)
    assert not torch.equal(attention(x), attention(x))
    attention.eval()
    assert torch.equal(attention(x), attention(x))


@pytest.mark.parametrize('layer', [nn.Linear, OPS[2].pointwise])
@torch.no_grad()
def test_folded_mlp_in_pieces(layer, monkeypatch) -> None:
    monkeypatch.setattr(mlp, 'PIECE', 3 * 32)
    layers = Mlp(8, 32, layer).double()
    x = torch.randn(2, 8, 5, 8).double()  # 80 places or tokens: pieces of 3, and one of 2
    expected, given = layers(x), x.clone()
    layers.fold()
    torch.testing.assert_close(layers(x), expected, rtol=0, atol=1e-12)
    assert torch.equal(x, given)


def test_folded_mlp_serves_gradients_of_its_input_and_autocast(monkeypatch) -> None:
    monkeypatch.setattr(mlp, 'PIECE', 3 * 32)
    layers = Mlp(8, 32).requires_grad_(False)
    x = torch.randn(2, 40, 8, requires_grad=True)
    expected = torch.autograd.grad(layers(x).sum(), x)
    layers.fold()
    torch.testing.assert_close(torch.autograd.grad(layers(x).sum(), x), expected)
    with torch.autocast('cpu', torch.bfloat16):
        assert layers(x.detach()).dtype == torch.bfloat16


@pytest.mark.parametrize('ndim', [2, 3])
@torch.no_grad()
def test_folded_local_block_adds_products_in_place(ndim, monkeypatch) -> None:
    block = LocalBlock(16, ndim, layer_scale=0.5)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, *range(5, 5 + ndim), 16).movedim(-1, 1)
    block(x)  # moves the BatchNorm statistics
    expected, given = block.eval()(x), x.clone()
    block.fold()
    called = []
    add_to = Mlp.add_to
    monkeypatch.setattr(Mlp, 'add_to', lambda *args: called.append(args) or add_to(*args))
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-4)
    assert called and torch.equal(x, given)
    with torch.autocast('cpu', torch.bfloat16):  # elsewhere, as a whole
        torch.testing.assert_close(block(x).float(), expected, rtol=0, atol=0.1)
    assert len(called) == 1


@pytest.mark.parametrize(
    ('kernel_size', 'size', 'options'),
    [
        (3, (2, 8, 8), {}),
        (3, (2, 8, 8), dict(residual=True)),
        (3, (4, 1, 1), dict(stride=2)),
        (5, (3, 7, 7), {}),
        (5, (8, 1, 1), {}),
    ],
)
def test_depthwise_gradients_in_bfloat16(kernel_size, size, options) -> None:
    """Of maps smaller than the kernel, channels-last, with leftovers in the memory."""
    conv = depthwise(16, kernel_size, 3, **options)
    exact = copy.deepcopy(conv).double()
    conv.to(memory_format=torch.channels_last_3d)
    x = torch.randn(2, *size, 16).movedim(-1, 1)
    for _ in range(4):
        leftovers = [torch.full((4**n,), math.nan) for n in range(10) for _ in range(6)]
        del leftovers
        with torch.autocast('cpu', torch.bfloat16):
            y = conv(x)
        (found,) = torch.autograd.grad(y.float().square().sum(), conv.weight)
        (expected,) = torch.autograd.grad(exact(x.double()).square().sum(), exact.weight)
        assert (found - expected).norm() < 0.03 * expected.norm()


def test_drop_path_drops_whole_samples_of_both_branches_and_rescales() -> None:
    block = LocalBlock(4, drop_path=0.5)
    block.pos_embed = block.conv2 = nn.Identity()
    for module in (block.conv1, block.norm1, block.attn):
        module.forward = torch.ones_like
    block.mlp.forward = torch.zeros_like
    steps = block(torch.zeros(256, 4, 2, 2)).flatten(1)
    assert torch.equal(steps, steps[:, :1].expand_as(steps))
    assert set(steps[:, 0].tolist()) == {0.0, 2.0}
    block.eval()
    assert torch.equal(block(torch.zeros(8, 4, 2, 2)), torch.ones(8, 4, 2, 2))


def test_recomputation_is_exact_and_leaves_statistics_alone() -> None:
    block = LocalBlock(16, drop_path=0.3)
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
    assert all(torch.equal(plain, again) for plain, again in zip(*results, strict=True))
    assert (block.norm1.num_batches_tracked, block.norm1.momentum) == (1, 0.1)
