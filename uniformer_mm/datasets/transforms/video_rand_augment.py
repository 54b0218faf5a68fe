"""RandAugment for clips, with timm's operations and magnitudes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image, ImageEnhance, ImageOps

from uniformer_mm.registry import TRANSFORMS

MAX_MAGNITUDE = 10
GREY = 128
_EVERY_VALUE = Image.fromarray(np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, -1))

Operation = Callable[[np.ndarray], np.ndarray]
"""Clip to clip, both (T, H, W, 3) uint8."""


def _frame_by_frame(operation: Callable[..., Image.Image], clip: np.ndarray, *value) -> np.ndarray:
    """An operation of Pillow's on each frame."""
    return np.stack([operation(Image.fromarray(frame), *value) for frame in clip])


def _by_table(operation: Callable[..., Image.Image], clip: np.ndarray, *value) -> np.ndarray:
    """An operation of Pillow's that maps every value by itself: computed once for each of 256."""
    table = np.asarray(operation(_EVERY_VALUE, *value))
    return cv2.LUT(clip.reshape(-1, 1, 3), table).reshape(clip.shape)


def _rotate(image: Image.Image, degrees: float) -> Image.Image:
    return image.rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor=(GREY,) * 3)


def _slide(
    rows: bool, shifts: Callable[..., np.ndarray], clip: np.ndarray, value: float
) -> np.ndarray:
    """Move every row (or column), each by its own shift, to the left (or up).

    The pixels are those of Pillow's bicubic ``transform``, which weighs 4 x 4 pixels where 4 in a
    row are enough; a row of all frames is moved at once.

    Args:
        rows: Whether rows are moved.
        shifts: The shifts by ``value``, the number of rows (or columns) and their length.
        clip: (T, H, W, 3) uint8.
        value: Shift by pixel, or as a part of the length.
    """
    if not rows:
        clip = np.stack([cv2.transpose(frame) for frame in clip])  # (T, H, W, 3) -> (T, W, H, 3)
    size, channels = clip.shape[2:]
    padded = np.pad(clip, [(0, 0), (0, 0), (2, 2), (0, 0)], mode='edge')
    padded = padded.reshape(*clip.shape[:2], -1)  # (T, H, W + 4, 3) -> (T, H, 3 (W + 4))
    moved = np.full((*clip.shape[:2], size * channels), GREY, np.uint8)
    for i, shift in enumerate(shifts(value, clip.shape[1], size)):
        whole = math.floor(shift)
        first = max(0, math.ceil(-0.5 - shift))
        last = max(first, min(size, math.ceil(size - 0.5 - shift)))
        x = np.arange(first, last).repeat(channels)
        part = (x + 0.5 + shift) - 0.5 - (x + whole)  # rounded as Pillow does
        # The pixel at x is between those at x + whole and x + whole + 1.
        row = padded[:, i].astype(np.float64)
        a, b, c, d = (
            row[:, channels * (first + whole + k) : channels * (last + whole + k)]
            for k in range(1, 5)
        )
        pixels = b - a + d - c
        pixels *= part
        pixels += 2 * (a - b) + c - d
        pixels *= part
        pixels += c - a
        pixels *= part
        pixels += b
        np.clip(pixels, 0, 255, out=pixels)
        moved[:, i, channels * first : channels * last] = pixels
    moved = moved.reshape(clip.shape)
    return moved if rows else np.stack([cv2.transpose(frame) for frame in moved])


def _posterize(image: Image.Image, bits: int) -> Image.Image:
    """Keep the upper ``bits`` of every value; none gives black, which Pillow's own refuses."""
    mask = 256 - 2 ** (8 - bits)
    return image.point([i & mask for i in range(256)] * 3)


def _solarize_add(image: Image.Image, amount: int) -> Image.Image:
    """Brighten the darker half of the range."""
    return image.point([min(i + amount, 255) if i < 128 else i for i in range(256)] * 3)


def _enhance(kind: type, image: Image.Image, factor: float) -> Image.Image:
    return kind(image).enhance(factor)


class _Operation(NamedTuple):
    """An operation and its argument by level (in [0, 1]) and sign (-1 or 1)."""

    apply: Callable[..., np.ndarray]
    argument: Callable[[float, int], float] | None = None
    increasing: Callable[[float, int], float] | None = None  # if it differs in the increasing set


def _frames(operation: Callable[..., Image.Image], *arguments) -> _Operation:
    return _Operation(partial(_frame_by_frame, operation), *arguments)


def _values(operation: Callable[..., Image.Image], *arguments) -> _Operation:
    return _Operation(partial(_by_table, operation), *arguments)


_ENHANCED = (lambda level, sign: 0.1 + 1.8 * level, lambda level, sign: 1 + sign * 0.9 * level)


def _shear(rows: bool) -> _Operation:
    move = partial(_slide, rows, lambda v, lines, size: v * (np.arange(lines) + 0.5))
    return _Operation(move, lambda level, sign: sign * 0.3 * level)


