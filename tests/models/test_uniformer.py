"""Every architecture with every attention style, and every argument."""

import importlib.util
import subprocess
import sys

import pytest
import torch
from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

from uniformer_mm import UniFormer
from uniformer_mm.models.layers import STYLES

# The largest only when there is time for all tests.
ARCHS = [
    pytest.param(arch, marks=pytest.mark.slow if arch == 'large' else ())
    for arch in UniFormer.arch_zoo
]
MINI = dict(depths=(1, 1, 5, 1), embed_dims=(16, 32, 48, 64), head_dim=16)


def mini(**kwargs) -> UniFormer:
    return UniFormer({**MINI, **kwargs.pop('arch', {})}, **kwargs)


def same(found: tuple, expected: tuple, tolerance: float = 0.0) -> None:
    for a, b in zip(found, expected, strict=True):
        assert (a - b).abs().max() <= tolerance * b.abs().max()


# All architectures x all styles


@pytest.mark.parametrize('style', STYLES)
@pytest.mark.parametrize('arch', ARCHS)
def test_every_parameter_gets_a_gradient(arch: str, style: str) -> None:
    model = UniFormer(arch, stage3_style=style, window_size=2, layer_scale_init_value=0.5)
    outs = model(torch.randn(2, 3, 64, 96))
    assert [tuple(o.shape) for o in outs] == [
        (2, dim, 64 // stride, 96 // stride)
        for dim, stride in zip(model.arch.embed_dims, (4, 8, 16, 32), strict=True)
    ]
    sum(out.square().mean() for out in outs).backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not missing


@pytest.mark.parametrize('style', STYLES)
@pytest.mark.parametrize('arch', ARCHS)
@torch.no_grad()
def test_fold_for_inference(arch: str, style: str) -> None:
    model = UniFormer(arch, stage3_style=style, window_size=2, layer_scale_init_value=0.5)
    model(torch.randn(2, 3, 64, 64))  # moves the BatchNorm statistics
    model.eval()
    x = torch.randn(1, 3, 64, 96)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    same(model.fold_for_inference()(x), model(x), 1e-5)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    model.double()
    fused = model.fold_for_inference()
    same(fused(x.double()), model(x.double()), 1e-12)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    with pytest.raises(RuntimeError, match='cannot be trained'):
        fused.train()


@pytest.mark.parametrize('arch', ARCHS)
@torch.no_grad()
def test_weights_move_between_styles(arch: str) -> None:
    states = [UniFormer(arch, stage3_style=s, window_size=2).eval() for s in STYLES]
    for model in states[1:]:
        model.load_state_dict(states[0].state_dict(), strict=True)
    x = torch.randn(1, 3, 64, 64)
    outs = [model(x)[2] for model in states]
    assert not torch.allclose(outs[0], outs[1])
    assert not torch.allclose(outs[0], outs[2])
    for model in states:
        model.set_stage3_style('global')
        same(model(x), states[0](x))


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (150, 203), (224, 32)])
@pytest.mark.parametrize('style', STYLES)
@pytest.mark.parametrize('stem', ['patch', 'conv'])
@torch.no_grad()
def test_odd_sizes(stem: str, style: str, size: tuple[int, int]) -> None:
    outs = mini(arch=dict(embed_types=(stem,) * 4), stage3_style=style, window_size=3).eval()(
        torch.randn(1, 3, *size)
    )
    for stage, out in enumerate(outs):
        expected = list(size)
        # The conv stem halves twice and rounds up each time; the patch stem floors.
        for stride in (4, 2, 2, 2)[: stage + 1] if stem == 'patch' else (2,) * (stage + 2):
            expected = [s // stride if stem == 'patch' else -(-s // 2) for s in expected]
        assert list(out.shape[2:]) == expected


# Styles


@pytest.mark.parametrize(
    ('arch', 'style', 'global_blocks'),
    [
        ('small', 'global', set(range(8))),
        ('small', 'window', set()),
        ('small', 'hybrid', {3, 7}),
        ('base', 'hybrid', {3, 7, 11, 15, 19}),
    ],
)
def test_which_blocks_are_global(arch: str, style: str, global_blocks: set[int]) -> None:
    with torch.device('meta'):
        model = UniFormer(arch, stage3_style=style)
    windows = [block.window_size for block in model.blocks3]
    assert {i for i, w in enumerate(windows) if w == 0} == global_blocks
    assert set(windows) <= {0, 14}
    assert all(block.window_size == 0 for block in model.blocks4)


def test_evaluation_may_use_another_style() -> None:
    model = mini(eval_stage3_style='hybrid', eval_window_size=2)
    windows = lambda: [block.window_size for block in model.blocks3]  # noqa: E731
    assert windows() == [0] * 5
    assert windows() != [block.window_size for block in model.eval().blocks3]
    assert windows() == [2, 2, 2, 0, 2]
    model.train()
    assert windows() == [0] * 5
    model.eval().set_stage3_style('window', 3)
    assert windows() == [3] * 5
    assert [block.window_size for block in model.train().blocks3] == [3] * 5


# Norms and outputs


def test_norms_exist_only_where_they_are_used() -> None:
    pose = mini(out_indices=(3,))
    assert {k for k in pose.state_dict() if k.startswith('norm')} == {'norm4.weight', 'norm4.bias'}
    classifier = mini(out_indices=(3,), final_norm=True)
    assert {k for k in classifier.state_dict() if k.startswith('norm')} == {
        f'norm.{leaf}'
        for leaf in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
    }
    outs = pose.eval()(torch.randn(2, 3, 64, 64))
    assert isinstance(outs, tuple) and len(outs) == 1 and outs[0].shape == (2, 64, 2, 2)


def test_unreturned_stages_are_not_built() -> None:
    model = mini(out_indices=(0, 2))
    assert not hasattr(model, 'blocks4') and not hasattr(model, 'norm2')
    outs = model(torch.randn(1, 3, 64, 64))
    assert [o.shape[1] for o in outs] == [16, 48]
    sum(o.square().mean() for o in outs).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('channels', [1, 4, 13])
def test_any_number_of_input_channels(channels: int) -> None:
    assert len(mini(in_channels=channels)(torch.randn(1, channels, 32, 32))) == 4


# Training behaviour


def test_drop_path_ramp_runs_over_all_stages() -> None:
    model = mini(drop_path_rate=0.7)
    blocks = [b for stage in range(4) for b in model._blocks(stage)]
    rates = [getattr(b.drop_path, 'p', 0.0) for b in blocks]
    assert rates == pytest.approx([0.1 * i for i in range(8)])


def test_drop_path_is_off_in_eval() -> None:
    model = mini(drop_path_rate=0.9)
    x = torch.randn(4, 3, 32, 32)
    assert not torch.equal(model(x)[-1], model(x)[-1])
    model.eval()
    same(model(x), model(x))


def test_same_seed_same_weights_and_outputs() -> None:
    runs = []
    for _ in range(2):
        torch.manual_seed(7)
        model = mini(drop_path_rate=0.5, drop_rate=0.1)
        runs.append(model(torch.ones(2, 3, 32, 32)))
    same(*runs)


@pytest.mark.parametrize('with_cp', [True, (1, 0, 2, 0), (0, 0, 5, 1)])
def test_checkpointing_equals_none(with_cp: bool | tuple[int, ...]) -> None:
    x = torch.randn(2, 3, 64, 64)
    results = []
    for cp in (False, with_cp):
        torch.manual_seed(3)
        model = mini(drop_path_rate=0.4, with_cp=cp)
        out = model(x)
        sum(o.square().mean() for o in out).backward()
        results.append((*out, *(p.grad for p in model.parameters()), *model.buffers()))
    same(results[1], results[0], 1e-6)
    statistics = [b for name, b in model.named_buffers() if name.endswith('num_batches_tracked')]
    assert all(b == 1 for b in statistics)


@pytest.mark.parametrize('frozen', [-1, 0, 1, 3, 4])
def test_frozen_stages(frozen: int) -> None:
    model = mini(frozen_stages=frozen).train()
    for name, parameter in model.named_parameters():
        stage = int(name.removeprefix('patch_embed').removeprefix('blocks').removeprefix('norm')[0])
        is_frozen = stage <= frozen or (frozen == 0 and name.startswith('patch_embed1'))
        assert parameter.requires_grad is not is_frozen, name
    before = {k: v.clone() for k, v in model.named_buffers()}
    model(torch.randn(2, 3, 32, 32))
    for name, buffer in model.named_buffers():
        moved = not torch.equal(buffer, before[name])
        assert moved is (int(name[len('blocks')]) > frozen), name


def test_norm_eval_keeps_batch_norm_statistics() -> None:
    model = mini(norm_eval=True).train()
    before = {k: v.clone() for k, v in model.named_buffers()}
    model(torch.randn(2, 3, 32, 32))
    assert all(torch.equal(v, before[k]) for k, v in model.named_buffers())
    assert model.norm4.training


def test_initialisation() -> None:
    model = mini(arch=dict(layer_scale_init_value=1e-6), layer_scale_stages=(2, 3))
    assert not any('gamma' in k for k in model.state_dict() if k.startswith(('blocks1', 'blocks2')))
    assert (model.blocks3[0].gamma_1 == 1e-6).all() and model.blocks3[0].gamma_1.shape == (48,)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert not module.bias.any()
    everywhere = mini(arch=dict(layer_scale_init_value=1e-6))
    assert everywhere.blocks1[0].gamma_2.shape == (1, 16, 1, 1)


# Arguments


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(arch='medium'), r"arch must be one of 'tiny', 'small'.*got 'medium'"),
        (dict(arch=dict(depths=(1, 1, 1, 1))), r"missing: \['embed_dims', 'head_dim'\]"),
        (dict(arch={**MINI, 'depth': 3}), r"unknown: \['depth'\]"),
        (dict(depths=(1, 1, 1)), r'depths must have 4 entries; got \(1, 1, 1\)'),
        (dict(head_dim=48), r'head_dim must divide the 320 channels'),
        (dict(embed_types=('swin',) * 4), r"embed_types must be one of 'patch', 'conv'; got 'sw"),
        (dict(stage3_style='local'), r"stage3_style must be one of 'global'.*got 'local'"),
        (dict(window_size=0), r'window_size must be a positive integer; got 0'),
        (dict(window_size=7.0), r'window_size must be a positive integer; got 7.0'),
        (dict(eval_stage3_style='H'), r"eval_stage3_style must be one of None, 'global'"),
        (dict(eval_window_size=32), r"eval_window_size=32 needs eval_stage3_style 'window'"),
        (dict(out_indices=()), r'out_indices must be increasing'),
        (dict(out_indices=(3, 1)), r'out_indices must be increasing.*got \(3, 1\)'),
        (dict(out_indices=(0, 4)), r'out_indices must be increasing stage numbers from 0 to 3'),
        (dict(out_indices=(0, 1), final_norm=True), r'final_norm=True normalises the last map'),
        (dict(with_cp=(0, 0, 9, 0)), r'with_cp must be .* within the depths \(3, 4, 8, 3\)'),
        (dict(with_cp=(0, 0)), r'with_cp must be True, False or 4 block counts'),
        (dict(frozen_stages=5), r'frozen_stages must be one of -1, 0, 1, 2, 3, 4; got 5'),
        (dict(layer_scale_stages=(1, 4)), r'layer_scale_stages must be one of 0, 1, 2, 3; got 4'),
        (dict(drop_path_rate=1.5), r'drop_path_rate must lie in \[0, 1\); got 1.5'),
    ],
)
def test_illegal_arguments(kwargs: dict, message: str) -> None:
    with torch.device('meta'), pytest.raises(ValueError, match=message):
        UniFormer(**kwargs)


