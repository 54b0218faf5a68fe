"""Every COCO detection config: what it says, what it builds, and that it trains and tests."""

from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from paper_configs import build, learning_rates, norms_of_backbone, read_config, stock_config
from small_data import make_coco
from small_runs import make_runner, shrink, use_data
from torch import nn

from uniformer_mm import cli
from uniformer_mm.analysis.complexity import count_complexity

pytest.importorskip('mmdet')

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
LEAVES = sorted((CONFIGS / 'coco_det').glob('*.py'))

MASK, CASCADE = 'mask-rcnn_uniformer-', 'cascade-mask-rcnn_uniformer-'
ONE, THREE = '_fpn_amp-1x_coco', '_fpn_amp-ms-crop-3x_coco'
CASCADE_THREE = '_fpn_4conv1fc-giou_amp-ms-crop-3x_coco'

# Exact parameters, our multiply-adds at 800 x 1280 and the published ones (both in billions).
SIZE = {
    f'{MASK}s-w14': (41_200_688, 250.1, 250),
    f'{MASK}s-h14': (41_200_688, 268.8, 269),
    f'{MASK}s-g': (41_200_688, 325.0, 326),
    f'{MASK}b-h14': (69_431_984, 399.6, 399),
    f'{CASCADE}s-h14': (79_035_890, 747.1, 747),
    f'{CASCADE}b-h14': (107_267_186, 877.8, 878),
}
# Attention of stage 3, drop path, blocks of stage 3 that are recomputed.
RECIPE = {
    f'{MASK}s-w14{ONE}': ('window', 0.2, 8),
    f'{MASK}s-h14{ONE}': ('hybrid', 0.2, 8),
    f'{MASK}s-g{ONE}': ('global', 0.2, 8),
    f'{MASK}b-h14{ONE}': ('hybrid', 0.3, 0),
    f'{MASK}s-w14{THREE}': ('window', 0.1, 8),
    f'{MASK}s-h14{THREE}': ('hybrid', 0.1, 8),
    f'{MASK}s-g{THREE}': ('global', 0.1, 8),
    f'{MASK}b-h14{THREE}': ('hybrid', 0.3, 20),
    f'{CASCADE}s-h14{CASCADE_THREE}': ('hybrid', 0.2, 8),
    f'{CASCADE}b-h14{CASCADE_THREE}': ('hybrid', 0.4, 20),
}
# Box AP, mask AP.
PUBLISHED = {
    f'{MASK}s-w14{ONE}': (45.0, 40.8),
    f'{MASK}s-h14{ONE}': (45.6, 41.6),
    f'{MASK}s-g{ONE}': (45.8, 41.5),
    f'{MASK}b-h14{ONE}': (47.4, 43.1),
    f'{MASK}s-w14{THREE}': (47.5, 43.0),
    f'{MASK}s-h14{THREE}': (48.2, 43.4),
    f'{MASK}s-g{THREE}': (48.1, 43.4),
    f'{MASK}b-h14{THREE}': (50.3, 44.8),
    f'{CASCADE}s-h14{CASCADE_THREE}': (52.1, 45.2),
    f'{CASCADE}b-h14{CASCADE_THREE}': (53.8, 46.4),
}


def model_name(name: str) -> str:
    return name.split('_fpn_')[0]


@cache
def built_model(name: str) -> nn.Module:
    """A model without values, which saves time; not to be changed."""
    with torch.device('meta'):
        return build(read_config(CONFIGS / f'coco_det/{name}.py').model, 'mmdet')


