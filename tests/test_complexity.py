"""Parameters and multiply-adds against the published and the closed-form counts."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from paper_configs import build
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


def test_large_classifier():
    """Of which there is no config; the others are counted in tests/configs."""
    with torch.device('meta'):  # no time for values that nobody reads
        model = Classifier('large')
    result = cost(model, 224, 224)
    assert result.params == result.trainable == 99_462_888
    assert result.macs / 1e9 == pytest.approx(19.682, rel=5e-3)


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
    pytest.importorskip('mmaction')
    head = dict(type='I3DHead', num_classes=400, in_channels=512)
    for arch, expected in params.items():
        backbone = dict(type='uniformer_mm.UniFormer3D', arch=arch, **options)
        with torch.device('meta'):
            model = build(dict(type='Recognizer3D', backbone=backbone, cls_head=head), 'mmaction')
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
            windows, tokens = 1, n
            if stage == 2 and (style == 'window' or (style == 'hybrid' and (i + 1) % 4)):
                windows, tokens = -(-height // window) * -(-width // window), window**2
            attention = tokens * 4 * dim**2 + 2 * tokens**2 * dim
            total += n * (9 * dim + 8 * dim**2) + windows * attention
    return total


def test_every_way_of_running_attention_counts_the_same():
    expected = cost(Classifier('tiny'), 64, 96)
    for options in ({}, dict(fused_attn=False), dict(with_cp=True)):
        for device in ('meta', 'cpu'):
            assert cost(Classifier('tiny', **options), 64, 96, device=device) == expected


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
    model = nn.ModuleDict(dict(part=nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 6))))
    x = torch.zeros(2, 4, device='meta')
    result = count_complexity(model, lambda m: m['part'].forward(x))  # no hook of `part` runs
    assert result.modules['part'].macs == result.macs == 2 * (4 * 5 + 5 * 6)


def test_wrong_task_or_shape():
    for scope, shape, message in (
        ('mmyolo', (64, 64), 'default_scope'),
        ('mmaction', (64, 64), 'takes a shape'),
        ('mmseg', (64,), 'takes a shape'),
    ):
        with pytest.raises(ValueError, match=message):
            cli.task_forward(scope, shape)


CELLS_RPN = sum(h * w for h, w in ((16, 24), (8, 12), (4, 6), (2, 3), (1, 2)))
CELLS_RETINA = sum(h * w for h, w in ((8, 12), (4, 6), (2, 3), (1, 2), (1, 1)))


@pytest.mark.parametrize(
    ('name', 'heads'),
    [
        (
            'mask-rcnn_r50_fpn',  # 1000 regions of 7 x 7 for boxes, 100 of 14 x 14 for masks
            {
                'rpn_head': CELLS_RPN * (9 * 256**2 + 256 * 3 * 5),
                'roi_head.bbox_head': 1000 * (49 * 256 * 1024 + 1024**2 + 1024 * (81 + 80 * 4)),
                'roi_head.mask_head': 100 * (196 * 4 * 10 * 256**2 + 784 * 256 * 80),
            },
        ),
        (
            'retinanet_r50_fpn',  # two towers of four convolutions, 9 anchors of 80 classes
            {'bbox_head': CELLS_RETINA * 9 * 256 * (2 * 4 * 256 + 9 * (80 + 4))},
        ),
    ],
)
def test_heads_of_detectors(name, heads):
    """Of mmdet's own base models, counted by hand."""
    mmdet = pytest.importorskip('mmdet')
    file = Path(mmdet.__file__).parent / f'.mim/configs/_base_/models/{name}.py'
    with torch.device('meta'):
        model = build(Config.fromfile(file).model, 'mmdet')
    modules = count_complexity(model, DETECTOR.forward((64, 96))).modules
    assert {head: modules[head].macs for head in heads} == heads


@pytest.mark.slow
def test_tool(run_tool, repo_root):
    """Its JSON is all that it prints."""
    path = repo_root / 'configs/imagenet/uniformer-small_8xb128_in1k.py'
    args = ('--shape', 192, '--json', '--depth', 1)
    result = run_tool('tools/analysis/get_flops.py', path, *args)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report['shape'], report['params']) == ([192, 192], 21_545_256)
    assert report['macs'] / 1e9 == pytest.approx(2.64, rel=0.01)
    assert sum(m['macs'] for m in report['modules'].values()) == report['macs']


CROP = dict(type='CenterCrop', crop_size=64)
FRAMES = dict(type='uniformer_mm.DenseClipSample', clip_len=8)


def evaluated_on(*pipeline: dict) -> dict:
    return dict(test_dataloader=dict(dataset=dict(pipeline=pipeline)))


@pytest.mark.parametrize(
    ('scope', 'entries', 'shape'),
    [
        ('mmpose', dict(codec=dict(input_size=(192, 256))), (256, 192)),
        ('mmpretrain', evaluated_on(CROP), (64, 64)),
        ('mmaction', evaluated_on(FRAMES, CROP), (8, 64, 64)),
        ('mmaction', evaluated_on(FRAMES, dict(CROP, type='uniformer_mm.FirstCrop')), (8, 64, 64)),
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
