"""Images of any size and broken data, in the detection configs' own pipelines."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from small_data import CLASSES, SIZES, make_coco
from small_runs import make_runner, shrink, shrink_model, use_data

from uniformer_mm import cli

pytest.importorskip('mmdet')

MASK = 'mask-rcnn_uniformer-s-h14_fpn_amp-ms-crop-3x_coco'
CASCADE = 'cascade-mask-rcnn_uniformer-s-h14_fpn_4conv1fc-giou_amp-ms-crop-3x_coco'
BOTH = pytest.mark.parametrize('name', [MASK, pytest.param(CASCADE, marks=pytest.mark.slow)])


@pytest.fixture
def make_cfg(repo_root, tmp_path):
    """A function that makes data and a config for it: a leaf with a tiny backbone, no weights."""

    def make(
        sizes: Sequence[tuple[int, int]] = SIZES,
        name: str = MASK,
        by: int = 8,
        num_empty: int = 1,
        classes: Sequence[str] = CLASSES,
    ) -> Config:
        root = make_coco(tmp_path / 'coco', sizes, num_empty=num_empty)
        path = repo_root / f'configs/coco_det/{name}.py'
        cfg, _ = cli.load_config(str(path), {'train_cfg.max_epochs': 1})
        use_data(cfg, root, classes)
        shrink(cfg, by)
        shrink_model(cfg)
        return cfg

    return make


def assert_fits(sample, size: tuple[int, int]) -> None:
    """Boxes and masks are those of the image as it is on the disk."""
    width, height = size
    assert sample.ori_shape == (height, width)
    predicted = sample.pred_instances
    assert len(predicted) > 0
    assert predicted.masks.shape[1:] == (height, width)
    limit = torch.tensor([width, height, width, height]) + 1e-3
    assert ((predicted.bboxes >= 0) & (predicted.bboxes <= limit)).all()
    assert predicted.scores.isfinite().all()


SMALL = [(1, 1), (1, 160), (160, 1), (3, 7), (31, 33), (160, 120)]


@BOTH
def test_every_size_is_tested(make_cfg, tmp_path, name) -> None:
    cfg = make_cfg(SMALL, name)
    runner = make_runner(cfg, tmp_path / 'work')
    with torch.no_grad():
        samples = [runner.model.eval().test_step(b)[0] for b in runner.test_dataloader]
    for sample, size in zip(samples, SMALL, strict=True):
        assert_fits(sample, size)
    assert {'coco/bbox_mAP', 'coco/segm_mAP'} <= runner.test().keys()


@pytest.mark.slow
def test_true_test_size(make_cfg, tmp_path) -> None:
    """From 1 x 1 to 1333 x 800, through the paper's own resizing to 1333 x 800."""
    sizes = [(1, 1), (1333, 800), (17, 1000)]
    runner = make_runner(make_cfg(sizes, by=1), tmp_path / 'work')
    shapes = []
    for batch, size in zip(runner.test_dataloader, sizes, strict=True):
        with torch.no_grad():
            (sample,) = runner.model.eval().test_step(batch)
        assert_fits(sample, size)
        shapes.append(sample.batch_input_shape)
    assert shapes == [(800, 800), (800, 1344), (1344, 32)]


@BOTH
def test_every_size_from_32_is_trained(make_cfg, tmp_path, name) -> None:
    """Images below filter_cfg.min_size are left out, as the config says."""
    cfg = make_cfg([(1, 1), (31, 200), (32, 32), (32, 300), (300, 32), (160, 120)], name)
    cfg.train_dataloader.dataset.filter_cfg.filter_empty_gt = False
    cfg.model.train_cfg.rpn.allowed_border = -1  # the anchors are as large as ever
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.train_cfg.max_epochs = 2
    runner = make_runner(cfg, tmp_path / 'work')
    assert len(runner.train_dataloader.dataset) == 4
    runner.train()
    assert runner.iter == 4
    assert all(p.isfinite().all() for p in runner.model.parameters())


@BOTH
def test_images_without_objects_are_trained(make_cfg, tmp_path, name) -> None:
    """They reach every parameter, or distributed training would wait for ever."""
    cfg = make_cfg(SIZES[:2], name, num_empty=2)
    cfg.train_dataloader.dataset.filter_cfg.filter_empty_gt = False
    runner = make_runner(cfg, tmp_path / 'work')
    model = runner.model.train()
    (batch,) = runner.train_dataloader
    assert all(len(sample.gt_instances) == 0 for sample in batch['data_samples'])
    losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def refuse(cfg: Config, work_dir: Path) -> str:
    """Train; return what tools/train.py would print instead of a traceback."""
    with pytest.raises(Exception) as error:  # noqa: B017
        make_runner(cfg, work_dir).train()
    message = cli.messages.explain(error.value)
    assert message is not None, repr(error.value)
    return message


# What is wrong: arguments of make_cfg, what is written over the file of annotations, the message.
WRONG = {
    'no objects': (dict(num_empty=len(SIZES)), {}, 'no image left'),
    'no annotations': ({}, dict(annotations=[]), 'no image left'),
    'other classes': (dict(classes=('cat', 'dog')), {}, 'must give names of the annotation file'),
    'another order': (
        dict(classes=('bar', 'square')),
        {},
        'do not fit.*in the order of the file',
    ),
    'other ids': (
        {},
        dict(categories=[dict(id=3, name='square'), dict(id=7, name='bar')]),
        r'category_id \[13\], which its "categories" do not define',
    ),
}


@pytest.mark.parametrize(('kwargs', 'content', 'expected'), WRONG.values(), ids=WRONG)
def test_wrong_annotations_are_refused(make_cfg, kwargs, content, expected, tmp_path) -> None:
    cfg = make_cfg(**kwargs)
    file = tmp_path / 'coco/annotations/instances_train2017.json'
    file.write_text(json.dumps(json.loads(file.read_text()) | content))
    assert re.search(expected, refuse(cfg, tmp_path / 'work'), re.S)


def test_heads_of_another_number_of_classes(make_cfg, tmp_path) -> None:
    cfg = make_cfg()
    cfg.model.roi_head.bbox_head.num_classes = 80
    with pytest.raises(cli.UserError, match=r'do not agree:(?s:.)* 80  model.roi_head.bbox_head'):
        make_runner(cfg, tmp_path / 'work').train()


@pytest.mark.parametrize(
    'kind',
    ['truncated', *(pytest.param(kind, marks=pytest.mark.slow) for kind in ('empty', 'missing'))],
)
def test_broken_image(make_cfg, tmp_path, kind) -> None:
    """Read by a data worker, whose error arrives as text."""
    cfg = make_cfg()
    cfg.train_dataloader.num_workers = 1
    image = tmp_path / 'coco/train2017/000000000001.jpg'
    if kind == 'missing':
        image.unlink()
    else:
        content = image.read_bytes()
        image.write_bytes(dict(truncated=content[:200], empty=b'')[kind])
    message = refuse(cfg, tmp_path / 'work')
    assert str(image) in message
    assert kind != 'empty' or 'the file is empty' in message
