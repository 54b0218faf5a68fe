"""Every ADE20K config: what it says, what it builds, and that it trains and tests."""

import copy
import math
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from golden import assert_matches
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from paper_configs import build, learning_rates, norms_of_backbone, read_config, stock_config
from seeded_weights import seeded_input, seeded_state_dict
from small_runs import make_runner
from tiny_ade import make_ade, shrink, shrink_model, use_data
from torch import nn

from uniformer_mm import cli
from uniformer_mm.analysis.complexity import count_complexity

pytest.importorskip('mmseg')

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
LEAVES = sorted((CONFIGS / 'ade20k').glob('*.py'))
FPN, UPERNET = 'fpn_8xb4-80k_ade20k-512x512', 'upernet_8xb2-160k_ade20k-512x512'
EVAL_HYBRID = f'uniformer-s-g-eval-h32_{UPERNET}'

# Our multiply-adds at 512 x 2048 and the published ones (both in billions), mIoU, multi-scale mIoU.
ROWS = {
    f'uniformer-s-h14_{FPN}': (190.9, 190, 46.3, None),
    f'uniformer-s-w32_{FPN}': (182.1, 183, 45.6, None),
    f'uniformer-s-h32_{FPN}': (198.2, 199, 46.2, None),
    f'uniformer-s-g_{FPN}': (246.5, 247, 46.6, None),
    f'uniformer-b-h14_{FPN}': (330.8, 328, 47.0, None),
    f'uniformer-b-w32_{FPN}': (308.7, 310, 47.0, None),
    f'uniformer-b-h32_{FPN}': (349.0, 350, 47.7, None),
    f'uniformer-b-g_{FPN}': (469.8, 471, 48.0, None),
    f'uniformer-s-h14_{UPERNET}': (947.6, 947, 46.9, 48.0),
    f'uniformer-s-w32_{UPERNET}': (938.7, 939, 46.6, 48.4),
    f'uniformer-s-h32_{UPERNET}': (954.9, 955, 47.0, 48.5),
    f'uniformer-s-g_{UPERNET}': (1003.2, 1004, 47.6, 48.5),
    f'uniformer-b-h14_{UPERNET}': (1087.4, 1085, 48.9, 50.0),
    f'uniformer-b-w32_{UPERNET}': (1065.4, 1066, 49.1, 50.6),
    f'uniformer-b-h32_{UPERNET}': (1105.6, 1106, 49.5, 50.7),
    f'uniformer-b-g_{UPERNET}': (1226.4, 1227, 50.0, 50.8),
}
PARAMS = {
    ('s', FPN): 25_299_926,
    ('b', FPN): 53_531_222,
    ('s', UPERNET): 51_521_132,
    ('b', UPERNET): 79_752_428,
}
DROP_PATH = {('s', FPN): 0.1, ('b', FPN): 0.2, ('s', UPERNET): 0.25, ('b', UPERNET): 0.4}
STYLES = {'g': 'global', 'h': 'hybrid', 'w': 'window'}


def split(name: str) -> tuple[str, str, str]:
    """Size, style with window, and framework of a config: ``('s', 'h14', FPN)``."""
    backbone, framework = name.split('_', 1)
    _, size, style = backbone.split('-')[:3]
    return size, style, framework


def leaf(name: str) -> Path:
    return CONFIGS / f'ade20k/{name}.py'


@cache
def read_once(name: str) -> Config:
    return read_config(leaf(name))


def read_leaf(name: str) -> Config:
    """A config that may be changed."""
    return copy.deepcopy(read_once(name))


@cache
def built_model(name: str) -> nn.Module:
    """A model without values, which saves time; not to be changed."""
    with torch.device('meta'):
        return build(read_leaf(name).model, 'mmseg')


