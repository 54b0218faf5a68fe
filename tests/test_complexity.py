"""Parameters and multiply-adds against the published and the closed-form counts."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from uniformer_mm import cli
from uniformer_mm.analysis.complexity import CLIP, DETECTOR, count_complexity
from uniformer_mm.models import UniFormer


class Classifier(nn.Module):
    """Backbone, pooling, linear head: the network whose cost the papers print."""

    def __init__(self, arch: str, **kwargs) -> None:
        super().__init__()
        self.backbone = UniFormer(arch, out_indices=(3,), final_norm=True, **kwargs)
        self.head = nn.Linear(self.backbone.norm.num_features, 1000)

    def forward(self, x):
        return self.head(self.backbone(x)[0].mean((2, 3)))


def cost(model: nn.Module, *size: int, device: str = 'meta'):
    return count_complexity(model, lambda m: m(torch.zeros(1, 3, *size, device=device)), device)


CROP = dict(type='CenterCrop', crop_size=64)
FRAMES = dict(type='uniformer_mm.DenseClipSample', clip_len=8)


def test_large_classifier():
    """Of which there is no config; the others are counted in tests/configs."""
    with torch.device('meta'):  # no time for values that nobody reads
        model = Classifier('large')
    result = cost(model, 224, 224)
    assert result.params == result.trainable == 99_462_888
    assert result.macs / 1e9 == pytest.approx(19.682, rel=5e-3)


def recognizer(num_classes: int = 400, **backbone) -> nn.Module:
    """MMAction2's recognizer on a backbone for clips."""
    models = pytest.importorskip('mmaction.models')
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmaction'):
        return models.Recognizer3D(
            backbone=dict(type='uniformer_mm.UniFormer3D', **backbone),
            cls_head=dict(type='I3DHead', num_classes=num_classes, in_channels=512),
        )


@pytest.mark.parametrize(
    ('options', 'params', 'giga'),
    [
        ({}, {'small': 21_400_400, 'base': 49_813_200}, 41.7),
        (dict(split=True), {'small': 27_847_504, 'base': 65_405_136}, 36.7),
        (dict(std=True), {'small': 23_104_336, 'base': 51_517_136}, None),
    ],
)
def test_recognizer_options(options, params, giga):
    """Divided attention is the "not joint" row of the paper's Table 11, at 16 frames."""
    for arch, expected in params.items():
        model = recognizer(arch=arch, **options)
        assert sum(p.numel() for p in model.parameters()) == expected
        if giga and arch == 'small':
            result = count_complexity(model, CLIP.forward((16, 224, 224)))
            assert result.macs / 1e9 == pytest.approx(giga, rel=0.003)


def test_share_of_attention_at_1008():
    """Li et al., UniFormer, TPAMI 2023, section 4.3: over half is stage 3's attention products."""
    result = cost(Classifier('small'), 1008, 1008)
    products = 0
    for name in (f'backbone.blocks3.{i}.attn' for i in range(8)):
        parts = (result.modules[f'{name}.{part}'].macs for part in ('qkv', 'proj'))
        products += result.modules[name].macs - sum(parts)
    assert products == 8 * 2 * (63 * 63) ** 2 * 320  # 2 N^2 C a block
    assert products / result.macs == pytest.approx(0.53, abs=0.01)


@pytest.mark.parametrize(
    ('style', 'window'), [('global', 14), ('window', 14), ('hybrid', 14), ('hybrid', 32)]
)
def test_dense_backbone_matches_the_closed_form(style, window):
    """Spatial size 512 x 2048; padded window tokens count in qkv, proj and the products."""
    with torch.device('meta'):
        model = UniFormer('small', stage3_style=style, window_size=window)
    assert cost(model, 512, 2048).macs == closed_form(512, 2048, style, window)


def closed_form(height: int, width: int, style: str, window: int) -> int:
    """Multiply-adds of the small dense backbone."""
    total, channels = 0, 3
    for stage, (depth, dim) in enumerate(zip((3, 4, 8, 3), (64, 128, 320, 512), strict=True)):
        stride = 2 if stage else 4
        height, width = height // stride, width // stride
        n = height * width
        total += n * dim * channels * stride**2
        channels = dim
        for i in range(depth):
            if stage < 2:
                total += n * (34 * dim + 10 * dim**2)
                continue
            windowed = stage == 2 and (style == 'window' or (style == 'hybrid' and (i + 1) % 4))
            if not windowed:
                total += n * (9 * dim + 12 * dim**2) + 2 * n**2 * dim
                continue
            across = -(-height // window) * -(-width // window)
            padded = across * window**2
            total += n * (9 * dim + 8 * dim**2) + padded * 4 * dim**2
            total += 2 * across * window**4 * dim
    return total


def test_every_way_of_running_attention_counts_the_same():
    sizes = (64, 96)
    expected = cost(Classifier('tiny'), *sizes)
    for model, device in (
        (Classifier('tiny', fused_attn=False), 'meta'),
        (Classifier('tiny', with_cp=True), 'meta'),
        (Classifier('tiny'), 'cpu'),
        (Classifier('tiny', fused_attn=False), 'cpu'),
    ):
        assert cost(model, *sizes, device=device) == expected


def test_modules_add_up_and_the_model_is_left_alone():
    model = Classifier('tiny', frozen_stages=1)
    model.train()
    before = [(name, p.device, p.requires_grad) for name, p in model.named_parameters()]
    result = cost(model, 64, 64)
    assert [(n, p.device, p.requires_grad) for n, p in model.named_parameters()] == before
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    top = [cost for name, cost in result.modules.items() if '.' not in name]
    assert sum(c.macs for c in top) == result.macs
    assert sum(c.params for c in top) == result.params
    assert result.trainable == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert result.trainable < result.params


def test_children_of_an_uncalled_module():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 6))

        def forward(self, x):
            return self.part.forward(x)  # no hook of `part` runs

    result = count_complexity(Model(), lambda m: m(torch.zeros(2, 4, device='meta')))
    assert result.modules['part'].macs == result.macs == 2 * (4 * 5 + 5 * 6)