def test_misspelt_keyword() -> None:
    with pytest.raises(TypeError, match="no argument 'window'.*depths, embed_dims, head_dim"):
        UniFormer(window=14)


def test_too_small_an_input() -> None:
    with pytest.raises(ValueError, match=r'at least 32 pixels; got .*\(1, 3, 31, 64\)'):
        mini()(torch.randn(1, 3, 31, 64))


# Registries


@pytest.mark.parametrize('library', ['mmpretrain', 'mmdet', 'mmseg', 'mmpose', 'mmaction'])
def test_name_resolves_in_every_library(library: str) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f'{library} is not installed')
    registry = __import__(f'{library}.registry', fromlist=['MODELS']).MODELS
    __import__(f'{library}.models')
    assert registry.get('uniformer_mm.UniFormer') is UniFormer
    theirs = registry.get('UniFormer')
    if library == 'mmaction':
        assert theirs.__module__.startswith('mmaction.')
    else:
        assert theirs is UniFormer
    assert ROOT_MODELS.get('UniFormer') is UniFormer


@pytest.mark.slow
@pytest.mark.parametrize('libraries_first', [True, False])
def test_import_order_does_not_matter(libraries_first: bool) -> None:
    ours = 'import uniformer_mm'
    # mmaction.models imports only after our repair; its registry owns the name all the same.
    theirs = 'import mmpretrain.models, mmdet.models, mmseg.models, mmpose.models'
    first, second = (theirs, ours) if libraries_first else (ours, theirs)
    code = f"""
{first}
{second}
import uniformer_mm, mmaction.models
from mmengine.registry import MODELS
from mmaction.registry import MODELS as ACTION
assert MODELS.get('UniFormer') is uniformer_mm.UniFormer
assert ACTION.get('UniFormer').__module__.startswith('mmaction.')
assert ACTION.get('uniformer_mm.UniFormer') is uniformer_mm.UniFormer
"""
    subprocess.run([sys.executable, '-c', code], check=True)