@pytest.fixture(scope='module', params=LEAVES, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture(scope='module')
def cfg(path) -> Config:
    return read_leaf(path.stem)


def test_all_rows_are_there() -> None:
    assert {path.stem for path in LEAVES} == {*ROWS, EVAL_HYBRID}


def slow_unless(fast: set[str], names: Iterable[str]) -> list:
    """The names as parameters of a test; only those of ``fast`` run among the fast tests."""
    return [pytest.param(n, marks=() if n in fast else pytest.mark.slow) for n in names]


@pytest.mark.parametrize(
    'name', slow_unless({f'uniformer-s-h14_{FPN}', f'uniformer-s-g_{UPERNET}'}, ROWS)
)
def test_parameters_and_cost(name) -> None:
    giga_macs, published, *_ = ROWS[name]
    size, _, framework = split(name)
    cost = count_complexity(built_model(name), cli.task_forward('mmseg', (512, 2048)))
    assert cost.params == cost.trainable == PARAMS[size, framework]
    assert cost.macs / 1e9 == pytest.approx(giga_macs, abs=0.05)
    assert cost.macs / 1e9 == pytest.approx(published, rel=0.01)
    assert sum(c.macs for name, c in cost.modules.items() if '.' not in name) == cost.macs


def test_the_odd_published_cost_is_that_of_windows() -> None:
    """The authors' README has 172 for FPN S H-14; that is W-14, and the paper's 190 is right."""
    cfg = read_leaf(f'uniformer-s-h14_{FPN}')
    cfg.model.backbone.stage3_style = 'window'
    with torch.device('meta'):
        model = build(cfg.model, 'mmseg')
    cost = count_complexity(model, cli.task_forward('mmseg', (512, 2048)))
    assert cost.macs / 1e9 == pytest.approx(172, rel=0.01)


def test_backbone(path, cfg) -> None:
    size, style, framework = split(path.stem)
    arch, depth = {'s': ('small', 8), 'b': ('base', 20)}[size]
    backbone = cfg.model.backbone
    assert backbone.type == 'uniformer_mm.UniFormer'
    assert backbone.arch == arch
    assert backbone.drop_path_rate == DROP_PATH[size, framework]
    assert backbone.init_cfg == dict(
        type='Pretrained',
        checkpoint='https://huggingface.co/Sense-X/uniformer_image/resolve/main/'
        f'uniformer_{arch}_in1k.pth',
    )
    # Nothing is frozen and BatchNorm statistics are learned.
    known = {'type', 'arch', 'stage3_style', 'window_size', 'drop_path_rate', 'with_cp', 'init_cfg'}
    switched = {'eval_stage3_style', 'eval_window_size'} if path.stem == EVAL_HYBRID else set()
    assert switched <= set(backbone) <= known | switched

    with torch.device('meta'):
        model = build(backbone, 'mmseg')
    recomputed = 2 if (size, framework) == ('b', UPERNET) else 0
    assert model.with_cp == (0, 0, recomputed, 0)
    assert model.out_indices == (0, 1, 2, 3)
    window = int(style[1:] or 0)
    assert [block.window_size for block in model.blocks3] == {
        'global': [0] * depth,
        'window': [window] * depth,
        'hybrid': [window, window, window, 0] * (depth // 4),
    }[STYLES[style[0]]]
    rates = [
        getattr(block.drop_path, 'p', 0.0)
        for stage in range(1, 5)
        for block in getattr(model, f'blocks{stage}')
    ]
    last = len(rates) - 1
    assert rates == pytest.approx([backbone.drop_path_rate * i / last for i in range(len(rates))])
    assert not any(isinstance(m, nn.SyncBatchNorm) for m in model.modules())


@pytest.mark.parametrize('name', [name for name in ROWS if '32_' in name])
def test_a_test_row_differs_in_stage_3_only(name) -> None:
    """So that the weights of the global model are those of every row."""
    size, style, framework = split(name)
    row = read_leaf(name).to_dict()
    trained = read_leaf(f'uniformer-{size}-g_{framework}').to_dict()
    keys = ('stage3_style', 'window_size')
    switch = {key: row['model']['backbone'].pop(key) for key in keys}
    assert switch == dict(stage3_style=STYLES[style[0]], window_size=32)
    assert trained['model']['backbone'].pop('stage3_style') == 'global'
    assert row == trained


def test_one_config_trains_global_and_evaluates_hybrid() -> None:
    model = build(read_leaf(EVAL_HYBRID).model, 'mmseg')
    windows = {}
    for mode in (True, False):
        model.train(mode)
        windows[mode] = [block.window_size for block in model.backbone.blocks3]
    assert windows == {True: [0] * 8, False: [32, 32, 32, 0] * 2}


GOLDEN = {
    'small_hybrid14_128x192': f'uniformer-s-h14_{FPN}',
    'small_hybrid14_batch2_320x464': f'uniformer-s-h14_{FPN}',  # 2 x 3 windows, padded
    'small_global_odd_150x203': f'uniformer-s-g_{UPERNET}',
    'small_window32_256x320': f'uniformer-s-w32_{UPERNET}',
}


@pytest.mark.parametrize('case', slow_unless({'small_global_odd_150x203'}, GOLDEN))
@torch.no_grad()
def test_backbones_equal_the_original_ones(case, golden_dense) -> None:
    golden = next(c for c in golden_dense['cases'] if c['name'] == case)
    cfg = read_config(leaf(GOLDEN[case])).model.backbone
    model = build({**cfg, 'init_cfg': None}, 'mmseg').double().eval()
    model.load_state_dict(seeded_state_dict(golden_dense['maps'][golden['map']]), strict=True)
    outputs = model(seeded_input(golden['input_shape'], golden['input_seed']))
    for i, (output, expected) in enumerate(zip(outputs, golden['outputs'], strict=True)):
        assert_matches(output, expected, f'{case} stage {i}')


def test_heads(path, cfg) -> None:
    model = cfg.model.to_dict()
    loss = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)
    shared = dict(
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        align_corners=False,
    )
    if split(path.stem)[2] == FPN:
        assert model['neck'] == dict(
            type='FPN', in_channels=[64, 128, 320, 512], out_channels=256, num_outs=4
        )
        assert model['decode_head'] == dict(
            type='FPNHead',
            in_channels=[256] * 4,
            in_index=[0, 1, 2, 3],
            feature_strides=[4, 8, 16, 32],
            channels=128,
            loss_decode=loss,
            **shared,
        )
        assert 'auxiliary_head' not in model
    else:
        assert 'neck' not in model
        assert model['decode_head'] == dict(
            type='UPerHead',
            in_channels=[64, 128, 320, 512],
            in_index=[0, 1, 2, 3],
            pool_scales=(1, 2, 3, 6),
            channels=512,
            loss_decode=loss,
            **shared,
        )
        assert model['auxiliary_head'] == dict(
            type='FCNHead',
            in_channels=320,
            in_index=2,
            channels=256,
            num_convs=1,
            concat_input=False,
            loss_decode={**loss, 'loss_weight': 0.4},
            **shared,
        )
    assert (model['type'], model['pretrained']) == ('EncoderDecoder', None)
    assert (model['train_cfg'], model['test_cfg']) == ({}, dict(mode='whole'))


def test_the_base_is_stock_mmseg() -> None:
    """Our UperNet is mmseg's for Swin but for the backbone, so that its files are its files."""
    ours = read_leaf(f'uniformer-s-g_{UPERNET}').model.to_dict()
    swin = 'swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py'
    stock = stock_config('mmseg', swin).model.to_dict()
    for model in (ours, stock):
        model.pop('backbone')
        for head in ('decode_head', 'auxiliary_head'):
            model[head].pop('in_channels')
    assert ours == stock


def test_preprocessing(cfg) -> None:
    assert cfg.model.data_preprocessor == dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512),
    )


