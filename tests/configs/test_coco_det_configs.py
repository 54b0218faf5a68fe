"""What the detection configs build, and that they train and test; what they say is a recipe."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from paper_configs import (
    build,
    built_model,
    check_gradients,
    check_training,
    learning_rates,
    leaves,
    norms_of_backbone,
    read_config,
    slow_unless,
    stock_config,
    weight_decay,
)
from small_data import make_coco
from small_runs import make_runner, shrink, shrink_model, use_data
from torch import nn

pytest.importorskip('mmdet')

LEAVES = leaves('coco_det')
MASK = 'coco_det/mask-rcnn_uniformer-s-h14_fpn_amp-1x_coco'
MASK_3X = 'coco_det/mask-rcnn_uniformer-s-h14_fpn_amp-ms-crop-3x_coco'
MASK_XXS = 'coco_det/mask-rcnn_uniformer-xxs_fpn_1x_coco'
CASCADE = 'coco_det/cascade-mask-rcnn_uniformer-s-h14_fpn_4conv1fc-giou_amp-ms-crop-3x_coco'


def test_padding_comes_after_normalising() -> None:
    preprocessor = build(read_config(MASK).model.data_preprocessor, 'mmdet')
    assert preprocessor.pad_value == 0
    image = torch.full((3, 33, 40), 128, dtype=torch.uint8)
    padded = preprocessor(dict(inputs=[image]), training=False)['inputs']
    assert padded.shape == (1, 3, 64, 64)
    assert padded[0, 0, 0, 0].item() == pytest.approx((128 - 123.675) / 58.395, rel=1e-5)
    assert not padded[..., 33:, :].any()


@pytest.mark.parametrize('name', [MASK, CASCADE], ids=['mask-rcnn', 'cascade'])
def test_heads_are_those_of_mmdet(name) -> None:
    """But for the box heads of the cascade, and our type that cuts the regions out."""
    kind = name.split('/')[1].split('_')[0]
    ours = read_config(name).model.to_dict()
    stock = stock_config('mmdet', f'_base_/models/{kind}_r50_fpn.py').model.to_dict()
    for model in (ours, stock):
        model['roi_head'].pop('bbox_head' if name == CASCADE else 'absent', None)
        for branch in ('bbox', 'mask'):
            extractor = model['roi_head'][f'{branch}_roi_extractor']
            assert extractor.pop('type').endswith('RoIExtractor')
    for part in ('type', 'data_preprocessor', 'rpn_head', 'roi_head', 'train_cfg', 'test_cfg'):
        assert ours[part] == stock[part]


def test_only_the_box_heads_of_the_cascade_are_synchronised() -> None:
    modules = built_model(CASCADE).named_modules()
    assert {name for name, module in modules if isinstance(module, nn.SyncBatchNorm)} == {
        f'roi_head.bbox_head.{i}.shared_convs.{j}.bn' for i in range(3) for j in range(4)
    }


@pytest.mark.parametrize(
    ('name', 'num_free'), [(MASK, 88), (MASK.replace('-s-', '-b-'), 176), (CASCADE, 88)]
)
def test_weight_decay_of_every_parameter(name, num_free) -> None:
    """All norms of the backbone are free, weights and biases; nothing in neck and heads is."""
    model = built_model(name)
    decay = weight_decay(model, read_config(name))
    free = {key for key, value in decay.items() if value == 0}
    assert set(decay.values()) == {0, 0.05}
    assert free == norms_of_backbone(model) == {key for key in decay if 'norm' in key}
    assert len(free) == num_free


@pytest.mark.parametrize(
    ('name', 'num_free', 'num_all'),
    [(MASK_XXS, 82, 283), (MASK_XXS.replace('xxs', 'xs'), 94, 327)],
)
def test_weight_decay_of_light_networks(name, num_free, num_all) -> None:
    """The BatchNorms of their stem are not free: "norm" is no part of their names."""
    model = built_model(name)
    decay = weight_decay(model, read_config(name))
    free = {key for key, value in decay.items() if value == 0}
    stem = {key for key in decay if key.startswith('backbone.patch_embed1.')}
    assert free == norms_of_backbone(model) - stem
    assert (len(free), len(list(model.backbone.parameters()))) == (num_free, num_all)
    assert decay['backbone.cls_token'] == 0.05


@pytest.mark.parametrize(
    ('name', 'epochs', 'steps'),
    [(MASK, 12, (8, 11)), (MASK_3X, 36, (27, 33)), (CASCADE, 36, (27, 33))],
)
def test_schedule(name, epochs, steps) -> None:
    """mmcv 1.x: the warm-up from 0.001 scales a schedule that runs from the first iteration."""
    length = 100
    expected = [
        1e-4
        * 0.1 ** sum(i // length >= step for step in steps)
        * (1 - (1 - min(i / 500, 1)) * (1 - 0.001))
        for i in range(epochs * length)
    ]
    rates = learning_rates(read_config(name), epochs * length, length)
    assert rates == pytest.approx(expected, rel=1e-9)


def test_multi_scale_policy_at_work() -> None:
    """What it does to a 640 x 480 image: both branches, every short side, crops in between."""
    from mmdet.registry import TRANSFORMS

    cfg = read_config(MASK_3X)
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


@pytest.mark.parametrize(
    'name', slow_unless({Path(MASK).stem}, [MASK, MASK.replace('-s-', '-b-'), MASK_XXS, CASCADE])
)
def test_gradients_reach_every_parameter(name) -> None:
    from mmdet.testing import demo_mm_inputs

    cfg = read_config(name)
    shrink(cfg)
    cfg.model.backbone.drop_path_rate = 0.0
    cfg.model.train_cfg.rpn.allowed_border = -1  # large anchors all cross that of a small image
    model = revert_sync_batchnorm(build(cfg.model, 'mmdet'))
    data = demo_mm_inputs(2, [[3, 96, 128]] * 2, num_items=[3, 2], num_classes=80, with_mask=True)
    check_gradients(model, data)


@pytest.fixture(scope='module')
def coco(tmp_path_factory) -> Path:
    return make_coco(tmp_path_factory.mktemp('coco') / 'data')


FULL_SIZE = {Path(name).stem for name in (MASK_3X, CASCADE)}


@pytest.mark.parametrize('path', slow_unless({Path(MASK_3X).stem}, LEAVES))
def test_trains_and_tests(path: Path, coco: Path, tmp_path: Path) -> None:
    """One epoch of two steps through the whole recipe, at an eighth of the size, in float32.

    Two run whole, the others with few channels.
    """
    cfg = read_config(path)
    cfg.train_cfg.max_epochs = 1
    use_data(cfg, coco)
    shrink(cfg)
    if path.stem not in FULL_SIZE:
        shrink_model(cfg)
    runner = make_runner(cfg, tmp_path)
    assert len(runner.train_dataloader) == 2
    check_training(runner, steps=2)
    assert {'coco/bbox_mAP', 'coco/segm_mAP'} <= runner.test().keys()
