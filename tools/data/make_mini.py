#!/usr/bin/env python
"""Make the built-in small data sets: real handwriting on real photographs, made offline in seconds.

The handwritten digits (UCI, 1,797 scans) and the two photographs come with scikit-learn. Training
and validation share neither a scan nor a part of a photograph. The same seed gives the same files.

    python tools/data/make_mini.py                     # everything, under data/mini
    python tools/data/make_mini.py imagenet --out DIR  # one data set, elsewhere
"""

import argparse
import colorsys
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits, load_sample_images

MARKER = '.made_by_make_mini.json'
VERSION = 1

# ImageNet folders: side of an image, longer side of its digit, images per split.
SIDE = 80
DIGIT_EXTENT = (46, 68)
NUM_IMAGES = dict(train=4000, val=500)

# COCO instances: sides of an image, longer side of a digit, digits and images per split. Some
# images have no digit, as some of COCO's have no object.
COCO_SIDES = (128, 160)
COCO_EXTENT = (18, 88)
COCO_DIGITS = (2, 6)
COCO_EMPTY_EVERY = 25
NUM_COCO_IMAGES = dict(train=1000, val=120)

# Share of each photograph's columns that a split may show, with a gap between the two.
COLUMNS = dict(train=(0.0, 0.64), val=(0.67, 1.0))
HELD_OUT_EVERY = 5


class MiniDataError(RuntimeError):
    """The data cannot be made; the message says why and what to do."""


def load_glyphs(split: str) -> list[tuple[np.ndarray, int]]:
    """Scans of ``split`` ('train' or 'val') with their digit: (8, 8) floats in [0, 1]."""
    digits = load_digits()
    held_out = np.arange(len(digits.target)) % HELD_OUT_EVERY == 0
    chosen = held_out if split == 'val' else ~held_out
    return [
        (scan / 16, int(label))
        for scan, label in zip(digits.images[chosen], digits.target[chosen], strict=True)
    ]


def load_photos(split: str) -> list[np.ndarray]:
    """The part of each photograph that belongs to ``split``: (H, W, 3) uint8, RGB."""
    left, right = COLUMNS[split]
    return [
        photo[:, round(left * photo.shape[1]) : round(right * photo.shape[1])]
        for photo in load_sample_images().images
    ]


def random_background(
    photos: list[np.ndarray], shape: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """A random part of a photograph, mirrored and brightened at random: (*shape, 3) floats in
    [0, 1]."""
    photo = photos[rng.integers(len(photos))]
    sides, short = np.array(shape), min(shape)
    largest = min(*(np.array(photo.shape[:2]) * short // sides), 3 * short)
    height, width = sides * int(rng.integers(short, largest + 1)) // short
    top = rng.integers(photo.shape[0] - height + 1)
    left = rng.integers(photo.shape[1] - width + 1)
    crop = Image.fromarray(photo[top : top + height, left : left + width])
    pixels = np.asarray(crop.resize(shape[::-1], Image.Resampling.LANCZOS)) / 255
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    return np.clip(pixels * rng.uniform(0.7, 1.2), 0, 1)


def draw_glyph(glyph: np.ndarray, extent: int, rng: np.random.Generator) -> np.ndarray:
    """Ink of a scan, enlarged smoothly, slanted and turned a little, trimmed: (h, w) floats in
    [0, 1], the longer side ``extent``."""
    unit = 8
    image = Image.fromarray(np.uint8(np.pad(glyph, 3) * 255))
    size = image.width * unit
    image = image.resize((size, size), Image.Resampling.BICUBIC)
    slant = rng.uniform(-0.2, 0.2)
    image = image.transform(
        image.size,
        Image.Transform.AFFINE,
        (1, slant, -slant * size / 2, 0, 1, 0),
        Image.Resampling.BICUBIC,
    )
    image = image.rotate(rng.uniform(-10, 10), Image.Resampling.BICUBIC)
    # Enlarging leaves a soft blob; a steeper ramp gives a pen stroke and keeps the thin parts.
    image = image.point([round(255 * min(max((v / 255 - 0.2) / 0.5, 0), 1)) for v in range(256)])
    image = image.crop(image.getbbox())
    scale = extent / max(image.size)
    size = [max(round(side * scale), 1) for side in image.size]
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS)) / 255


def _contrasting_colour(background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    luminance = background.mean(axis=(0, 1)) @ [0.299, 0.587, 0.114]
    if luminance < 0.5:
        saturation, value = rng.uniform(0.0, 0.6), rng.uniform(0.9, 1.0)
    else:
        saturation, value = rng.uniform(0.3, 1.0), rng.uniform(0.05, 0.35)
    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation, value))