def test_padding_comes_after_normalising_and_only_in_training() -> None:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    cfg = read_leaf(f'uniformer-s-g_{FPN}')
    preprocessor = build(cfg.model.data_preprocessor, 'mmseg')
    image = torch.full((3, 33, 40), 128, dtype=torch.uint8)
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 33, 40, dtype=torch.long)))
    batch = dict(inputs=[image], data_samples=[sample])
    assert preprocessor(batch, training=False)['inputs'].shape == (1, 3, 33, 40)
    padded = preprocessor(batch, training=True)
    assert padded['inputs'].shape == (1, 3, 512, 512)
    assert padded['inputs'][0, 0, 0, 0].item() == pytest.approx((128 - 123.675) / 58.395, rel=1e-5)
    assert not padded['inputs'][..., 33:, :].any()
    label = padded['data_samples'][0].gt_sem_seg.data
    assert label.shape == (1, 512, 512)
    assert set(label[0, :33, :40].unique().tolist()) == {0}
    assert set(label[0, 33:].unique().tolist()) == set(label[0, :, 40:].unique().tolist()) == {255}


def test_optimizer(path, cfg) -> None:
    wrapper = cfg.optim_wrapper
    is_fpn = split(path.stem)[2] == FPN
    lr, decay, batch = (2e-4, 1e-4, 32) if is_fpn else (6e-5, 0.01, 16)
    assert wrapper.type == 'OptimWrapper'
    assert wrapper.optimizer == cfg.optimizer
    assert wrapper.optimizer == dict(type='AdamW', lr=lr, betas=(0.9, 0.999), weight_decay=decay)
    rule = None if is_fpn else dict(custom_keys=dict(norm=dict(decay_mult=0.0)))
    assert wrapper.get('paramwise_cfg') == rule
    assert wrapper.clip_grad is None
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=batch)
    assert cfg.train_dataloader.batch_size * 8 == batch


