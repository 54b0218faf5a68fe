"""COCO data small enough to make in a test, and detection configs shrunk to its size."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image
from small_runs import shrink_pipelines, stop_workers

# (width, height) of the images of each split; the last one has no object.
SIZES = ((160, 120), (120, 160), (200, 90), (160, 120))
CLASSES = ('square', 'bar')


def make_coco(
    root: Path,
    sizes: Sequence[tuple[int, int]] = SIZES,
    classes: Sequence[str] = CLASSES,
    num_empty: int = 1,
) -> Path:
    """Write bright rectangles on noise with their boxes and polygons, as train2017 and val2017.

    Args:
        root: Folder to write to.
        sizes: Width and height of every image.
        classes: Category names; their ids are 3, 13, 23, ...
        num_empty: How many of the images, from the end, have no object.
    """
    rng = np.random.default_rng(0)
    (root / 'annotations').mkdir(parents=True)
    for split in ('train2017', 'val2017'):
        (root / split).mkdir()
        images, annotations = [], []
        for i, (width, height) in enumerate(sizes):
            pixels = rng.integers(0, 120, (height, width, 3), dtype=np.uint8)
            for label in range(2 if i < len(sizes) - num_empty else 0):
                w, h = max(width // 4, 1), max(height // (4 - 2 * label), 1)
                x, y = label * (width // 2), height // 8
                pixels[y : y + h, x : x + w] = (250, 200 * label, 40)
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=i,
                        category_id=3 + 10 * (label % len(classes)),
                        bbox=[x, y, w, h],
                        area=w * h,
                        segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
                        iscrowd=0,
                    )
                )
            Image.fromarray(pixels).save(root / split / f'{i:012d}.jpg')
            images.append(dict(id=i, file_name=f'{i:012d}.jpg', width=width, height=height))
        categories = [dict(id=3 + 10 * i, name=name) for i, name in enumerate(classes)]
        content = dict(images=images, annotations=annotations, categories=categories)
        (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))
    return root


def use_data(cfg: Config, root: Path, classes: Sequence[str] = CLASSES) -> None:
    """Let a detection config read data made by :func:`make_coco`, without workers."""
    stop_workers(cfg)
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.update(data_root=f'{root}/', metainfo=dict(classes=tuple(classes)))
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator.ann_file = str(root / 'annotations/instances_val2017.json')
    roi_head = cfg.model.roi_head
    boxes = roi_head.bbox_head if isinstance(roi_head.bbox_head, list) else [roi_head.bbox_head]
    for head in (*boxes, roi_head.mask_head):
        head.num_classes = len(classes)


def shrink(cfg: Config, by: int = 8) -> None:
    """Divide every image size of the pipelines and the numbers of regions; no weights."""
    shrink_pipelines(cfg, by)
    for stage in _as_list(cfg.model.train_cfg.rcnn):
        stage.sampler.num = 512 // by**2
    cfg.model.train_cfg.rpn_proposal.max_per_img = 50
    cfg.model.test_cfg.rpn.max_per_img = 20
    cfg.model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=5)


def shrink_backbone(cfg: Config) -> None:
    """A backbone with every kind of block and few channels."""
    dims = [16, 32, 32, 64]
    cfg.model.backbone.update(
        depths=(1, 1, 4, 1), embed_dims=dims, head_dim=16, init_cfg=None, with_cp=(0, 0, 4, 0)
    )
    cfg.model.neck.in_channels = dims


def _as_list(value: Any) -> list:
    return value if isinstance(value, list) else [value]