def _translate(rows: bool) -> _Operation:
    move = partial(_slide, rows, lambda v, lines, size: np.full(lines, v * size))
    return _Operation(move, lambda level, sign: sign * 0.45 * level)


OPERATIONS = dict(
    AutoContrast=_frames(ImageOps.autocontrast),
    Equalize=_frames(ImageOps.equalize),
    Invert=_values(ImageOps.invert),
    Rotate=_frames(_rotate, lambda level, sign: sign * 30 * level),
    Posterize=_values(
        _posterize,
        lambda level, sign: int(level * 4),
        lambda level, sign: 4 - int(level * 4),
    ),
    Solarize=_values(
        ImageOps.solarize,
        lambda level, sign: int(level * 256),
        lambda level, sign: 256 - int(level * 256),
    ),
    SolarizeAdd=_values(_solarize_add, lambda level, sign: int(level * 110)),
    Color=_frames(partial(_enhance, ImageEnhance.Color), *_ENHANCED),
    Contrast=_frames(partial(_enhance, ImageEnhance.Contrast), *_ENHANCED),
    Brightness=_values(partial(_enhance, ImageEnhance.Brightness), *_ENHANCED),
    Sharpness=_frames(partial(_enhance, ImageEnhance.Sharpness), *_ENHANCED),
    ShearX=_shear(rows=True),
    ShearY=_shear(rows=False),
    TranslateX=_translate(rows=True),
    TranslateY=_translate(rows=False),
)


@TRANSFORMS.register_module()
class VideoRandAugment(BaseTransform):
    """RandAugment (Cubuk et al., NeurIPS 2020) in timm's form, the same for every frame of a clip.

    ``n`` of 15 operations are drawn with replacement, and each is applied with chance 0.5. Its
    magnitude is normal around ``m`` with standard deviation ``mstd``, cut to [0, 10]. Geometric
    operations are bicubic, with grey 128 outside. The authors augment whole decoded frames, before
    any crop.

    Required key: ``imgs``, a list of (H, W, 3) uint8 frames. Modified key: ``imgs``.

    Args:
        policy (str): ``'rand'``, then any of ``-m<magnitude>`` (10 if left out), ``-n<number>``
            (2), ``-mstd<deviation>`` (0) and ``-inc1``, which selects the set whose operations all
            grow stronger with the magnitude; in the plain set Posterize and Solarize grow weaker,
            and the enhancing ones go from 0.1 to 1.9. The recipes use
            ``'rand-m7-n4-mstd0.5-inc1'``, ``'rand-m5-n2-mstd0.25'`` and ``'rand'``.

    Raises:
        ValueError: If the policy is malformed or out of range, or frames are not uint8.
    """

    prob = 0.5

    def __init__(self, policy: str) -> None:
        settings = dict(m=MAX_MAGNITUDE, n=2, mstd=0, inc=0)
        name, *parts = policy.split('-')
        for part in parts:
            found = re.fullmatch(r'(mstd|inc|m|n)(\d+(?:\.\d+)?)', part)
            if found is None:
                raise ValueError(
                    f'policy {policy!r}: {part!r} is none of m, n, mstd, inc with a number'
                )
            settings[found[1]] = float(found[2])
        if name != 'rand' or settings['m'] > MAX_MAGNITUDE or settings['n'] not in range(1, 16):
            raise ValueError(
                f"policy {policy!r}: expected 'rand' with m from 0 to {MAX_MAGNITUDE} and n from "
                '1 to 15'
            )
        self.policy = policy
        self.magnitude = settings['m']
        self.magnitude_std = settings['mstd']
        self.num_ops = int(settings['n'])
        self.increasing = bool(settings['inc'])

    def draw(self) -> list[Operation]:
        """The operations for one clip, with their arguments."""
        drawn = []
        for name in np.random.choice(list(OPERATIONS), self.num_ops):
            if np.random.rand() >= self.prob:
                continue
            magnitude = np.random.normal(self.magnitude, self.magnitude_std)
            level = float(np.clip(magnitude, 0, MAX_MAGNITUDE)) / MAX_MAGNITUDE
            drawn.append(self.operation(name, level, 1 if np.random.rand() < 0.5 else -1))
        return drawn

    def operation(self, name: str, level: float, sign: int) -> Operation:
        """An operation at ``level`` in [0, 1]; ``sign`` -1 turns those with a direction round."""
        apply, argument, increasing = OPERATIONS[name]
        if self.increasing and increasing is not None:
            argument = increasing
        if argument is None:
            return apply
        value = argument(level, sign)
        return lambda clip: apply(clip, value)

    def transform(self, results: dict) -> dict:
        operations = self.draw()
        if not operations:
            return results
        clip = np.stack(results['imgs'])
        if clip.dtype != np.uint8:
            raise ValueError(f'VideoRandAugment needs uint8 frames, got {clip.dtype}')
        for operation in operations:
            clip = operation(clip)
        results['imgs'] = list(clip)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(policy={self.policy!r})'
