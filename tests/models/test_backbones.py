"""What the networks for images and for clips promise alike."""

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmpretrain.models import ImageClassifier
from torch import Tensor, nn
from torch._dynamo.utils import counters

from uniformer_mm import DualFormer, UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D
from uniformer_mm.architectures import ARCHS
from uniformer_mm.models.layers import STYLES, GlobalBlock, LocalBlock, SplitBlock

MINI = dict(depths=(1, 1, 5, 1), embed_dims=(16, 32, 48, 64), head_dim=16)
SHAPES = {2: (2, 3, 64, 96), 3: (2, 3, 4, 64, 96)}
PLAIN = (UniFormer, UniFormer3D)
UNIFORMERS = pytest.mark.parametrize('network', [*PLAIN, UniFormerLight, UniFormerLight3D])
NETWORKS = pytest.mark.parametrize(
    'network', [*PLAIN, UniFormerLight, UniFormerLight3D, DualFormer]
)
POOLED = dict(stage_types='LGGG', pool_strides=(1, 4, 3, 1))
CLIPS = {
    'joint': {},
    'split': dict(split=True),
    'std': dict(std=True),
    'layer scale': dict(layer_scale_init_value=0.5),
    'split windows': dict(split=True, stage3_style='hybrid', window_size=3),
    'windows': dict(stage3_style='window', window_size=3),
    **{types: dict(stage_types=types) for types in ('LLLL', 'LLLG', 'LGGG', 'GGGG')},
    'kernels': dict(local_kernel_size=7, pos_kernel_size=5),
    'no position': dict(pos_kernel_size=0),
    'no mlp': dict(local_mlp=False, layer_scale_init_value=0.5),
    'pooled': dict(**POOLED, layer_scale_init_value=0.5),
    'frames': dict(**POOLED, inflated=False),
}
DUAL_MINI = dict(arch={**MINI, 'depths': (2, 2, 2, 2)}, clip_size=(4, 64, 96))
DUAL = {
    'dual': {},
    'dual-local': dict(attention=('LL', 'LL', 'LG', 'LG')),
    'dual-global': dict(attention=('GG',) * 4),
    'dual-coarse': dict(fine_sizes=(None,) * 4, coarse_sizes=((2, 2, 2),) * 4),
    'dual-conv': dict(down_sampling='conv'),
    'dual-average': dict(down_sampling='average'),
    'dual-no position': dict(pos_kernel_size=0),
}
SCALED = dict(window_size=2, layer_scale_init_value=0.5)
CASES = [
    *(
        pytest.param(
            *(UniFormer, dict(arch=arch, stage3_style=style, **SCALED)),
            id=f'{arch}-{style}',
            marks=pytest.mark.slow if arch == 'large' else (),
        )
        for arch in ARCHS
        for style in STYLES
    ),
    pytest.param(UniFormer, dict(arch=MINI, local_mlp=False, **POOLED), id='images-pooled'),
    *(pytest.param(UniFormer3D, dict(arch=MINI, **kw), id=f'clips-{n}') for n, kw in CLIPS.items()),
    *(
        pytest.param(network, dict(arch=arch, layer_scale_init_value=scale), id=f'{name}-{scale}')
        for network, name, arch in (
            (UniFormerLight, 'xxs', 'xxs'),
            (UniFormerLight, 'xs', 'xs'),
            (UniFormerLight3D, 'light-clips', 'mini'),
        )
        for scale in (0.0, 0.5)
    ),
    *(pytest.param(DualFormer, {**DUAL_MINI, **kw}, id=n) for n, kw in DUAL.items()),
]


def mini(network: type, **kwargs) -> UniFormer | DualFormer:
    return network(**{**(DUAL_MINI if network is DualFormer else dict(arch=MINI)), **kwargs})


def run(model: nn.Module, x: Tensor | None = None) -> tuple[Tensor, ...]:
    """The maps of an input, by default a random one in the type of the weights."""
    if x is None:
        x = torch.randn(SHAPES[model.ndim], dtype=next(model.parameters()).dtype)
    outs = model(x)
    return outs if isinstance(outs, tuple) else (outs,)


def same(found: tuple, expected: tuple, tolerance: float = 0.0) -> None:
    for a, b in zip(found, expected, strict=True):
        assert (a - b).abs().max() <= tolerance * b.abs().max()