def paint(
    image: np.ndarray, ink: np.ndarray, top: int, left: int, rng: np.random.Generator
) -> None:
    """Write ``ink`` onto ``image`` in place, in a colour that stands out, over a halo."""
    height, width = ink.shape
    colour = _contrasting_colour(image[top : top + height, left : left + width], rng)
    full = np.zeros(image.shape[:2])
    full[top : top + height, left : left + width] = ink
    blurred = Image.fromarray(np.uint8(full * 255)).filter(ImageFilter.GaussianBlur(height / 16))
    halo = 0.7 * (np.asarray(blurred) / 255)[..., None]
    image += halo * ((0.0 if colour.sum() > 1.5 else 1.0) - image)
    image += full[..., None] * (colour - image)


def in_turns(
    glyphs: list[tuple[np.ndarray, int]], rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, int]]:
    """All glyphs in random order, then all again in another, without end."""
    while True:
        for choice in rng.permutation(len(glyphs)):
            yield glyphs[choice]


def to_picture(image: np.ndarray) -> Image.Image:
    """The picture of (H, W, 3) floats, cut to [0, 1]."""
    return Image.fromarray(np.uint8(np.clip(image, 0, 1) * 255 + 0.5))


def make_imagenet(root: Path, seed: int) -> dict[str, int]:
    """Write ``{train,val}/<digit>/NNNN.png``, one digit an image."""
    counts = {}
    for index, (split, total) in enumerate(NUM_IMAGES.items()):
        rng = np.random.default_rng([seed, index])
        glyphs, photos = load_glyphs(split), load_photos(split)
        for label in range(10):
            (root / split / str(label)).mkdir(parents=True)
        drawn = in_turns(glyphs, rng)
        for number in range(total):
            glyph, label = next(drawn)
            image = random_background(photos, (SIDE, SIDE), rng)
            ink = draw_glyph(glyph, int(rng.integers(*DIGIT_EXTENT, endpoint=True)), rng)
            # Anywhere that a centre crop of 7/8 keeps.
            margin = SIDE // 16
            top, left = (int(rng.integers(margin, SIDE - margin - side + 1)) for side in ink.shape)
            paint(image, ink, top, left, rng)
            to_picture(image).save(root / split / str(label) / f'{number:04d}.png')
        counts[split] = total
    return counts


def outline(ink: np.ndarray) -> list[np.ndarray]:
    """Polygons around ``ink``, (h, w) floats in [0, 1], finer than a pixel: (N, 2) arrays of x, y,
    where pixel i covers i to i + 1."""
    fine = 8
    ink = np.pad(np.float32(ink), 1)
    enlarged = cv2.resize(ink, None, fx=fine, fy=fine, interpolation=cv2.INTER_LINEAR)
    return [(polygon + 0.5) / fine - 1 for polygon in _outline_mask(np.uint8(enlarged > 0.5))]


def _outline_mask(mask: np.ndarray) -> list[np.ndarray]:
    """Polygons through the centres of the border pixels of ``mask``, without specks."""
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    contours = [
        (contour[:, 0], node[3] >= 0)
        for contour, node in zip(contours, tree[0] if contours else (), strict=True)
        if cv2.contourArea(contour) > 32
    ]
    for contour, is_hole in contours:
        if is_hole:
            # COCO's polygons have no holes: cut through it, and both sides are without one.
            column = contour[:, 0].min() + np.ptp(contour[:, 0]) // 2
            left, right = mask.copy(), mask.copy()
            left[:, column + 1 :] = 0
            right[:, :column] = 0
            return _outline_mask(left) + _outline_mask(right)
    return [cv2.approxPolyDP(contour, 1.2, closed=True)[:, 0] for contour, _ in contours]


def area_of(polygon: np.ndarray) -> float:
    """Area of a polygon, (N, 2)."""
    x, y = polygon.T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


def place(ink: np.ndarray, taken: np.ndarray, rng: np.random.Generator) -> tuple[int, int] | None:
    """A random place (top, left) for ``ink`` that touches no ink of ``taken``, None if twenty
    tries find none; ``taken``, (H, W) booleans, is updated."""
    for _ in range(20):
        top, left = (
            int(rng.integers(whole - part + 1))
            for whole, part in zip(taken.shape, ink.shape, strict=True)
        )
        window = taken[top : top + ink.shape[0], left : left + ink.shape[1]]
        if not window[ink > 0.1].any():
            window |= cv2.dilate(np.uint8(ink > 0.1), np.ones((5, 5))).astype(bool)
            return top, left
    return None


