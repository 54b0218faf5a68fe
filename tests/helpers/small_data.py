"""Data that a test chooses the sizes and labels of, in the files of the built-in data sets."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mini.clips import RATE
from mini.coco_files import CocoFile
from mini.digits import FOLDERS
from mini.people import DETECTIONS
from PIL import Image

# (width, height); the last image of COCO has no object, no side of ADE20K is a multiple of 32.
SIZES = ((160, 120), (120, 160), (200, 90), (160, 120))
ADE_SIZES = ((90, 70), (70, 90), (150, 66), (75, 75))
CLASSES = ('square', 'bar')
# x, y, width, height of the people of one image, and how many of their keypoints are labelled.
PEOPLE = (((10, 8, 40, 90), 17), ((70, 20, 30, 70), 9), ((100, 5, 50, 100), 17))


def make_coco(
    root: Path,
    sizes: Sequence[tuple[int, int]] = SIZES,
    classes: Sequence[str] = CLASSES,
    num_empty: int = 1,
) -> Path:
    """Write bright rectangles on noise with their boxes and polygons, as train2017 and val2017.

    The ids of ``classes`` are 3, 13, 23, ...; the last ``num_empty`` images have no object.
    """
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        file = CocoFile(root, split)
        for i, (width, height) in enumerate(sizes):
            image = rng.random((height, width, 3)) / 2
            for label in range(2 if i < len(sizes) - num_empty else 0):
                w, h = max(width // 4, 1), max(height // (4 - 2 * label), 1)
                x, y = label * (width // 2), height // 8
                image[y : y + h, x : x + w] = (1, 0.8 * label, 0.2)
                file.add_object(i, 3 + 10 * (label % len(classes)), [corners(x, y, w, h)])
            file.add_image(i, image)
        categories = [dict(id=3 + 10 * i, name=name) for i, name in enumerate(classes)]
        file.write('instances', 'Rectangles', categories)
    return root


def make_pose(
    root: Path,
    size: tuple[int, int] = (160, 120),
    people: Sequence[tuple[tuple[float, ...], int]] = PEOPLE,
    num_images: int = 2,
) -> Path:
    """Write images of noise with ``people`` in each, and their detections."""
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        file = CocoFile(root, split)
        for number in range(1, num_images + 1):
            file.add_image(number, rng.random((*size[::-1], 3)))
            for (x, y, w, h), num_labelled in people:
                flags = np.where(np.arange(17) < num_labelled, 2, 0)[:, None]
                points = np.array([x, y]) + rng.random((17, 2)) * (w, h)
                keypoints = np.hstack([points * (flags > 0), flags]).ravel().tolist()
                labels = dict(num_keypoints=num_labelled, keypoints=keypoints)
                file.add_object(number, 1, [corners(x, y, w, h)], **labels)
        file.write('person_keypoints', 'Nobody', [dict(id=1, name='person')])
    keys = ('image_id', 'category_id', 'bbox')
    detections = [{key: a[key] for key in keys} | dict(score=0.9) for a in file.annotations]
    (root / DETECTIONS).parent.mkdir()
    (root / DETECTIONS).write_text(json.dumps(detections))
    return root


def corners(x: float, y: float, width: float, height: float) -> np.ndarray:
    """A rectangle as a polygon."""
    return np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])


def make_ade(root: Path, numbers: tuple[int, int, int] = (1, 150, 255)) -> Path:
    """Write three coloured rectangles on noise and their numbers, on 0 (other)."""
    rng = np.random.default_rng(0)
    for split in FOLDERS.values():
        images, annotations = (root / kind / split for kind in ('images', 'annotations'))
        images.mkdir(parents=True)
        annotations.mkdir(parents=True)
        for i, (width, height) in enumerate(ADE_SIZES):
            pixels = rng.integers(0, 120, (height, width, 3), dtype=np.uint8)
            label = np.zeros((height, width), np.uint8)
            for place, number in enumerate(numbers):
                left = place * width // 3
                box = np.s_[height // 4 :, left : left + width // 4]
                pixels[box], label[box] = (number, 255 - number, 90), number
            Image.fromarray(pixels).save(images / f'{i}.jpg')
            Image.fromarray(label).save(annotations / f'{i}.png')
    return root


def make_label_maps(images: Path, out: Path, num_classes: int) -> None:
    """Write a random map of the five likeliest classes for every image below ``images``."""
    for image in images.glob('*/*'):
        scores_and_classes = [torch.rand(5, 6, 6), torch.randint(num_classes, (5, 6, 6)).float()]
        path = out / image.parent.name / f'{image.stem}.pt'
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(torch.stack(scores_and_classes).half(), path)


def moving_bar(count: int, shape: tuple[int, int] = (48, 64), seed: int = 0) -> np.ndarray:
    """Frames with a bright bar that is one column further in each."""
    frames = np.random.default_rng(seed).integers(0, 90, (1, *shape, 3), dtype=np.uint8)
    frames = frames.repeat(count, axis=0)
    for number, frame in enumerate(frames):
        left = 2 * number % (shape[1] - 8)
        frame[:, left : left + 8] = (250, 220, 40)
    return frames


def turn(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Let an mp4 show pixel (x, y) at (ax + cy, bx + dy), by its display matrix (a, b, c, d)."""
    content = bytearray(path.read_bytes())
    place = content.index(b'tkhd') + 44
    a, b, c, d = (value << 16 for value in matrix)
    content[place : place + 36] = struct.pack('>9i', a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def show_part(path: Path, first: int, count: int) -> None:
    """Let the edit list of an mp4 that ``write_video`` wrote show ``count`` frames only."""
    content = bytearray(path.read_bytes())
    (units,) = struct.unpack_from('>I', content, content.index(b'mdhd') + 16)
    place = content.index(b'elst') + 12  # duration in ms, start in units of the track
    (start,) = struct.unpack_from('>i', content, place + 4)
    struct.pack_into('>Ii', content, place, count * 1000 // RATE, start + first * units // RATE)
    path.write_bytes(content)
