"""Small sets of pieces of real photographs, in the layouts that docs/own_data.md describes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib.cbook
import numpy as np
from mini.clips import write_video
from mini.coco_files import CocoFile
from PIL import Image
from sklearn.datasets import load_sample_images
from small_data import corners

SPLITS = ('train', 'val')
SIZE = (96, 80)  # width and height of a piece
COUNT = 4  # pieces of a split


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
        for number, image in enumerate(pieces(split, COUNT * len(classes))):
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