@pytest.fixture(scope='module', params=LEAVES, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture(scope='module')
def cfg(path) -> Config:
    return read_config(path)


def test_all_models_are_listed() -> None:
    assert {path.stem for path in LEAVES} == set(RECIPE) == set(PUBLISHED)


@pytest.mark.parametrize('name', SIZE)
def test_parameters_and_cost(name) -> None:
    params, giga_macs, published = SIZE[name]
    leaf = next(leaf for leaf in RECIPE if model_name(leaf) == name)
    cost = count_complexity(built_model(leaf), cli.task_forward('mmdet', (800, 1280)))
    assert cost.params == cost.trainable == params
    assert cost.macs / 1e9 == pytest.approx(giga_macs, abs=0.05)
    assert cost.macs / 1e9 == pytest.approx(published, rel=0.01)
    assert sum(c.macs for name, c in cost.modules.items() if '.' not in name) == cost.macs


def test_backbone(path, cfg) -> None:
    style, drop_path, num_recomputed = RECIPE[path.stem]
    arch = 'base' if '-b-' in path.stem else 'small'
    backbone = cfg.model.backbone
    assert backbone.type == 'uniformer_mm.UniFormer'
    assert (backbone.arch, backbone.stage3_style, backbone.window_size) == (arch, style, 14)
    assert backbone.drop_path_rate == drop_path
    assert backbone.init_cfg == dict(
        type='Pretrained',
        checkpoint='https://huggingface.co/Sense-X/uniformer_image/resolve/main/'
        f'uniformer_{arch}_in1k.pth',
    )
    # Nothing is frozen, BatchNorm statistics are learned, testing is as training.
    known = {'type', 'arch', 'stage3_style', 'window_size', 'drop_path_rate', 'with_cp', 'init_cfg'}
    assert set(backbone) == known

    model = built_model(path.stem).backbone
    assert model.with_cp == (0, 0, num_recomputed, 0)
    assert model.out_indices == (0, 1, 2, 3)
    depth = {'small': 8, 'base': 20}[arch]
    assert [block.window_size for block in model.blocks3] == {
        'global': [0] * depth,
        'window': [14] * depth,
        'hybrid': [14, 14, 14, 0] * (depth // 4),
    }[style]
    rates = [
        getattr(block.drop_path, 'p', 0.0)
        for stage in range(1, 5)
        for block in getattr(model, f'blocks{stage}')
    ]
    assert rates == pytest.approx([drop_path * i / (len(rates) - 1) for i in range(len(rates))])
    assert not any(isinstance(m, nn.SyncBatchNorm) for m in model.modules())


def test_neck_and_preprocessing(cfg) -> None:
    assert cfg.model.neck == dict(
        type='FPN', in_channels=[64, 128, 320, 512], out_channels=256, num_outs=5
    )
    assert cfg.model.data_preprocessor == dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_mask=True,
        pad_size_divisor=32,
    )
    # Padding comes after normalising, with zeros.
    preprocessor = build(cfg.model.data_preprocessor, 'mmdet')
    assert preprocessor.pad_value == 0
    image = torch.full((3, 33, 40), 128, dtype=torch.uint8)
    padded = preprocessor(dict(inputs=[image]), training=False)['inputs']
    assert padded.shape == (1, 3, 64, 64)
    assert padded[0, 0, 0, 0].item() == pytest.approx((128 - 123.675) / 58.395, rel=1e-5)
    assert not padded[..., 33:, :].any()


def test_heads(path, cfg) -> None:
    is_cascade = path.stem.startswith('cascade')
    model = cfg.model.to_dict()
    name = 'cascade-mask-rcnn' if is_cascade else 'mask-rcnn'
    stock = stock_config('mmdet', f'_base_/models/{name}_r50_fpn.py').model.to_dict()
    if is_cascade:
        boxes = model['roi_head'].pop('bbox_head')
        stock['roi_head'].pop('bbox_head')
        stds = ([0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067])
        assert len(boxes) == 3
        for box, std in zip(boxes, stds, strict=True):
            assert box == dict(
                type='ConvFCBBoxHead',
                num_shared_convs=4,
                num_shared_fcs=1,
                in_channels=256,
                conv_out_channels=256,
                fc_out_channels=1024,
                roi_feat_size=7,
                num_classes=80,
                bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=std),
                reg_class_agnostic=False,
                reg_decoded_bbox=True,
                norm_cfg=dict(type='SyncBN', requires_grad=True),
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
                loss_bbox=dict(type='GIoULoss', loss_weight=10.0),
            )
        assert cfg.model.roi_head.stage_loss_weights == [1, 0.5, 0.25]
        ious = [stage.assigner.pos_iou_thr for stage in cfg.model.train_cfg.rcnn]
        assert ious == [0.5, 0.6, 0.7]
        assert cfg.model.train_cfg.rpn_proposal.max_per_img == 2000
        assert cfg.model.rpn_head.loss_bbox == dict(
            type='SmoothL1Loss', beta=pytest.approx(1 / 9), loss_weight=1.0
        )
        modules = built_model(path.stem).named_modules()
        synced = {name for name, module in modules if isinstance(module, nn.SyncBatchNorm)}
        assert synced == {
            f'roi_head.bbox_head.{i}.shared_convs.{j}.bn' for i in range(3) for j in range(4)
        }
    for part in ('type', 'data_preprocessor', 'rpn_head', 'roi_head', 'train_cfg', 'test_cfg'):
        assert model[part] == stock[part]


