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
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits, load_sample_images

MARKER = '.made_by_make_mini.json'
VERSION = 1

# ImageNet folders: side of an image, longer side of its digit, images per split.
SIDE = 80
DIGIT_EXTENT = (46, 68)
NUM_IMAGES = dict(train=4000, val=500)

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


def random_background(photos: list[np.ndarray], side: int, rng: np.random.Generator) -> np.ndarray:
    """A random square of a photograph, mirrored and brightened at random: (side, side, 3) floats
    in [0, 1]."""
    photo = photos[rng.integers(len(photos))]
    height, width = photo.shape[:2]
    extent = int(rng.integers(side, min(height, width, 3 * side) + 1))
    top = rng.integers(height - extent + 1)
    left = rng.integers(width - extent + 1)
    crop = Image.fromarray(photo[top : top + extent, left : left + extent])
    pixels = np.asarray(crop.resize((side, side), Image.Resampling.LANCZOS)) / 255
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


def make_imagenet(root: Path, seed: int) -> dict[str, int]:
    """Write ``{train,val}/<digit>/NNNN.png``, one digit an image."""
    counts = {}
    for index, (split, total) in enumerate(NUM_IMAGES.items()):
        rng = np.random.default_rng([seed, index])
        glyphs, photos = load_glyphs(split), load_photos(split)
        for label in range(10):
            (root / split / str(label)).mkdir(parents=True)
        order = np.concatenate(
            [rng.permutation(len(glyphs)) for _ in range(-(-total // len(glyphs)))]
        )
        for number, choice in enumerate(order[:total]):
            glyph, label = glyphs[choice]
            image = random_background(photos, SIDE, rng)
            ink = draw_glyph(glyph, int(rng.integers(*DIGIT_EXTENT, endpoint=True)), rng)
            # Anywhere that a centre crop of 7/8 keeps.
            margin = SIDE // 16
            top, left = (int(rng.integers(margin, SIDE - margin - side + 1)) for side in ink.shape)
            paint(image, ink, top, left, rng)
            pixels = np.uint8(np.clip(image, 0, 1) * 255 + 0.5)
            Image.fromarray(pixels).save(root / split / str(label) / f'{number:04d}.png')
        counts[split] = total
    return counts


MAKERS: dict[str, Callable[[Path, int], dict[str, int]]] = dict(imagenet=make_imagenet)


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
