"""Handwritten digits on photographs: to classify, to find and to tell from what is behind them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from .coco_files import CocoFile, outline
from .drawing import Sketch, paint, place, to_picture

SIDE = 80  # of a classified image
EXTENT = (46, 68)  # longer side of its digit

# ADE20K's folders and the numbers in its PNG. 0 is "other": pixels that count for nothing.
FOLDERS = dict(train='training', val='validation')
OTHER = 0
FIRST_DIGIT = 1
FIRST_PHOTO = 11  # one class for each photograph: a park, a garden

EMPTY_EVERY = 25  # as some of COCO's images have no object


class Scene(NamedTuple):
    """An image of several digits: its sides, the longer sides of the digits, and how many."""

    sides: tuple[int, int]
    extent: tuple[int, int]
    digits: tuple[int, int]


COCO = Scene((128, 160), (18, 88), (2, 6))
ADE = Scene((96, 128), (36, 60), (1, 3))


def write_imagenet(root: Path, split: str, total: int, sketch: Sketch) -> None:
    """Write ``<split>/<digit>/NNNN.png``, one digit an image, in ImageNet's folders."""
    rng = sketch.rng
    for label in range(10):
        (root / split / str(label)).mkdir(parents=True)
    for number in range(total):
        glyph, label = next(sketch.glyphs)
        image = sketch.background((SIDE, SIDE))
        ink = sketch.draw(glyph, int(rng.integers(*EXTENT, endpoint=True)))
        # Anywhere that a center crop of 7/8 keeps.
        margin = SIDE // 16
        top, left = (int(rng.integers(margin, SIDE - margin - side + 1)) for side in ink.shape)
        paint(image, ink, top, left, rng)
        to_picture(image).save(root / split / str(label) / f'{number:04d}.png')


def write_coco(root: Path, split: str, total: int, sketch: Sketch) -> None:
    """Write ``<split>2017/<number>.jpg`` and ``annotations/instances_<split>2017.json``; category
    ``d + 1`` is the digit d."""
    file = CocoFile(root, split)
    for number in range(1, total + 1):
        image = sketch.background(sketch.shape(COCO.sides))
        if number % EMPTY_EVERY:
            for ink, corner, label in scatter(image, COCO, sketch):
                polygons = [polygon + corner[::-1] for polygon in outline(ink)]
                file.add_object(number, label + 1, polygons)
        file.add_image(number, image)
    digits = [dict(id=d + 1, name=str(d), supercategory='digit') for d in range(10)]
    file.write('instances', 'Handwritten digits on photographs', digits)


def write_ade(root: Path, split: str, total: int, sketch: Sketch) -> None:
    """Write ``images/{training,validation}/*.jpg`` and a grey PNG of class numbers for each, with
    the same name, in ``annotations``, as ADE20K does."""
    images, annotations = (root / kind / FOLDERS[split] for kind in ('images', 'annotations'))
    images.mkdir(parents=True)
    annotations.mkdir(parents=True)
    for number in range(1, total + 1):
        shape = sketch.shape(ADE.sides)
        photo = int(sketch.rng.integers(len(sketch.photos)))
        image = sketch.background(shape, [sketch.photos[photo]])
        label = np.full(shape, FIRST_PHOTO + photo, np.uint8)
        for ink, corner, digit in scatter(image, ADE, sketch):
            label_ink(label, ink, *corner, FIRST_DIGIT + digit)
        name = f'ADE_{split}_{number:08d}'
        to_picture(image).save(images / f'{name}.jpg', quality=95)
        Image.fromarray(label).save(annotations / f'{name}.png')


def scatter(
    image: np.ndarray, scene: Scene, sketch: Sketch
) -> Iterator[tuple[np.ndarray, tuple[int, int], int]]:
    """Paint digits that do not touch onto ``image``; gives ink, place and digit of each."""
    taken = np.zeros(image.shape[:2], bool)
    wanted = sketch.rng.integers(*scene.digits, endpoint=True)
    # Large ones first, while there is room; every size, from small to large, is as likely.
    for extent in np.sort(np.exp(sketch.rng.uniform(*np.log(scene.extent), wanted)))[::-1]:
        glyph, digit = next(sketch.glyphs)
        ink = sketch.draw(glyph, round(extent))
        if corner := place(ink, taken, sketch.rng):
            paint(image, ink, *corner, sketch.rng)
            yield ink, corner, digit


def label_ink(label: np.ndarray, ink: np.ndarray, top: int, left: int, number: int) -> None:
    """Write ``number`` where ``ink``, (h, w) floats in [0, 1], covers ``label``, (H, W) uint8, in
    place; the pixels around it, which are neither one nor the other, become "other"."""
    full = np.zeros(label.shape, np.float32)
    full[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    label[cv2.dilate(full, np.ones((3, 3))) > 0.1] = OTHER
    label[full > 0.5] = number
