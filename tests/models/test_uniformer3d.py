"""The backbone for clips: every option, any clip, and what it shares with images."""

import pytest
import torch
from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

from uniformer_mm import UniFormer, UniFormer3D
from uniformer_mm.models.layers import GlobalBlock, LocalBlock, SplitBlock

MINI = dict(depths=(1, 1, 5, 1), embed_dims=(16, 32, 48, 64), head_dim=16)
VARIANTS = {
    'joint': {},
    'split': dict(split=True),
    'std': dict(std=True),
    'layer scale': dict(layer_scale_init_value=0.5),
    'split windows': dict(split=True, stage3_style='hybrid', window_size=3),
    'windows': dict(stage3_style='window', window_size=3),
    'LLLL': dict(stage_types='LLLL'),
    'LLLG': dict(stage_types='LLLG'),
    'LGGG': dict(stage_types='LGGG'),
    'GGGG': dict(stage_types='GGGG'),
    'kernels': dict(local_kernel_size=7, pos_kernel_size=5),
    'no position': dict(pos_kernel_size=0),
}


def mini(**kwargs) -> UniFormer3D:
    return UniFormer3D(MINI, **kwargs)


def same(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def random_temporal_attention(model: nn.Module) -> None:
    """Give divided attention weights as after training: it starts with the output zero."""
    for module in model.modules():
        if isinstance(module, SplitBlock):
            nn.init.normal_(module.t_attn.qkv.weight, std=0.1)
            nn.init.normal_(module.t_attn.proj.weight, std=0.1)


@pytest.mark.parametrize('name', VARIANTS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = mini(**VARIANTS[name])
    random_temporal_attention(model)
    out = model(torch.randn(2, 3, 4, 64, 96))
    assert out.shape == (2, 64, 2, 2, 3)
    out.square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize('name', VARIANTS)
@torch.no_grad()
def test_fold_for_inference(name: str) -> None:
    model = mini(**VARIANTS[name]).double()
    random_temporal_attention(model)
    model(torch.randn(2, 3, 4, 64, 64).double())  # moves the BatchNorm statistics
    model.eval()
    x = torch.randn(1, 3, 5, 64, 96).double()
    fused = model.fold_for_inference()
    same(fused(x), model(x), 1e-12)
    batch_norms = [n for n, m in fused.named_modules() if isinstance(m, nn.BatchNorm3d)]
    assert batch_norms == ['norm']
    assert fused.training is False
    with pytest.raises(RuntimeError, match='cannot be trained'):
        fused.train()


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


@pytest.mark.parametrize(
    ('shape', 'message'),
    [
        ((1, 3, 1, 64, 64), r'at least 2 frames; got .*\(1, 3, 1, 64, 64\)'),
        ((1, 3, 64, 64), r'takes clips \(B, C, T, H, W\)'),
        ((1, 3, 8, 31, 64), r'at least 32 pixels; got .*\(1, 3, 8, 31, 64\)'),
    ],
)
def test_illegal_input(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mini()(torch.rand(shape))


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(arch='large'), r"arch must be one of 'small', 'base', 'mini'; got 'large'"),
        (dict(embed_types=('conv',) * 4), r"embed_types must be 'patch' for clips"),
        (dict(stage_types='LLG'), 'stage_types must have 4 entries'),
        (dict(stage_types=('L', 'L', 'X', 'G')), "every entry of stage_types must be one of 'L'"),
        (dict(local_kernel_size=4), 'local_kernel_size must be an odd number; got 4'),
        (dict(local_kernel_size=0), 'local_kernel_size must be an odd number; got 0'),
        (dict(pos_kernel_size=2), 'pos_kernel_size must be an odd number, or 0 for none; got 2'),
        (dict(stage_types='LLLG', stage3_style='window'), 'stage 3 is local'),
        (dict(stage_types='LLLG', eval_stage3_style='hybrid'), 'stage 3 is local'),
    ],
)
def test_illegal_arguments(kwargs: dict, message: str) -> None:
    with torch.device('meta'), pytest.raises(ValueError, match=message):
        UniFormer3D(**kwargs)


def test_images_have_no_time() -> None:
    for option in ('split', 'std'):
        with pytest.raises(ValueError, match='need UniFormer3D'):
            UniFormer('tiny', **{option: True})
    with pytest.raises(TypeError, match="UniFormer3D has no argument 'stride'"):
        mini(stride=4)


@pytest.mark.parametrize('types', ['LLLL', 'LLLG', 'LLGG', 'LGGG', 'GGGG'])
@pytest.mark.parametrize('network', [UniFormer, UniFormer3D])
def test_stage_types(network: type, types: str) -> None:
    """The rows of the paper's Tables 10 and 11, for images too: clips start from their weights."""
    with torch.device('meta'):
        model = network('small', stage_types=types)
    for stage, kind in enumerate(types):
        for block in model._blocks(stage):
            assert type(block) is {'L': LocalBlock, 'G': GlobalBlock}[kind]


def test_kernels() -> None:
    model = mini(**VARIANTS['kernels'])
    assert model.blocks1[0].attn.kernel_size == (7, 7, 7)
    assert model.blocks4[0].pos_embed.kernel_size == (5, 5, 5)
    assert not any('pos_embed' in key for key in mini(pos_kernel_size=0).state_dict())
    assert [mini(std=True)._embed(i).proj.kernel_size[0] for i in range(4)] == [3, 3, 3, 3]
    assert [mini()._embed(i).proj.kernel_size[0] for i in range(4)] == [3, 1, 1, 1]


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
    model = mini(split=True)
    for block in model.blocks3:
        assert not block.t_attn.qkv.weight.any() and not block.t_attn.qkv.bias.any()
        assert (block.t_attn.proj.weight == 1).all() and not block.t_attn.proj.bias.any()
        assert not block.t_attn(torch.randn(2, 5, 48)).any()
        assert block.attn.qkv.weight.any()


