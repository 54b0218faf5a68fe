"""Semantic segmentation in ADE20K's format: digits, and the photograph behind them."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from .drawing import (
    draw_glyph,
    in_turns,
    load_glyphs,
    load_photos,
    paint,
    place,
    random_background,
    to_picture,
)

COUNTS = dict(train=1200, val=100)
FOLDERS = dict(train='training', val='validation')
SIDES = (96, 128)
EXTENT = (36, 60)  # longer side of a digit
DIGITS = (1, 3)

# Numbers in the PNG. 0 is "other", as in ADE20K: pixels that count for nothing.
OTHER = 0
FIRST_DIGIT = 1
FIRST_PHOTO = 11  # one class for each photograph: a park, a garden


def label_ink(label: np.ndarray, ink: np.ndarray, top: int, left: int, number: int) -> None:
    """Write ``number`` where ``ink``, (h, w) floats in [0, 1], covers ``label``, (H, W) uint8, in
    place; the pixels around it, which are neither one nor the other, become "other"."""
    full = np.zeros(label.shape, np.float32)
    full[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    label[cv2.dilate(full, np.ones((3, 3))) > 0.1] = OTHER
    label[full > 0.5] = number


def make(root: Path, seed: int, counts: dict[str, int]) -> None:
    """Write ``images/{training,validation}/*.jpg`` and a grey PNG of class numbers for each, with
    the same name, in ``annotations``."""
    for index, (split, total) in enumerate(counts.items()):
        rng = np.random.default_rng([seed, index])
        drawn, photos = in_turns(load_glyphs(split), rng), load_photos(split)
        images, annotations = (root / kind / FOLDERS[split] for kind in ('images', 'annotations'))
        images.mkdir(parents=True)
        annotations.mkdir(parents=True)
        for number in range(1, total + 1):
            shape = SIDES if rng.random() < 0.7 else SIDES[::-1]
            scene = int(rng.integers(len(photos)))
            image = random_background([photos[scene]], shape, rng)
            label = np.full(shape, FIRST_PHOTO + scene, np.uint8)
            taken = np.zeros(shape, bool)
            wanted = rng.integers(*DIGITS, endpoint=True)
            # Large ones first, while there is room.
            for extent in np.sort(np.exp(rng.uniform(*np.log(EXTENT), wanted)))[::-1]:
                glyph, digit = next(drawn)
                ink = draw_glyph(glyph, round(extent), rng)
                corner = place(ink, taken, rng)
                if corner is not None:
                    paint(image, ink, *corner, rng)
                    label_ink(label, ink, *corner, FIRST_DIGIT + digit)
            name = f'ADE_{split}_{number:08d}'
            to_picture(image).save(images / f'{name}.jpg', quality=95)
            Image.fromarray(label).save(annotations / f'{name}.png')