def test_optimizer(cfg) -> None:
    wrapper = cfg.optim_wrapper
    assert (wrapper.type, wrapper.loss_scale) == ('AmpOptimWrapper', 'dynamic')
    assert wrapper.optimizer == dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05)
    assert wrapper.paramwise_cfg == dict(custom_keys=dict(norm=dict(decay_mult=0.0)))
    assert 'clip_grad' not in wrapper
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=16)
    assert cfg.train_dataloader.batch_size * 8 == 16


def test_bfloat16_is_an_option(monkeypatch) -> None:
    """As tools/train.py --amp bf16 makes it on a GPU; regions are extracted in float32."""
    from mmdet.models import SingleRoIExtractor

    cfg = read_config(CONFIGS / f'coco_det/{MASK}s-h14{ONE}.py')
    forward = SingleRoIExtractor.forward
    monkeypatch.setattr(SingleRoIExtractor, 'forward', forward)  # to have it restored
    monkeypatch.setattr(cli.runtime, 'has_accelerator', lambda: True)
    cli.set_amp(cfg, 'fp16')
    assert SingleRoIExtractor.forward is forward
    cli.set_amp(cfg, 'bf16')
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.dtype) == ('AmpOptimWrapper', 'bfloat16')
    assert cfg.optim_wrapper.loss_scale == dict(enabled=False)
    assert SingleRoIExtractor.forward is not forward


@pytest.mark.parametrize(
    ('name', 'num_free', 'num_all'),
    [
        (f'{MASK}s-h14{ONE}', 88, 290),
        (f'{MASK}b-h14{ONE}', 176, 610),
        (f'{CASCADE}s-h14{CASCADE_THREE}', 88, 290),
    ],
)
def test_weight_decay_of_every_parameter(name, num_free, num_all) -> None:
    """All norms of the backbone are free, weights and biases; nothing in neck and heads is."""
    cfg = read_config(CONFIGS / f'coco_det/{name}.py')
    model = built_model(name)
    # CPU: the wrapper for mixed precision needs a GPU.
    kept = {key: cfg.optim_wrapper[key] for key in ('optimizer', 'paramwise_cfg')}
    wrapper = build_optim_wrapper(model, dict(type='OptimWrapper', **kept))
    groups = wrapper.optimizer.param_groups
    assert {group['lr'] for group in groups} == {1e-4}
    decay = {id(p): group['weight_decay'] for group in groups for p in group['params']}
    named = dict(model.named_parameters())
    assert len(decay) == len(named)
    free = {name for name, p in named.items() if decay[id(p)] == 0}
    assert {decay[id(p)] for name, p in named.items() if name not in free} == {0.05}
    norms = norms_of_backbone(model)
    assert free == norms == {name for name in named if 'norm' in name}
    assert len(free) == num_free
    assert sum(name.startswith('backbone.') for name in named) == num_all