@pytest.mark.parametrize(
    ('scope', 'shape'), [('mmyolo', (64, 64)), ('mmaction', (64, 64)), ('mmseg', (64,))]
)
def test_wrong_task_or_shape(scope, shape):
    with pytest.raises(ValueError, match='default_scope|takes a shape'):
        cli.task_forward(scope, shape)


def detector_cost(name: str, *size: int):
    """Cost of one of mmdet's own base models."""
    mmdet = pytest.importorskip('mmdet')
    file = Path(mmdet.__file__).parent / f'.mim/configs/_base_/models/{name}.py'
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(Config.fromfile(file).model)
    return count_complexity(model, DETECTOR.forward(size))


def test_two_stage_detector():
    """The heads' share by hand: 1000 regions of 7 x 7 for boxes, 100 of 14 x 14 for masks."""
    result = detector_cost('mask-rcnn_r50_fpn', 64, 96)
    box = 49 * 256 * 1024 + 1024 * 1024 + 1024 * (81 + 80 * 4)
    mask = 196 * 4 * 9 * 256**2 + 196 * 4 * 256**2 + 784 * 256 * 80
    assert result.modules['roi_head.bbox_head'].macs == 1000 * box
    assert result.modules['roi_head.mask_head'].macs == 100 * mask
    cells = sum(h * w for h, w in ((16, 24), (8, 12), (4, 6), (2, 3), (1, 2)))
    assert result.modules['rpn_head'].macs == cells * (9 * 256**2 + 256 * 3 * 5)


def test_single_stage_detector():
    """Two towers of four convolutions, 9 anchors of 80 classes, on every level."""
    result = detector_cost('retinanet_r50_fpn', 64, 96)
    cells = sum(h * w for h, w in ((8, 12), (4, 6), (2, 3), (1, 2), (1, 1)))
    head = cells * 9 * 256 * (2 * 4 * 256 + 9 * (80 + 4))
    assert result.modules['bbox_head'].macs == head


@pytest.mark.slow
@pytest.mark.parametrize(
    ('config', 'args', 'shape', 'params', 'giga'),
    [
        ('imagenet/uniformer-small_8xb128_in1k', ('--shape', 192), [192, 192], 21_545_256, 2.64),
        (
            'kinetics/uniformer-small_in1k-pre_8x8x1_8xb16-100e_kinetics400-rgb',
            *((), [8, 224, 224], 21_400_400, 17.6),
        ),
    ],
)
def test_tool(run_tool, repo_root, config, args, shape, params, giga):
    """Its JSON is all that it prints."""
    path = repo_root / f'configs/{config}.py'
    result = run_tool('tools/analysis/get_flops.py', path, *args, '--json', '--depth', 1)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report['shape'], report['params']) == (shape, params)
    assert report['macs'] / 1e9 == pytest.approx(giga, rel=0.01)
    assert sum(m['macs'] for m in report['modules'].values()) == report['macs']


@pytest.mark.parametrize(
    ('scope', 'entries', 'shape'),
    [
        ('mmpose', dict(codec=dict(input_size=(192, 256))), (256, 192)),
        ('mmpretrain', dict(test_dataloader=dict(dataset=dict(pipeline=[CROP]))), (64, 64)),
        (
            'mmaction',
            dict(test_dataloader=dict(dataset=dict(pipeline=[FRAMES, CROP]))),
            (8, 64, 64),
        ),
        ('mmaction', {}, (16, 224, 224)),
        ('mmdet', {}, (800, 1280)),
        ('mmseg', {}, (512, 2048)),
    ],
)
def test_size_of_a_config(scope, entries, shape):
    """Its own, or the papers'."""
    cfg = Config(dict(entries, default_scope=scope))
    library = cli.library_of(cfg)
    assert (library.own_size(cfg) or library.paper_size) == shape
