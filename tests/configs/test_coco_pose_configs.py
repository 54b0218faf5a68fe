"""What the pose configs build, and that they train and test; what they say is a recipe."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from paper_configs import (
    build,
    built_model,
    check_gradients,
    check_training,
    learning_rates,
    leaves,
    read_config,
    slow_unless,
    stock_config,
    weight_decay,
)
from small_data import make_pose
from small_runs import make_runner, shrink, shrink_model, use_data
from torch import nn

pytest.importorskip('mmpose')

LEAVES = leaves('coco_pose')
SMALL = 'coco_pose/td-hm_uniformer-s-8xb128-210e_coco-256x192'
STOCK = 'body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py'


@pytest.mark.parametrize('size', [(256, 192), (384, 288), (448, 320)])
@pytest.mark.parametrize('style', ['global', 'window', 'hybrid'])
def test_maps_of_every_input_size(size, style) -> None:
    """A tuple of one map; 448 x 320 has a Stage-3 map of 28 x 20, which windows of 14 pad."""
    backbone = read_config(SMALL).model.backbone
    backbone.update(depths=(1, 1, 4, 1), stage3_style=style, init_cfg=None)
    model = build(backbone, 'mmpose').eval()
    seen = []
    model.blocks3[0].register_forward_hook(lambda _, args, out: seen.append(tuple(out.shape)))
    with torch.no_grad():
        maps = model(torch.rand(2, 3, *size))
    assert isinstance(maps, tuple)
    assert [tuple(m.shape) for m in maps] == [(2, 512, size[0] // 32, size[1] // 32)]
    assert all(m.is_contiguous() for m in maps)
    (shape,) = seen
    assert {size[0] // 16, size[1] // 16} <= set(shape)


def test_head() -> None:
    head = built_model(SMALL).head
    deconvs = [m for m in head.deconv_layers if isinstance(m, nn.ConvTranspose2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size) for m in deconvs] == [
        (channels, 256, (4, 4)) for channels in (512, 256, 256)
    ]
    norms = [type(m) for m in head.deconv_layers if 'Norm' in type(m).__name__]
    assert norms == [nn.BatchNorm2d] * 3, 'never synchronised'
    assert (head.final_layer.kernel_size, head.final_layer.out_channels) == ((1, 1), 17)
    assert not head.decoder.unbiased
    assert (head.loss_module.loss_weight, head.loss_module.skip_empty_channel) == (1.0, False)


def test_loaders_and_head_are_those_of_mmpose() -> None:
    """But for what the recipe states: batch, augmentation, fresh workers, channels."""
    ours, stock = read_config(SMALL), stock_config('mmpose', STOCK)
    for cfg in (ours, stock):
        cfg.model.head.pop('in_channels')
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.pop('batch_size')
        cfg.train_dataloader.pop('persistent_workers')
        cfg.train_dataloader.dataset.pop('pipeline')
        checked = cfg is ours  # the same data set and metric, on annotations that are looked at
        for node in (cfg.train_dataloader.dataset, cfg.val_dataloader.dataset, cfg.val_evaluator):
            assert (node.pop('type')[:20] == 'uniformer_mm.Checked') == checked
    for part in ('data_preprocessor', 'head', 'test_cfg'):
        assert ours.model[part] == stock.model[part]
    for part in ('train_dataloader', 'val_dataloader', 'val_evaluator', 'codec'):
        assert ours[part] == stock[part]


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_nothing_is_exempt_from_weight_decay(path) -> None:
    assert set(weight_decay(built_model(path), read_config(path)).values()) == {0.01}


def test_schedule() -> None:
    """mmcv 1.x: the warm-up from 0.001 scales a schedule that runs from the first iteration."""
    length = 20
    expected = [
        2e-3
        * 0.1 ** sum(i // length >= step for step in (170, 200))
        * (1 - (1 - min(i / 500, 1)) * (1 - 0.001))
        for i in range(210 * length)
    ]
    rates = learning_rates(read_config(SMALL), 210 * length, length)
    assert rates == pytest.approx(expected, rel=1e-9)


def test_scores_are_computed_as_the_authors_did(coco) -> None:
    """The libraries' defaults, which the configs leave as they are."""
    from mmpose.evaluation import CocoMetric
    from mmpose.registry import TRANSFORMS

    cfg = read_config(SMALL)
    settings = {k: v for k, v in cfg.val_evaluator.items() if k not in ('type', 'ann_file')}
    metric = CocoMetric(str(coco / 'annotations/person_keypoints_val2017.json'), **settings)
    assert (metric.nms_mode, metric.nms_thr) == ('oks_nms', 0.9)
    assert (metric.score_mode, metric.keypoint_score_thr) == ('bbox_keypoint', 0.2)
    assert metric.use_area
    with DefaultScope.overwrite_default_scope('mmpose'):
        train, val = (
            [TRANSFORMS.build(step) for step in loader.dataset.pipeline]
            for loader in (cfg.train_dataloader, cfg.val_dataloader)
        )
    assert (train[3].prob, train[4].min_total_keypoints) == (0.5, 9)
    assert val[1].padding == 1.25
    assert not val[2].use_udp


@pytest.fixture(scope='module')
def coco(tmp_path_factory) -> Path:
    return make_pose(tmp_path_factory.mktemp('coco') / 'data')


FAST = {'td-hm_uniformer-s-8xb64-210e_coco-448x320'}


@pytest.mark.parametrize('path', slow_unless(FAST, LEAVES))
def test_trains_and_tests(path: Path, coco: Path, tmp_path: Path) -> None:
    """One epoch of three steps through the whole recipe, most with few channels, in float32."""
    cfg = read_config(path)
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    use_data(cfg, coco)
    shrink(cfg, by=3 if tuple(cfg.codec.input_size) == (288, 384) else 2)  # a multiple of 32
    if path.stem not in FAST:
        shrink_model(cfg)
    cfg.model.backbone.drop_path_rate = 0.0  # a dropped branch has no gradient
    runner = make_runner(cfg, tmp_path)
    assert len(runner.train_dataloader) == 3
    check_gradients(runner.model, next(iter(runner.train_dataloader)))
    check_training(runner, steps=3)
    assert {'coco/AP', 'coco/AP .5', 'coco/AR'} <= runner.test().keys()