def test_schedule(path, cfg) -> None:
    epochs, steps = (36, (27, 33)) if '3x' in path.stem else (12, (8, 11))
    assert (cfg.train_cfg.type, cfg.train_cfg.max_epochs) == ('EpochBasedTrainLoop', epochs)
    warmup, decay = cfg.param_scheduler
    assert (warmup.type, decay.type) == ('LinearLR', 'MultiStepLR')
    length = 100
    expected = [
        # mmcv 1.x: the warm-up from 0.001 scales a schedule that runs from the first iteration.
        1e-4
        * 0.1 ** sum(i // length >= step for step in steps)
        * (1 - (1 - min(i / 500, 1)) * (1 - 0.001))
        for i in range(epochs * length)
    ]
    assert learning_rates(cfg, epochs, length) == pytest.approx(expected, rel=1e-9)


def test_data(path, cfg) -> None:
    train, val = cfg.train_dataloader, cfg.val_dataloader
    assert (train.batch_size, val.batch_size) == (2, 1)
    assert train.dataset.type == val.dataset.type == 'CocoDataset'
    assert train.dataset.data_root == val.dataset.data_root == 'data/coco/'
    assert train.dataset.ann_file == 'annotations/instances_train2017.json'
    assert val.dataset.ann_file == 'annotations/instances_val2017.json'
    assert train.dataset.data_prefix == dict(img='train2017/')
    assert val.dataset.data_prefix == dict(img='val2017/')
    assert train.dataset.filter_cfg == dict(filter_empty_gt=True, min_size=32)
    assert train.sampler == dict(type='DefaultSampler', shuffle=True)
    assert train.batch_sampler.type == 'AspectRatioBatchSampler'

    load, annotations, *steps, pack = train.dataset.pipeline
    assert load.type == 'LoadImageFromFile'
    assert (annotations.with_bbox, annotations.with_mask) == (True, True)
    assert pack.type == 'PackDetInputs'
    final = dict(
        type='RandomChoiceResize',
        scales=[
            (480, 1333), (512, 1333), (544, 1333), (576, 1333), (608, 1333), (640, 1333),
            (672, 1333), (704, 1333), (736, 1333), (768, 1333), (800, 1333),
        ],
        keep_ratio=True,
    )  # fmt: skip
    if '3x' in path.stem:
        flip, policy = steps
        assert policy == dict(
            type='RandomChoice',
            transforms=[
                [final],
                [
                    dict(final, scales=[(400, 1333), (500, 1333), (600, 1333)]),
                    dict(
                        type='RandomCrop',
                        crop_type='absolute_range',
                        crop_size=(384, 600),
                        allow_negative_crop=True,
                    ),
                    final,
                ],
            ],
        )
    else:
        resize, flip = steps
        assert resize == dict(type='Resize', scale=(1333, 800), keep_ratio=True)
    assert flip == dict(type='RandomFlip', prob=0.5)

    load, resize, annotations, pack = val.dataset.pipeline
    assert resize == dict(type='Resize', scale=(1333, 800), keep_ratio=True)
    assert cfg.test_dataloader == val
    assert cfg.val_evaluator == cfg.test_evaluator
    assert (cfg.val_evaluator.type, cfg.val_evaluator.metric) == ('CocoMetric', ['bbox', 'segm'])
    assert cfg.val_evaluator.ann_file == 'data/coco/annotations/instances_val2017.json'


def test_multi_scale_policy_at_work() -> None:
    """What it does to a 640 x 480 image: both branches, every short side, crops in between."""
    from mmdet.registry import TRANSFORMS

    cfg = read_config(CONFIGS / f'coco_det/{MASK}s-h14{THREE}.py')
    with DefaultScope.overwrite_default_scope('mmdet'):
        policy = TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline[3])
    np.random.seed(0)
    is_cropped, sides = Counter(), Counter()
    for _ in range(200):
        image = np.zeros((480, 640, 3), np.uint8)
        result = policy(dict(img=image, img_shape=(480, 640), ori_shape=(480, 640)))
        short, long = sorted(result['img_shape'])
        sides[short] += 1
        assert long <= 1333
        # Of a crop, (384 .. 600) / (384 .. 600); the image itself keeps 4 : 3.
        is_cropped[abs(long / short - 4 / 3) > 0.01] += 1
        assert long / short < 600 / 384 + 0.01
    assert set(sides) == set(range(480, 801, 32))
    assert 60 < is_cropped[True] < 140


def test_runtime(cfg) -> None:
    assert cfg.default_scope == 'mmdet'
    assert cfg.custom_imports == dict(imports=['uniformer_mm'], allow_failed_imports=False)
    assert cfg.default_hooks.sync_buffers == dict(type='SyncBuffersHook')
    assert cfg.default_hooks.check_classes == dict(type='uniformer_mm.ClassCheckHook')
    assert cfg.default_hooks.check_heads == dict(type='NumClassCheckHook')
    checkpoint = cfg.default_hooks.checkpoint
    assert (checkpoint.interval, checkpoint.max_keep_ckpts) == (1, 3)
    assert checkpoint.save_best == 'coco/bbox_mAP'