def test_import_needs_no_task_library_and_no_compiled_ops() -> None:
    code = """
import sys
for name in ('mmpretrain', 'mmdet', 'mmseg', 'mmpose', 'mmaction', 'mmcv'):
    sys.modules[name] = None
import torch, uniformer_mm
print([o.shape[1] for o in uniformer_mm.UniFormer('tiny')(torch.randn(1, 3, 32, 32))])
"""
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert run.stdout.strip() == '[32, 64, 160, 256]', run.stderr


# Compilation, precision, memory format, export


@pytest.mark.slow
@pytest.mark.parametrize('style', STYLES)
@torch.no_grad()
def test_compiles_without_graph_break(style: str) -> None:
    torch._dynamo.reset()
    model = mini(stage3_style=style, window_size=3).eval()
    x = torch.randn(1, 3, 64, 96)
    compiled = torch.compile(model, fullgraph=True, backend='aot_eager')
    same(compiled(x), model(x), 1e-5)


def test_training_graph_compiles_without_graph_break() -> None:
    torch._dynamo.reset()
    model = mini(stage3_style='hybrid', window_size=3, drop_path_rate=0.2)
    compiled = torch.compile(model, fullgraph=True, backend='aot_eager')
    sum(o.square().mean() for o in compiled(torch.randn(2, 3, 64, 64))).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('style', STYLES)