@pytest.mark.parametrize(
    ('name', 'num_free', 'num_backbone'),
    [
        (f'uniformer-s-g_{FPN}', 0, 290),
        pytest.param(f'uniformer-b-g_{FPN}', 0, 610, marks=pytest.mark.slow),
        (f'uniformer-s-g_{UPERNET}', 88, 290),
        pytest.param(f'uniformer-b-g_{UPERNET}', 176, 610, marks=pytest.mark.slow),
    ],
)
def test_weight_decay_of_every_parameter(name, num_free, num_backbone) -> None:
    """UperNet: all norms of the backbone are free, and nothing in the heads. FPN: nothing is."""
    cfg = read_leaf(name)
    model = built_model(name)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    lr, full = cfg.optim_wrapper.optimizer.lr, cfg.optim_wrapper.optimizer.weight_decay
    assert {group['lr'] for group in groups} == {lr}
    decay = {id(p): group['weight_decay'] for group in groups for p in group['params']}
    named = dict(model.named_parameters())
    assert len(decay) == len(named)
    free = {name for name, p in named.items() if decay[id(p)] == 0}
    assert {decay[id(p)] for name, p in named.items() if name not in free} == {full}
    assert len(free) == num_free
    assert free == (norms_of_backbone(model) if num_free else set())
    assert sum(name.startswith('backbone.') for name in named) == num_backbone


def mmcv_rate(framework: str, i: int) -> float:
    """What mmcv 1.x's LrUpdaterHook set before iteration i: a warm-up that scales the schedule."""
    if framework == FPN:
        base, total, warmup, ratio = 2e-4, 80_000, 1000, 0.1
        low = base * 1e-8
        regular = low + 0.5 * (base - low) * (1 + math.cos(math.pi * i / total))
    else:
        base, total, warmup, ratio = 6e-5, 160_000, 1500, 1e-6
        regular = base * (1 - i / total)
    return regular * (1 - (1 - i / warmup) * (1 - ratio)) if i < warmup else regular


@pytest.mark.parametrize('framework', [FPN, UPERNET])
def test_start_of_the_schedule(framework) -> None:
    cfg = read_leaf(f'uniformer-s-g_{framework}')
    expected = [mmcv_rate(framework, i) for i in range(3000)]
    assert learning_rates(cfg, 1, 3000) == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize('framework', [FPN, UPERNET])
def test_schedule(framework) -> None:
    """The rate of every iteration, to the last."""
    cfg = read_leaf(f'uniformer-s-g_{framework}')
    rates = learning_rates(cfg, 1, cfg.train_cfg.max_iters)
    expected = [mmcv_rate(framework, i) for i in range(cfg.train_cfg.max_iters)]
    # 160,000 multiplications, one after the other, carry some rounding with them.
    assert rates == pytest.approx(expected, rel=1e-6, abs=1e-15)