@pytest.mark.parametrize(
    'name',
    [
        f'{MASK}s-h14{ONE}',
        pytest.param(f'{MASK}b-h14{ONE}', marks=pytest.mark.slow),
        pytest.param(f'{CASCADE}s-h14{CASCADE_THREE}', marks=pytest.mark.slow),
    ],
)
def test_gradients_reach_every_parameter(name) -> None:
    from mmdet.testing import demo_mm_inputs

    cfg = read_config(CONFIGS / f'coco_det/{name}.py')
    shrink(cfg)
    cfg.model.backbone.drop_path_rate = 0.0
    cfg.model.train_cfg.rpn.allowed_border = -1  # large anchors all cross that of a small image
    model = revert_sync_batchnorm(build(cfg.model, 'mmdet'))
    data = demo_mm_inputs(2, [[3, 96, 128]] * 2, num_items=[3, 2], num_classes=80, with_mask=True)
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.requires_grad
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name


@pytest.fixture(scope='module')
def coco(tmp_path_factory) -> Path:
    return make_coco(tmp_path_factory.mktemp('coco') / 'data')


FAST = {f'{MASK}s-h14{THREE}'}


@pytest.mark.parametrize(
    'leaf',
    [pytest.param(p, id=p.stem, marks=() if p.stem in FAST else pytest.mark.slow) for p in LEAVES],
)
def test_trains_and_tests(leaf: Path, coco: Path, tmp_path: Path) -> None:
    """One epoch of two steps through the whole recipe at an eighth of the size, in float32."""
    cfg, _ = cli.load_config(str(leaf), {'train_cfg.max_epochs': 1})
    use_data(cfg, coco)
    shrink(cfg)
    runner = make_runner(cfg, tmp_path)
    assert len(runner.train_dataloader) == 2
    before = {name: p.detach().clone() for name, p in runner.model.named_parameters()}
    runner.train()
    assert runner.iter == 2
    assert all(torch.isfinite(p).all() for p in runner.model.parameters())
    changed = [n for n, p in runner.model.named_parameters() if not torch.equal(p, before[n])]
    assert len(changed) > 0.9 * len(before)
    metrics = runner.test()
    assert {'coco/bbox_mAP', 'coco/segm_mAP'} <= metrics.keys()


def test_model_index_and_table_list_every_config(repo_root: Path) -> None:
    (entry,) = [
        e
        for e in yaml.safe_load((repo_root / 'model-index.yml').read_text())['Import']
        if 'coco_det' in e
    ]
    models = yaml.safe_load((repo_root / entry).read_text())['Models']
    table = (CONFIGS / 'coco_det/README.md').read_text()
    assert {model['Name'] for model in models} == set(RECIPE)
    for model in models:
        name = model['Name']
        params, giga_macs, published = SIZE[model_name(name)]
        assert model['Config'] == f'configs/coco_det/{name}.py'
        assert model['Metadata']['Parameters'] == params
        assert model['Metadata']['FLOPs'] == round(giga_macs * 1e9)
        assert model['Metadata']['Epochs'] == (36 if '3x' in name else 12)
        scores = {r['Task']: r['Metrics'] for r in model['Results']}
        assert scores == {
            'Object Detection': {'box AP': PUBLISHED[name][0]},
            'Instance Segmentation': {'mask AP': PUBLISHED[name][1]},
        }
        (row,) = [line for line in table.splitlines() if f'({name}.py)' in line]
        cells = [cell.strip() for cell in row.split('|')]
        assert f'{params / 1e6:.1f} M' in cells
        assert f'{giga_macs:.1f} G ({published})' in cells
        for score in PUBLISHED[name]:
            assert any(cell.split(' ')[0] == str(score) for cell in cells)
        assert cells[7] == str(RECIPE[name][1])
        assert model.get('Weights', 'never released') in cells[9]