def test_bfloat16_autocast_is_finite(style: str) -> None:
    model = mini(stage3_style=style, window_size=3)
    with torch.autocast('cpu', torch.bfloat16):
        outs = model(torch.randn(2, 3, 64, 64) * 10)
        loss = sum(o.float().square().mean() for o in outs)
    loss.backward()
    assert all(o.isfinite().all() for o in outs)
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('final_norm', [True, False])
@torch.no_grad()
def test_maps_are_contiguous(final_norm: bool) -> None:
    outs = mini(final_norm=final_norm).eval()(torch.randn(2, 3, 64, 96))
    assert all(out.is_contiguous() for out in outs)


@torch.no_grad()
def test_channels_last_gives_the_same() -> None:
    model = mini(stage3_style='hybrid', window_size=3).eval()
    x = torch.randn(2, 3, 64, 96)
    expected = model(x)
    model.to(memory_format=torch.channels_last)
    same(model(x.to(memory_format=torch.channels_last)), expected, 1e-5)


@torch.no_grad()
def test_exported_graph_serves_other_batch_sizes() -> None:
    model = mini(stage3_style='window', window_size=3).eval()
    batch = torch.export.Dim('batch', min=1, max=64)
    program = torch.export.export(
        model, (torch.randn(2, 3, 64, 64),), dynamic_shapes={'x': {0: batch}}
    )
    x = torch.randn(5, 3, 64, 64)
    same(program.module()(x), model(x), 1e-5)