def test_training(path, cfg) -> None:
    total, interval = (80_000, 4000) if split(path.stem)[2] == FPN else (160_000, 16_000)
    assert cfg.train_cfg == dict(type='IterBasedTrainLoop', max_iters=total, val_interval=interval)
    hooks = cfg.default_hooks
    assert hooks.checkpoint == dict(
        type='CheckpointHook',
        by_epoch=False,
        interval=interval,
        max_keep_ckpts=3,
        save_best='mIoU',
    )
    assert hooks.sync_buffers == dict(type='uniformer_mm.IterSyncBuffersHook')
    assert cfg.default_scope == 'mmseg'
    assert cfg.custom_imports == dict(imports=['uniformer_mm'], allow_failed_imports=False)
    assert cfg.log_processor == dict(by_epoch=False)


LABELS = [
    dict(type='LoadAnnotations'),  # reduced as ADE20KDataset says, see the test of the files
    dict(type='uniformer_mm.CheckSegMap', num_classes=150),
]


def second_resize(name: str) -> dict:
    if split(name)[2] == FPN:
        return dict(type='ResizeToMultiple', size_divisor=32)
    return dict(type='uniformer_mm.ResizeToAtLeast', size=32)


def test_data(path, cfg) -> None:
    train, val = cfg.train_dataloader, cfg.val_dataloader
    assert (train.batch_size, val.batch_size) == (4 if split(path.stem)[2] == FPN else 2, 1)
    for loader, kind in ((train, 'training'), (val, 'validation')):
        assert loader.dataset.type == 'ADE20KDataset'
        assert loader.dataset.data_root == 'data/ade/ADEChallengeData2016'
        assert loader.dataset.data_prefix == dict(
            img_path=f'images/{kind}', seg_map_path=f'annotations/{kind}'
        )
    assert train.sampler == dict(type='InfiniteSampler', shuffle=True)
    assert list(train.dataset.pipeline) == [
        dict(type='LoadImageFromFile'),
        *LABELS,
        dict(type='RandomResize', scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(512, 512), cat_max_ratio=0.75),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'),
        dict(type='PackSegInputs'),
    ]
    # The label is read after resizing, so that it keeps the size of the original.
    assert list(val.dataset.pipeline) == [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(2048, 512), keep_ratio=True),
        second_resize(path.stem),
        *LABELS,
        dict(type='PackSegInputs'),
    ]
    assert cfg.test_dataloader == val
    assert cfg.val_evaluator == cfg.test_evaluator
    assert cfg.val_evaluator == dict(type='IoUMetric', iou_metrics=['mIoU'])


def test_multi_scale_test(path, cfg) -> None:
    """--tta: each of six scales of (2048, 512), as it is and mirrored."""
    cli.set_tta(cfg := Config(cfg.to_dict()))
    assert cfg.model.type == 'SegTTAModel'
    load, augment = cfg.test_dataloader.dataset.pipeline
    assert (load.type, augment.type) == ('LoadImageFromFile', 'TestTimeAug')
    resizes, second, flips, *rest = augment.transforms
    assert [tuple(r.scale) for r in resizes] == [
        *((1024, 256), (1536, 384), (2048, 512), (2560, 640), (3072, 768), (3584, 896))
    ]
    assert all(r.type == 'Resize' and r.keep_ratio for r in resizes)
    assert second == [second_resize(path.stem)]
    assert flips == [
        dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)
    ]
    assert rest == [*([label] for label in LABELS), [dict(type='PackSegInputs')]]


