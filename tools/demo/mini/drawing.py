"""Real handwriting on real photographs: what all the small data sets draw with."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits, load_sample_images

# Share of each photograph's columns that a split may show, with a gap between the two.
COLUMNS = dict(train=(0.0, 0.64), val=(0.67, 1.0))
HELD_OUT_EVERY = 5


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


class Sketch:
    """What one split of a data set is drawn from.

    Attributes:
        rng: Its random numbers.
        photos: The part of each photograph that belongs to it.
        glyphs: Its scans with their digits, all in random order, then all again in another, without
            end.
    """

    def __init__(self, split: str, rng: np.random.Generator) -> None:
        self.rng = rng
        self.photos = load_photos(split)
        self.glyphs = self._in_turns(load_glyphs(split))

    def _in_turns(self, glyphs: list[tuple[np.ndarray, int]]) -> Iterator[tuple[np.ndarray, int]]:
        while True:
            for choice in self.rng.permutation(len(glyphs)):
                yield glyphs[choice]

    def shape(self, sides: tuple[int, int]) -> tuple[int, int]:
        """Height and width of an image of two ``sides``, more often lying than upright."""
        return sides if self.rng.random() < 0.7 else sides[::-1]

    def background(
        self, shape: tuple[int, int], photos: list[np.ndarray] | None = None
    ) -> np.ndarray:
        """A random part of a photograph, of all if ``photos`` is None, mirrored and brightened at
        random: (*shape, 3) floats in [0, 1]."""
        rng, photos = self.rng, photos or self.photos
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

    def draw(self, glyph: np.ndarray, extent: int) -> np.ndarray:
        """Ink of a scan, enlarged smoothly, slanted and turned a little, trimmed: (h, w) floats in
        [0, 1], the longer side ``extent``."""
        rng = self.rng
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
        image = image.point(
            [round(255 * min(max((v / 255 - 0.2) / 0.5, 0), 1)) for v in range(256)]
        )
        image = image.crop(image.getbbox())
        scale = extent / max(image.size)
        size = [max(round(side * scale), 1) for side in image.size]
        return np.asarray(image.resize(size, Image.Resampling.LANCZOS)) / 255


def contrasting_colour(background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
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
    colour = contrasting_colour(image[top : top + height, left : left + width], rng)
    full = np.zeros(image.shape[:2])
    full[top : top + height, left : left + width] = ink
    blend(image, full, halo_of(full, height), colour)


def halo_of(ink: np.ndarray, height: int) -> np.ndarray:
    """The halo around ``ink``, (H, W) floats in [0, 1] with a sign ``height`` pixels high."""
    blurred = Image.fromarray(np.uint8(ink * 255)).filter(ImageFilter.GaussianBlur(height / 16))
    return 0.7 * (np.asarray(blurred) / 255)


def blend(image: np.ndarray, ink: np.ndarray, halo: np.ndarray, colour: np.ndarray) -> None:
    """Lay a dark or bright halo and then coloured ink over ``image`` in place."""
    image += halo[..., None] * ((0.0 if colour.sum() > 1.5 else 1.0) - image)
    image += ink[..., None] * (colour - image)


def to_picture(image: np.ndarray) -> Image.Image:
    """The picture of (H, W, 3) floats, cut to [0, 1]."""
    return Image.fromarray(np.uint8(np.clip(image, 0, 1) * 255 + 0.5))


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