def randomise(model: nn.Module) -> None:
    """Give divided attention weights as after training: it starts with the output zero."""
    for module in model.modules():
        if isinstance(module, SplitBlock):
            nn.init.normal_(module.t_attn.qkv.weight, std=0.1)
            nn.init.normal_(module.t_attn.proj.weight, std=0.1)


@pytest.mark.parametrize(('network', 'kwargs'), CASES)
def test_every_parameter_gets_a_gradient(network, kwargs) -> None:
    model = network(**kwargs)
    randomise(model)
    outs = run(model)
    for stage, out in zip(model.out_indices, outs, strict=True):
        sides = (2,) * (model.ndim - 2) + (64 // 4 // 2**stage, 96 // 4 // 2**stage)
        assert out.shape == (2, model.arch.embed_dims[stage], *sides) and out.is_contiguous()
    sum(out.square().mean() for out in outs).backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]


# Folding knows no styles: they take turns with the sizes.
STYLED = len(ARCHS) * len(STYLES)
FOLDED = [
    CASES[first + first // len(STYLES) % len(STYLES)] for first in range(0, STYLED, len(STYLES))
]


@pytest.mark.parametrize(('network', 'kwargs'), [*FOLDED, *CASES[STYLED:]])
@torch.no_grad()
def test_fold_for_inference(network, kwargs) -> None:
    model = network(**kwargs).double()
    randomise(model)
    run(model)  # moves the BatchNorm statistics
    model.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    x = torch.randn(SHAPES[model.ndim]).double()
    folded = model.fold_for_inference()
    same(run(folded, x), run(model, x), 1e-12)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    norms = (nn.BatchNorm2d, nn.BatchNorm3d)
    left = [n for n, m in folded.named_modules() if isinstance(m, norms)]
    assert left == (['norm'] if isinstance(getattr(model, 'norm', None), norms) else [])
    with pytest.raises(RuntimeError, match='cannot be trained'):
        folded.train()


@pytest.mark.parametrize('network', [UniFormer, UniFormerLight3D, DualFormer])
@torch.no_grad()
def test_fold_in_another_type(network) -> None:
    """Inputs and maps keep theirs."""
    model = mini(network).eval()
    x = torch.randn(SHAPES[model.ndim])
    given = x.clone()
    outs = run(model.fold_for_inference(dtype=torch.float64), x)
    assert {out.dtype for out in outs} == {torch.float32} and torch.equal(x, given)
    same(outs, tuple(out.float() for out in run(model.double(), x.double())), 1e-6)
    with pytest.raises(ValueError, match='floating-point'):
        model.fold_for_inference(dtype=torch.int8)


@pytest.mark.parametrize(
    ('network', 'options'),
    [(network, {}) for network in (*PLAIN, UniFormerLight, UniFormerLight3D, DualFormer)]
    + [(network, options) for network in PLAIN for options in ({'stage_types': 'LGGG'}, POOLED)]
    + [(UniFormer3D, {'split': True})],
)
@torch.no_grad()
def test_fused_attention_equals_plain(network, options) -> None:
    plain = mini(network, fused_attn=False, **options).double().eval()
    fused = mini(network, **options).double().eval()
    randomise(plain)
    fused.load_state_dict(plain.state_dict(), strict=True)
    x = torch.randn(SHAPES[plain.ndim]).double()
    same(run(fused, x), run(plain, x), 1e-12)


@pytest.mark.parametrize('types', ['LLLL', 'LLLG', 'LLGG', 'LGGG', 'GGGG'])
@pytest.mark.parametrize('network', PLAIN)
def test_stage_types(network, types) -> None:
    """The rows of the paper's Tables 10 and 11, for images too: clips start from their weights."""
    with torch.device('meta'):
        model = network('small', stage_types=types)
    for stage, kind in enumerate(types):
        for block in model._blocks(stage):
            assert type(block) is {'L': LocalBlock, 'G': GlobalBlock}[kind]


# Training


@pytest.mark.parametrize('with_cp', [True, (1, 0, 2, 0)])
@NETWORKS
def test_recomputation_changes_nothing(network, with_cp) -> None:
    x = torch.randn(SHAPES[network.ndim])
    results = []
    for recomputed in (False, with_cp):
        torch.manual_seed(3)
        split = {'split': True} if network is UniFormer3D else {}
        model = mini(network, drop_path_rate=0.4, with_cp=recomputed, **split)
        out = run(model, x)
        sum(o.square().mean() for o in out).backward()
        results.append((*out, *(p.grad for p in model.parameters()), *model.buffers()))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    counts = [b for name, b in model.named_buffers() if name.endswith('num_batches_tracked')]
    assert counts and all(count == 1 for count in counts)


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
@NETWORKS
def test_what_timm_and_mmpretrain_ask_of_a_backbone(network) -> None:
    model = mini(network, out_indices=(1, 3), final_norm=False).eval()
    x = torch.randn(SHAPES[model.ndim])
    maps = run(model, x)
    assert [info['num_chs'] for info in model.feature_info] == [m.shape[1] for m in maps]
    assert [x.shape[-1] // info['reduction'] for info in model.feature_info] == [12, 3]
    assert all(isinstance(model.get_submodule(i['module']), nn.Module) for i in model.feature_info)
    assert model.forward_features(x).equal(maps[-1])
    assert maps[-1].shape[1] == model.num_features == 64

    traced = torch.jit.trace(model, x, check_trace=False)
    another = torch.randn_like(x)
    for found, expected in zip(traced(another), model(another), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

    model.set_grad_checkpointing()
    assert model.with_cp == tuple(model.arch.depths)
    model.set_grad_checkpointing(False)
    assert not any(model.with_cp)


@NETWORKS
def test_depths_of_layers(network) -> None:
    """As mmpretrain counts Swin's: the stem, every block, and all that lies behind them."""
    model = mini(network)
    depths = {name: model.get_layer_depth(name) for name, _ in model.named_parameters()}
    blocks = sum(model.arch.depths)
    assert {layers for _, layers in depths.values()} == {blocks + 2}
    assert {depth for depth, _ in depths.values()} == {*range(blocks + 2)}
    order = [depth for name, (depth, _) in depths.items() if name.startswith('blocks')]
    assert order == sorted(order)
    assert model.get_layer_depth('head.fc.weight', 'backbone.') == (blocks + 1, blocks + 2)
    if isinstance(model, UniFormerLight):
        assert depths['cls_token'] == depths['patch_embed3.proj.weight']
        assert depths['cls_upsample.bias'] == depths['patch_embed4.proj.weight']


def test_learning_rates_decay_towards_the_input() -> None:
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.get(
        'mmpretrain.LearningRateDecayOptimWrapperConstructor'
    )
    build = constructor(
        dict(optimizer=dict(type='SGD', lr=1.0, weight_decay=0.1)), dict(layer_decay_rate=0.5)
    )
    backbone = dict(type='uniformer_mm.UniFormer', arch=MINI, out_indices=(3,), final_norm=True)
    head = dict(type='LinearClsHead', num_classes=2, in_channels=64)
    model = ImageClassifier(backbone=backbone, head=head)
    rates = {group['param_name']: group['lr'] for group in build(model).optimizer.param_groups}
    assert rates['head.fc.weight'] == rates['backbone.norm.weight'] == 1
    assert rates['backbone.blocks4.0.mlp.fc1.weight'] == 0.5
    assert rates['backbone.patch_embed1.proj.weight'] == 0.5**9


@pytest.mark.parametrize('frozen', [-1, 0, 1, 3, 4])
@NETWORKS
def test_frozen_stages(network, frozen) -> None:
    model = mini(network, frozen_stages=frozen).train()

    def is_frozen(name: str) -> bool:
        part, number, *_ = name.split('.') + ['']
        if part in ('patch_embeds', 'blocks', 'pos_block'):  # DualFormer's lists
            return int(number) < frozen or (frozen == 0 and name.startswith('patch_embeds.0.'))
        # The norm of a classifier and cls_upsample belong to the last stage.
        stage = int(part[-1]) if part[-1].isdigit() else 3 if part == 'cls_token' else 4
        return stage <= frozen or (frozen == 0 and part == 'patch_embed1')

    for name, parameter in model.named_parameters():
        assert parameter.requires_grad is not is_frozen(name), name
    before = {k: v.clone() for k, v in model.named_buffers()}
    run(model)
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before[name]) is is_frozen(name), name


@NETWORKS
def test_norm_eval_keeps_batch_norm_statistics(network) -> None:
    model = mini(network, norm_eval=True).train()
    before = {k: v.clone() for k, v in model.named_buffers()}
    run(model)
    assert all(torch.equal(v, before[k]) for k, v in model.named_buffers())
    assert model._blocks(3)[0].norm1.training


@UNIFORMERS
def test_initialisation(network) -> None:
    """Linear layers as in the original; convolutions and norms as PyTorch makes them."""
    model = mini(network, layer_scale_init_value=1e-6, layer_scale_stages=(2, 3))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert not module.bias.any()
        elif isinstance(module, nn.LayerNorm | nn.BatchNorm2d | nn.BatchNorm3d):
            assert (module.weight == 1).all() and not module.bias.any()
    torch.manual_seed(1)
    stem = model.patch_embed1.proj
    fresh = type(stem)(3, 16, stem.kernel_size).weight.std().item()
    assert stem.weight.std().item() == pytest.approx(fresh, rel=0.1)
    eps = {n: m.eps for n, m in model.named_modules() if isinstance(m, nn.LayerNorm)}
    assert {e for n, e in eps.items() if n.startswith('patch_embed')} == {1e-5}
    assert {e for n, e in eps.items() if not n.startswith('patch_embed')} == {1e-6}
    scaled = {k.split('.')[0] for k in model.state_dict() if 'gamma' in k}
    assert scaled == {'blocks3', 'blocks4'}
    assert (model.blocks3[0].gamma_1 == 1e-6).all() and model.blocks3[0].gamma_1.shape == (48,)
    everywhere = mini(network, layer_scale_init_value=1e-6)
    assert everywhere.blocks1[0].gamma_2.shape == (1, 16, *(1,) * model.ndim)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('network', 'options'),
    [
        (UniFormer, dict(depths=(1, 1, 1, 1), stage3_style='window', window_size=3)),
        (UniFormer, dict(depths=(1, 1, 1, 1), with_cp=True)),
        (UniFormer3D, dict(depths=(1, 1, 1, 1), split=True, with_cp=True)),
        (UniFormer3D, dict(POOLED, local_mlp=False, depths=(1, 1, 1, 1))),
        (UniFormerLight, dict(depths=(1, 1, 2, 1))),
        (DualFormer, dict(depths=(2, 1, 1, 1))),
    ],
)
def test_graph_compiles_without_break(network, options) -> None:
    for training in (True, False):
        torch._dynamo.reset()
        model = mini(network, drop_path_rate=0.2, **options).train(training)
        backend = 'aot_eager' if training else 'eager'  # with the backward pass; without
        # Sizes of DualFormer as symbols take half a minute.
        dynamic = not training and network is not DualFormer
        compiled = torch.compile(model, fullgraph=True, backend=backend, dynamic=dynamic)
        shape = SHAPES[model.ndim]
        if training:
            sum(out.square().mean() for out in run(compiled, torch.randn(shape))).backward()
            assert all(p.grad is not None for p in model.parameters())
            continue
        counters.clear()
        for more in (0, 32, 64) if dynamic else (0,):
            x = torch.randn(*shape[:-1], shape[-1] + more)
            with torch.no_grad():
                same(run(compiled, x), run(model, x), 1e-5)
        # One with padded windows and one without: what pads is decided while compiling.
        assert counters['stats']['unique_graphs'] <= 2


@pytest.mark.parametrize(
    ('network', 'options'),
    [(UniFormer, {'stage3_style': style, 'window_size': 3}) for style in STYLES]
    + [(UniFormer3D, {'split': True}), (UniFormerLight, {}), (UniFormerLight3D, {})]
    + [(DualFormer, {})],
)
def test_bfloat16_autocast_is_finite(network, options) -> None:
    """Not clips of 3 or 4 frames: where a channels-last map has two, torch 2.11's depthwise Conv3d
    reads memory that nobody wrote for the weight gradient, in bfloat16 on CPUs."""
    model = mini(network, **options)
    x = torch.randn({2: (2, 3, 64, 64), 3: (2, 3, 8, 64, 64)}[model.ndim]) * 10
    with torch.autocast('cpu', torch.bfloat16):
        outs = run(model, x)
        loss = sum(out.float().square().mean() for out in outs)
    loss.backward()
    assert all(out.isfinite().all() for out in outs)
    assert all(p.grad.isfinite().all() for p in model.parameters())


# Arguments


@pytest.mark.parametrize(
    ('network', 'kwargs', 'message'),
    [
        (UniFormer, dict(arch='medium'), r"arch must be one of 'tiny', 'small'.*got 'medium'"),
        (UniFormer3D, dict(arch='large'), "arch must be one of 'small', 'base', 'mini'"),
        (UniFormer, dict(arch=dict(depths=(1,) * 4)), r"missing: \['embed_dims', 'head_dim'\]"),
        (UniFormer, dict(arch={**MINI, 'depth': 3}), r"unknown: \['depth'\]"),
        (UniFormer, dict(depths=(1, 1, 1)), r'depths must have 4 entries; got \(1, 1, 1\)'),
        (UniFormer, dict(head_dim=48), r'head_dim must divide the 320 channels'),
        (UniFormer, dict(embed_types=('swin',) * 4), "embed_types must be one of 'patch', 'conv'"),
        (UniFormer3D, dict(embed_types=('conv',) * 4), "must be 'patch' behind the first"),
        (UniFormer, dict(stage3_style='local'), r"stage3_style must be one of 'global'.*'local'"),
        (UniFormer, dict(window_size=0), r'window_size must be a positive integer; got 0'),
        (UniFormer, dict(window_size=None), r'window_size must be a positive integer; got None'),
        (UniFormer, dict(window_size=7.0), r'window_size must be a positive integer; got 7.0'),
        (UniFormer, dict(eval_stage3_style='H'), r"eval_stage3_style must be one of None, 'glob"),
        (UniFormer, dict(eval_window_size=32), r"eval_window_size=32 needs eval_stage3_style 'wi"),
        (UniFormer, dict(out_indices=()), r'out_indices must be increasing'),
        (UniFormer, dict(out_indices=(3, 1)), r'out_indices must be increasing.*got \(3, 1\)'),
        (UniFormer, dict(out_indices=(0, 4)), r'out_indices must be .* numbers from 0 to 3'),
        (UniFormer, dict(out_indices=(0, 1), final_norm=True), r'final_norm=True normalises the'),
        (UniFormer, dict(with_cp=(0, 0, 9, 0)), r'with_cp must be .* the depths \(3, 4, 8, 3\)'),
        (UniFormer, dict(with_cp=(0, 0)), r'with_cp must be True, False or 4 block counts'),
        (UniFormer, dict(frozen_stages=5), r'frozen_stages must be one of -1, 0, 1, 2, 3, 4; got'),
        (UniFormer, dict(frozen_stages=True), r'frozen_stages must be one of .* got True'),
        (UniFormer, dict(head_dim=-64), r'head_dim must be a positive integer; got -64'),
        (UniFormer, dict(depths=(1, 1, True, 1)), 'depths must be a list, each entry a positive'),
        (UniFormer, dict(in_channels=3.0), r'in_channels must be a positive integer; got 3.0'),
        (UniFormer, dict(mlp_ratio=float('nan')), 'mlp_ratio must be a positive number; got nan'),
        (UniFormer, dict(out_indices=3), 'out_indices must be increasing stage numbers'),
        (UniFormer, dict(final_norm='False'), "final_norm must be True or False; got 'False'"),
        (UniFormer, dict(layer_scale_stages=(1, 4)), r'layer_scale_stages must be one of 0, 1, 2'),
        (
            UniFormer,
            dict(drop_path_rate=1.5),
            r'drop_path_rate must be a number in \[0, 1\)',
        ),
        (UniFormer, dict(split=True), 'need UniFormer3D'),
        (UniFormer, dict(std=True), 'need UniFormer3D'),
        (UniFormer, dict(inflated=False), 'need UniFormer3D'),
        (UniFormer3D, dict(inflated=False, std=True), 'std lets embeddings mix frames'),
        (UniFormer3D, dict(local_mlp=0), 'local_mlp must be True or False; got 0'),
        (UniFormer, dict(pool_strides=(1, 1, 0, 1)), 'pool_strides must be a list, each entry a p'),
        (UniFormer, dict(pool_strides=(1, 2, 2, 1)), "1 in the local stages of .*'L', 'L', 'G'"),
        (UniFormer3D, dict(pool_strides=(1, 1, 2, 1), split=True), 'split needs pool_strides of 1'),
        (
            UniFormer,
            dict(pool_strides=(1, 1, 2, 1), eval_stage3_style='hybrid'),
            r"must be 'global', or pool_strides 1 there; got \('global', 'hybrid'\)",
        ),
        (UniFormer3D, dict(stage_types='LLG'), 'stage_types must have 4 entries'),
        (UniFormer3D, dict(stage_types='LLXG'), "every entry of stage_types must be one of 'L'"),
        (UniFormer3D, dict(local_kernel_size=4), 'local_kernel_size must be an odd number; got 4'),
        (UniFormer3D, dict(local_kernel_size=0), 'local_kernel_size must be an odd number; got 0'),
        (UniFormer3D, dict(pos_kernel_size=2), 'pos_kernel_size must be an odd number, or 0 for'),
        (UniFormer3D, dict(stage_types='LLLG', stage3_style='window'), 'stage 3 is local'),
        (UniFormer3D, dict(stage_types='LLLG', eval_stage3_style='hybrid'), 'stage 3 is local'),
        (UniFormer, dict(light=True), 'need UniFormerLight'),
        (UniFormer3D, dict(light=True), 'need UniFormerLight'),
        (UniFormerLight, dict(arch='small'), "arch must be one of 'xxs', 'xs', 'mini'"),
        (UniFormerLight, dict(stage_types='LGGG'), r"light networks have stage_types \('L', 'L'"),
        (UniFormerLight3D, dict(split=True), 'neither divided nor pooled attention'),
        (UniFormerLight, dict(pool_strides=(1, 1, 2, 1)), r'pool_strides=\(1, 1, 2, 1\)'),
        (UniFormerLight, dict(stage3_style='window'), r"stage3_style must be 'global'; got \('win"),
        (UniFormerLight, dict(eval_stage3_style='hybrid'), "stage3_style must be 'global'"),
        (UniFormerLight, dict(keep_ratio=0), r'keep_ratio must be a number in \(0, 1\]; got 0'),
        (UniFormerLight, dict(trade_off=1.5), r'trade_off must be a number in \[0, 1\]; got 1.5'),
        (UniFormerLight, dict(out_indices=(0, 2), with_cls_token=True), 'out_indices must hold 3'),
        (DualFormer, dict(arch='large'), "arch must be one of 'tiny', 'small', 'base', 'mini'"),
        (DualFormer, dict(arch={'depth': 3}), r"needs depths, embed_dims .*unknown: \['depth'\]"),
        (DualFormer, dict(clip_size=(32, 224)), r'clip_size must be \(frames, height, width\)'),
        (DualFormer, dict(attention=('LG', 'LG', 'XG', 'LG')), "letters 'L' and 'G'; got 'XG'"),
        (DualFormer, dict(attention=('LG',) * 3), 'attention must have 4 entries'),
        (DualFormer, dict(window_sizes=(None,) * 4), 'every entry of window_sizes must be'),
        (DualFormer, dict(fine_sizes=((8, 7, 0),) * 4), r'fine_sizes must be .*got \(8, 7, 0\)'),
        (DualFormer, dict(temporal_pooling=(2, 1, 1, 0)), 'temporal_pooling must be a list, each'),
        (DualFormer, dict(down_sampling='max'), "must be one of 'depthwise', 'conv', 'average'"),
        (DualFormer, dict(pos_kernel_size=2), 'pos_kernel_size must be an odd number, or 0 for'),
    ],
)
def test_illegal_arguments(network, kwargs, message) -> None:
    with torch.device('meta'), pytest.raises(ValueError, match=message):
        network(**kwargs)


@NETWORKS
def test_misspelt_keyword(network) -> None:
    with pytest.raises(TypeError, match="no argument 'window'.*depths, embed_dims, head_dim"):
        network(window=14)


@pytest.mark.parametrize(
    ('network', 'shape', 'message'),
    [
        (UniFormer, (1, 3, 31, 64), r'at least 32 pixels; got .*\(1, 3, 31, 64\)'),
        (UniFormer3D, (1, 3, 8, 31, 64), r'at least 32 pixels; got .*\(1, 3, 8, 31, 64\)'),
        (UniFormer3D, (1, 3, 1, 64, 64), r'at least 2 frames; got .*\(1, 3, 1, 64, 64\)'),
        (UniFormer3D, (1, 3, 64, 64), r'takes clips \(B, C, T, H, W\)'),
        (DualFormer, (1, 3, 1, 64, 64), r'at least 2 frames; got .*\(1, 3, 1, 64, 64\)'),
        (UniFormerLight3D, (1, 3, 64, 64), r'takes clips \(B, C, T, H, W\)'),
    ],
)
def test_illegal_input(network, shape, message) -> None:
    with pytest.raises(ValueError, match=message):
        mini(network)(torch.rand(shape))
