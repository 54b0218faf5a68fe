"""The configs of docs/own_data.md, and small sets of real photographs in its layouts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib.cbook
import numpy as np
from mini.clips import write_video
from mini.coco_files import CocoFile
from PIL import Image
from sklearn.datasets import load_sample_images
from small_data import corners

PAGE = (Path(__file__).parents[2] / 'docs/own_data.md').read_text()
SPLITS = ('train', 'val')
SIZE = (96, 80)  # width and height of a piece
COUNT = 4  # pieces of a split
IMAGES = dict(train=35, val=10)  # more than the batch of the page


def pieces(split: str, count: int = COUNT, size: tuple[int, int] = SIZE) -> Iterator[np.ndarray]:
    """Pieces of three photographs, a temple, a flower and a portrait: (H, W, 3) uint8."""
    portrait = Image.open(matplotlib.cbook.get_sample_data('grace_hopper.jpg'))
    photos = [*load_sample_images().images, np.asarray(portrait)]
    rng = np.random.default_rng(SPLITS.index(split))
    width, height = size
    for number in range(count):
        photo = photos[number % len(photos)]
        top = rng.integers(photo.shape[0] - height)
        left = rng.integers(photo.shape[1] - width)
        yield photo[top : top + height, left : left + width]


def make_images(root: Path, classes: Sequence[str]) -> None:
    """A folder for each class in ``train`` and ``val``."""
    for split in SPLITS:
        for number, image in enumerate(pieces(split, IMAGES[split])):
            folder = root / split / classes[number % len(classes)]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f'{number}.jpg')


def make_objects(root: Path, classes: Sequence[str]) -> None:
    """COCO's files of boxes and polygons."""
    for split in SPLITS:
        file = CocoFile(root, split)
        for number, image in enumerate(pieces(split), 1):
            file.add_image(number, image / 255)
            for category in range(1, len(classes) + 1):
                file.add_object(number, category, [corners(20 * category, 10, 36, 50)])
        categories = [dict(id=i, name=name) for i, name in enumerate(classes, 1)]
        file.write('instances', 'Pieces of photographs', categories)


def make_regions(root: Path, num_classes: int) -> None:
    """A photograph and a PNG of numbers for each, from 0, which is no class."""
    for split, name in zip(SPLITS, ('training', 'validation'), strict=True):
        images, labels = (root / kind / name for kind in ('images', 'annotations'))
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number, image in enumerate(pieces(split)):
            Image.fromarray(image).save(images / f'{number}.jpg')
            label = np.repeat(np.arange(num_classes + 1, dtype=np.uint8), 40)[: SIZE[0]]
            Image.fromarray(np.tile(label, (SIZE[1], 1))).save(labels / f'{number}.png')


def make_poses(root: Path, num_keypoints: int, category: str) -> None:
    """COCO's files of keypoints, two in each image."""
    rng = np.random.default_rng(0)
    for split in SPLITS:
        file = CocoFile(root, split)
        for number, image in enumerate(pieces(split), 1):
            file.add_image(number, image / 255)
            for left in (5, 50):
                points = np.array([left, 10]) + rng.random((num_keypoints, 2)) * (40, 60)
                keypoints = np.hstack([points, np.full((num_keypoints, 1), 2)]).ravel().tolist()
                labels = dict(num_keypoints=num_keypoints, keypoints=keypoints)
                file.add_object(number, 1, [corners(left, 10, 40, 60)], **labels)
        file.write('person_keypoints', 'Pieces of photographs', [dict(id=1, name=category)])


def make_clips(root: Path, num_classes: int) -> None:
    """Videos of a window that moves over a photograph, and their lists."""
    for split in SPLITS:
        lines = []
        for number, image in enumerate(pieces(split, num_classes, (128, 80))):
            frames = np.stack([image[:, 2 * step : 2 * step + 64] for step in range(16)])
            write_video(root / f'videos/{split}{number}.mp4', frames)
            lines.append(f'{split}{number}.mp4 {number}\n')
        (root / f'{split}.txt').write_text(''.join(lines))


DIMS = '[16,32,32,64]'
TINY = (
    f'model.backbone.depths=[1,1,1,1] model.backbone.embed_dims={DIMS} model.backbone.head_dim=16'
)
LOADERS = ' '.join(
    f'{split}_dataloader.{option}'
    for split in ('train', 'val', 'test')
    for option in ('num_workers=0', 'persistent_workers=False')
)


class Task(NamedTuple):
    """A section of the page.

    Attributes:
        config: Name of its config.
        data: Makes the data of the config's folder.
        sizes: Options that make the model and its inputs small, for 4 samples.
    """

    config: str
    data: Callable[[Path], None]
    sizes: str


TASKS = {
    task.config: task
    for task in (
        Task(
            'flowers',
            partial(make_images, classes='abcde'),
            'model.head.in_channels=64 train_cfg.max_epochs=1 '
            'train_dataloader.dataset.pipeline.1.scale=64 '
            'val_dataloader.dataset.pipeline.2.crop_size=64',
        ),
        Task(
            'parts',
            partial(make_objects, classes=('bolt', 'nut')),
            f'model.neck.in_channels={DIMS} model.roi_head.bbox_head.fc_out_channels=16 '
            'model.backbone.with_cp=False model.roi_head.mask_head.conv_out_channels=16 '
            'model.train_cfg.rpn_proposal.max_per_img=20 model.train_cfg.rcnn.sampler.num=16 '
            'model.test_cfg.rpn.max_per_img=20 model.test_cfg.rcnn.max_per_img=2 '
            'train_dataloader.dataset.pipeline.2.scale=(96,80) '
            'val_dataloader.dataset.pipeline.1.scale=(96,80) train_cfg.max_epochs=1',
        ),
        Task(
            'fields',
            partial(make_regions, num_classes=2),
            f'model.neck.in_channels={DIMS} train_cfg.max_iters=1 train_cfg.val_interval=1 '
            'train_dataloader.dataset.pipeline.2.scale=(96,80) '
            'train_dataloader.dataset.pipeline.3.crop_size=(64,64) '
            'val_dataloader.dataset.pipeline.1.scale=(96,80) model.data_preprocessor.size=(64,64)',
        ),
        *(
            Task(
                name,
                partial(make_poses, num_keypoints=count, category=category),
                'model.head.in_channels=64 train_cfg.max_epochs=1 train_cfg.val_interval=1 '
                'train_dataloader.batch_size=8',
            )
            for name, count, category in (('workers', 17, 'person'), ('horses', 5, 'horse'))
        ),
        Task(
            'gestures',
            partial(make_clips, num_classes=5),
            'model.cls_head.in_channels=64 train_cfg.max_epochs=1 '
            'train_dataloader.dataset.pipeline.1.clip_len=4 '
            'val_dataloader.dataset.pipeline.1.clip_len=4',
        ),
    )
}


PAGE_CONFIGS = dict(re.findall(r'```python\n# (\w+)\.py\n(.*?)```', PAGE, re.DOTALL))


def write_project(task: Task, folder: Path, change: Callable[[str], str] = str) -> None:
    """Write the data of a section, and all configs of the page, that of the section changed."""
    task.data(folder / re.search(r'data/\w+', PAGE_CONFIGS[task.config])[0])
    for name, text in PAGE_CONFIGS.items():
        (folder / f'{name}.py').write_text(change(text) if name == task.config else text)


def short_run(task: Task) -> list[str]:
    """The options of a short run without weights."""
    return f'{TINY} {LOADERS} model.backbone.init_cfg=None {task.sizes}'.split()