def make_coco(root: Path, seed: int) -> dict[str, int]:
    """Write ``{train,val}2017/<number>.jpg`` and ``annotations/instances_{train,val}2017.json``,
    several digits an image; category ``d + 1`` is the digit d."""
    counts = {}
    (root / 'annotations').mkdir()
    for index, (split, total) in enumerate(NUM_COCO_IMAGES.items()):
        rng = np.random.default_rng([seed, index])
        drawn, photos = in_turns(load_glyphs(split), rng), load_photos(split)
        folder = root / f'{split}2017'
        folder.mkdir()
        images, annotations = [], []
        for number in range(1, total + 1):
            shape = COCO_SIDES if rng.random() < 0.7 else COCO_SIDES[::-1]
            image = random_background(photos, shape, rng)
            taken = np.zeros(shape, bool)
            is_empty = number % COCO_EMPTY_EVERY == 0
            wanted = 0 if is_empty else rng.integers(*COCO_DIGITS, endpoint=True)
            # Large ones first, while there is room; every size, from small to large, is as likely.
            for extent in np.sort(np.exp(rng.uniform(*np.log(COCO_EXTENT), wanted)))[::-1]:
                glyph, label = next(drawn)
                ink = draw_glyph(glyph, round(extent), rng)
                corner = place(ink, taken, rng)
                if corner is None:
                    continue
                paint(image, ink, *corner, rng)
                polygons = [polygon + corner[::-1] for polygon in outline(ink)]
                lower, upper = np.min(points := np.concatenate(polygons), 0), np.max(points, 0)
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=number,
                        category_id=label + 1,
                        bbox=[*lower.tolist(), *(upper - lower).tolist()],
                        area=sum(map(area_of, polygons)),
                        segmentation=[polygon.ravel().tolist() for polygon in polygons],
                        iscrowd=0,
                    )
                )
            name = f'{number:012d}.jpg'
            to_picture(image).save(folder / name, quality=95)
            images.append(dict(id=number, file_name=name, height=shape[0], width=shape[1]))
        digits = [dict(id=d + 1, name=str(d), supercategory='digit') for d in range(10)]
        content = dict(
            info=dict(description='Handwritten digits on photographs', version='1.0'),
            licenses=[],
            images=images,
            annotations=annotations,
            categories=digits,
        )
        (root / 'annotations' / f'instances_{split}2017.json').write_text(json.dumps(content))
        counts[split] = total
    return counts


MAKERS: dict[str, Callable[[Path, int], dict[str, int]]] = dict(
    imagenet=make_imagenet, coco=make_coco
)


def make(name: str, out: Path, seed: int = 0) -> Path:
    """Make data set ``name`` in ``out/name`` unless it is already there.

    The folder appears complete or not at all. A folder that this script made otherwise (another
    seed, another version) is replaced.

    Raises:
        MiniDataError: If ``out/name`` exists and this script did not make it.
    """
    target = out / name
    recipe = dict(data=name, seed=seed, version=VERSION)
    if target.exists():
        marker = target / MARKER
        if not marker.is_file():
            raise MiniDataError(
                f'{target} exists and was not made by this script, so it stays as it is: '
                'move it away or choose another folder with --out'
            )
        if json.loads(marker.read_text())['recipe'] == recipe:
            print(f'{target}: up to date')
            return target

    work = out / f'.{name}-{os.getpid()}'
    work.mkdir(parents=True)
    try:
        counts = MAKERS[name](work, seed)
        (work / MARKER).write_text(json.dumps(dict(recipe=recipe, counts=counts), indent=2) + '\n')
        if target.exists():
            shutil.rmtree(target)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f'{target}: made, ' + ', '.join(f'{count} {split}' for split, count in counts.items()))
    return target


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'names', nargs='*', metavar='NAME', help=f'{", ".join(MAKERS)}; default: all'
    )
    parser.add_argument('--out', type=Path, default=Path('data/mini'), help='default: %(default)s')
    parser.add_argument('--seed', type=int, default=0, help='default: %(default)s')
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(MAKERS))
    if unknown:
        parser.error(f'unknown data set {", ".join(unknown)}: choose from {", ".join(MAKERS)}')
    try:
        for name in args.names or MAKERS:
            make(name, args.out, args.seed)
    except (MiniDataError, OSError) as error:
        print(f'make_mini: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
