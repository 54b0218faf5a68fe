"""Keypoint data small enough to make in a test, and pose configs shrunk to its size."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image
from small_runs import SPLITS, stop_workers

DETECTIONS = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
# x, y, width, height of the people of one image, and how many of their keypoints are labelled.
PEOPLE = (((10, 8, 40, 90), 17), ((70, 20, 30, 70), 9), ((100, 5, 50, 100), 17))


def make_pose(
    root: Path,
    size: tuple[int, int] = (160, 120),
    people: Sequence[tuple[tuple[float, ...], int]] = PEOPLE,
    num_images: int = 2,
) -> Path:
    """Write noise with annotated people and their detections, as train2017 and val2017.

    Args:
        root: Folder to write to.
        size: Width and height of the images.
        people: Box and number of labelled keypoints of the people of every image.
        num_images: Images of a split.
    """
    rng = np.random.default_rng(0)
    for folder in ('annotations', 'person_detection_results', 'train2017', 'val2017'):
        (root / folder).mkdir(parents=True)
    for split in ('train2017', 'val2017'):
        images, annotations = [], []
        for number in range(1, num_images + 1):
            name = f'{number:012d}.jpg'
            pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / name)
            images.append(dict(id=number, file_name=name, width=size[0], height=size[1]))
            for (x, y, w, h), num_labelled in people:
                points = np.column_stack([x + w * rng.random(17), y + h * rng.random(17)])
                flags = np.where(np.arange(17) < num_labelled, 2, 0)[:, None]
                keypoints = np.hstack([points * (flags > 0), flags])
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=number,
                        category_id=1,
                        bbox=[x, y, w, h],
                        area=w * h / 2,
                        iscrowd=0,
                        num_keypoints=num_labelled,
                        keypoints=keypoints.ravel().tolist(),
                    )
                )
        content = dict(
            images=images, annotations=annotations, categories=[dict(id=1, name='person')]
        )
        (root / f'annotations/person_keypoints_{split}.json').write_text(json.dumps(content))
    detections = [
        dict(image_id=a['image_id'], category_id=1, bbox=a['bbox'], score=0.9) for a in annotations
    ]
    (root / DETECTIONS).write_text(json.dumps(detections))
    return root


def use_data(cfg: Config, root: Path) -> None:
    """Let a pose config read data made by :func:`make_pose`, without workers."""
    stop_workers(cfg)
    for split in SPLITS:
        loader = cfg[f'{split}_dataloader']
        loader.batch_size = 2
        loader.dataset.data_root = str(root)
        if split != 'train':
            loader.dataset.bbox_file = str(root / DETECTIONS)
            cfg[f'{split}_evaluator'].ann_file = str(
                root / 'annotations/person_keypoints_val2017.json'
            )


def shrink(cfg: Config, by: int) -> None:
    """Divide the sizes of input and heatmap, and the channels of the head; no weights."""
    codec = cfg.codec
    for key in ('input_size', 'heatmap_size'):
        codec[key] = tuple(side // by for side in codec[key])
    cfg.model.head.update(decoder=codec, deconv_out_channels=(32, 32, 32))
    for split in SPLITS:
        for step in cfg[f'{split}_dataloader'].dataset.pipeline:
            if 'input_size' in step:
                step.input_size = codec.input_size
            if 'encoder' in step:
                step.encoder = codec
    cfg.model.backbone.init_cfg = None
    cfg.default_hooks.checkpoint.update(interval=-1, save_last=False, save_best=None)