def test_divided_attention_drops_sequences() -> None:
    """Drop path draws for every position in time, every frame in space, every clip at last."""
    block = split_block(drop_path=0.5).train()
    drawn = []
    block.drop_path.register_forward_hook(lambda _m, args, _o: drawn.append(args[0].shape))
    block(torch.randn(2, 8, 3, 4, 5).double())
    assert drawn == [(2 * 4 * 5, 3, 8), (2 * 3, 4 * 5, 8), (2, 3 * 4 * 5, 8)]


@pytest.mark.parametrize('split', [False, True])
@torch.no_grad()
def test_windows_span_all_frames(split: bool) -> None:
    """A change inside one window reaches all its frames, and no other window."""
    make = split_block if split else lambda: GlobalBlock(8, head_dim=4, ndim=3).double()
    block = make().eval()
    block.window_size, block.pos_embed = 2, nn.Identity()
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
    random_temporal_attention(model)
    x = torch.randn(1, 3, 4, 64, 96)
    expected = model(x)
    model.set_stage3_style('window', 6)
    same(model(x), expected, 0.5)  # 4 x 6 positions in one padded window
    model.set_stage3_style('window', 2)
    assert not torch.allclose(model(x), expected, rtol=1e-3)


# What is shared with images


@pytest.mark.parametrize('name', ['joint', 'split', 'LGGG'])
@torch.no_grad()
def test_fused_attention_equals_plain(name: str) -> None:
    plain = mini(**VARIANTS[name], fused_attn=False).double().eval()
    fused = mini(**VARIANTS[name]).double().eval()
    random_temporal_attention(plain)
    fused.load_state_dict(plain.state_dict(), strict=True)
    x = torch.randn(1, 3, 4, 64, 64).double()
    same(fused(x), plain(x), 1e-12)


@pytest.mark.parametrize('with_cp', [True, (1, 0, 2, 0)])
def test_checkpointing_equals_none(with_cp: bool | tuple[int, ...]) -> None:
    x = torch.randn(2, 3, 4, 64, 64)
    results = []
    for cp in (False, with_cp):
        torch.manual_seed(3)
        model = mini(drop_path_rate=0.4, split=True, with_cp=cp)
        out = model(x)
        out.square().mean().backward()
        results.append((out, *(p.grad for p in model.parameters()), *model.buffers()))
    for found, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_frozen_stages() -> None:
    model = mini(frozen_stages=2).train()
    trained = {n.split('.')[0] for n, p in model.named_parameters() if p.requires_grad}
    assert trained == {'patch_embed3', 'blocks3', 'patch_embed4', 'blocks4', 'norm'}
    before = {k: v.clone() for k, v in model.named_buffers()}
    model(torch.randn(2, 3, 4, 32, 32))
    moved = {k.split('.')[0] for k, v in model.named_buffers() if not torch.equal(v, before[k])}
    assert moved == {'norm'}


def test_initialisation() -> None:
    """Linear layers as in the original; convolutions and norms as PyTorch makes them."""
    model = mini()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert not module.bias.any()
        elif isinstance(module, nn.LayerNorm | nn.BatchNorm3d):
            assert (module.weight == 1).all() and not module.bias.any()
    torch.manual_seed(1)
    fresh = nn.Conv3d(3, 16, (3, 4, 4))
    found = model.patch_embed1.proj.weight.std().item()
    assert found == pytest.approx(fresh.weight.std().item(), rel=0.1)
    eps = {n: m.eps for n, m in model.named_modules() if isinstance(m, nn.LayerNorm)}
    assert {e for n, e in eps.items() if n.startswith('patch_embed')} == {1e-5}
    assert {e for n, e in eps.items() if n.startswith('blocks')} == {1e-6}


@pytest.mark.parametrize('arch', ['small', 'base'])
def test_same_keys_as_images(arch: str) -> None:
    with torch.device('meta'):
        clips = UniFormer3D(arch).state_dict()
        images = UniFormer(arch, out_indices=(3,), final_norm=True).state_dict()
    assert clips.keys() == images.keys()
    assert len(clips) + 2 == {'small': 331, 'base': 687}[arch]  # and a head


def test_name_resolves_everywhere() -> None:
    registry = pytest.importorskip('mmaction.registry').MODELS
    assert registry.get('uniformer_mm.UniFormer3D') is UniFormer3D
    assert ROOT_MODELS.get('uniformer_mm.UniFormer3D') is UniFormer3D


@pytest.mark.slow
@pytest.mark.parametrize('split', [False, True])
def test_training_graph_compiles_without_graph_break(split: bool) -> None:
    torch._dynamo.reset()
    model = mini(split=split, drop_path_rate=0.2)
    compiled = torch.compile(model, fullgraph=True, backend='aot_eager')
    compiled(torch.randn(2, 3, 4, 64, 64)).square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_bfloat16_autocast_is_finite() -> None:
    """Not with 3 or 4 frames: where a channels-last map has two, torch 2.11's depthwise Conv3d
    reads memory that nobody wrote for the weight gradient, in bfloat16 on CPUs."""
    model = mini(split=True)
    with torch.autocast('cpu', torch.bfloat16):
        loss = model(torch.randn(2, 3, 8, 64, 64) * 10).float().square().mean()
    loss.backward()
    assert loss.isfinite() and all(p.grad.isfinite().all() for p in model.parameters())