@pytest.mark.parametrize(
    'name',
    [
        f'uniformer-s-h14_{FPN}',
        pytest.param(f'uniformer-s-g_{UPERNET}', marks=pytest.mark.slow),
        pytest.param(f'uniformer-b-g_{UPERNET}', marks=pytest.mark.slow),
    ],
)
def test_gradients_reach_every_parameter(name) -> None:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    cfg = read_leaf(name)
    shrink(cfg)
    cfg.model.backbone.drop_path_rate = 0.0
    model = revert_sync_batchnorm(build(cfg.model, 'mmseg'))
    images = [torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8) for _ in range(2)]
    samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=torch.randint(0, 150, (1, 64, 96))),
            metainfo=dict(img_shape=(64, 96)),
        )
        for _ in range(2)
    ]
    data = model.data_preprocessor(dict(inputs=images, data_samples=samples), True)
    losses = model(**data, mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.requires_grad
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name


@pytest.fixture(scope='module')
def ade(tmp_path_factory) -> Path:
    return make_ade(tmp_path_factory.mktemp('ade') / 'data')


# The others differ from these in depth and in the attention of stage 3 only.
FULL_SIZE = {f'uniformer-s-h32_{FPN}', f'uniformer-b-g_{UPERNET}'}


def make_test_runner(name: str, data: Path, work_dir: Path, tta: bool = False) -> Runner:
    cfg, _ = cli.load_config(str(leaf(name)), {})
    use_data(cfg, data)
    shrink(cfg)
    if name not in FULL_SIZE:
        shrink_model(cfg)
    if tta:
        cli.set_tta(cfg)
    return make_runner(cfg, work_dir)


@pytest.mark.parametrize(
    'name', slow_unless({f'uniformer-s-h32_{FPN}'}, [path.stem for path in LEAVES])
)
def test_trains_and_tests(name: str, ade: Path, tmp_path: Path) -> None:
    """Two steps through the whole recipe at an eighth of the size, most with few channels."""
    runner = make_test_runner(name, ade, tmp_path)
    before = {name: p.detach().clone() for name, p in runner.model.named_parameters()}
    runner.train()
    assert runner.iter == 2
    assert all(torch.isfinite(p).all() for p in runner.model.parameters())
    changed = [n for n, p in runner.model.named_parameters() if not torch.equal(p, before[n])]
    assert len(changed) > 0.9 * len(before)
    assert {'aAcc', 'mIoU', 'mAcc'} <= runner.test().keys()


@pytest.mark.slow
@pytest.mark.parametrize('framework', [FPN, UPERNET])
def test_multi_scale_test_at_work(framework, ade: Path, tmp_path: Path) -> None:
    """The mean of the softmax over twelve views, at the size of the image."""
    runner = make_test_runner(f'uniformer-s-g_{framework}', ade, tmp_path, tta=True)
    data = next(iter(runner.test_dataloader))
    assert [len(views) for views in (data['inputs'], data['data_samples'])] == [12, 12]
    model = runner.model.eval()
    merged = model.test_step(data)[0]
    views = [
        model.module.test_step(dict(inputs=x, data_samples=s))[0].seg_logits.data.softmax(0)
        for x, s in zip(data['inputs'], data['data_samples'], strict=True)
    ]
    assert {tuple(view.shape[1:]) for view in views} == {merged.ori_shape}
    assert torch.equal(sum(views).argmax(0), merged.pred_sem_seg.data[0])
    assert {'mIoU'} <= runner.test().keys()


def test_model_index_and_table_list_every_row(repo_root: Path) -> None:
    (entry,) = [
        e
        for e in yaml.safe_load((repo_root / 'model-index.yml').read_text())['Import']
        if 'ade20k' in e
    ]
    models = yaml.safe_load((repo_root / entry).read_text())['Models']
    table = (CONFIGS / 'ade20k/README.md').read_text()
    assert EVAL_HYBRID in table
    assert {model['Name'] for model in models} == set(ROWS)
    for model in models:
        name = model['Name']
        size, _, framework = split(name)
        params = PARAMS[size, framework]
        giga_macs, published, *scores = ROWS[name]
        scores = [score for score in scores if score is not None]
        assert model['Config'] == f'configs/ade20k/{name}.py'
        assert model['Metadata']['Parameters'] == params
        assert model['Metadata']['FLOPs'] == round(giga_macs * 1e9)
        assert model['Metadata']['Iterations'] == (80_000 if framework == FPN else 160_000)
        (result,) = model['Results']
        assert list(result['Metrics'].values()) == scores
        (row,) = [line for line in table.splitlines() if f'({name}.py)' in line]
        cells = [cell.strip() for cell in row.split('|')]
        assert f'{params / 1e6:.1f} M' in cells
        assert any(cell.startswith(f'{giga_macs:.1f} G ({published}') for cell in cells)
        for score in scores:
            assert any(cell.split(' ')[0] == str(score) for cell in cells)
        assert model['Weights'] in row
