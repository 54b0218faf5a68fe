"""RandAugment for clips, with timm's operations and magnitudes."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image, ImageEnhance, ImageOps

from uniformer_mm.registry import TRANSFORMS

MAX_MAGNITUDE = 10
_GEOMETRY = dict(resample=Image.Resampling.BICUBIC, fillcolor=(128, 128, 128))


def _affine(matrix: Callable, image: Image.Image, value: float) -> Image.Image:
    """Map the output pixel (x, y) to (a x + b y + c, d x + e y + f) of ``image``."""
    coefficients = matrix(value, *image.size)
    return image.transform(image.size, Image.Transform.AFFINE, coefficients, **_GEOMETRY)


def _rotate(image: Image.Image, degrees: float) -> Image.Image:
    return image.rotate(degrees, **_GEOMETRY)


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

    apply: Callable[..., Image.Image]
    argument: Callable[[float, int], float] | None = None
    increasing: Callable[[float, int], float] | None = None  # if it differs in the increasing set


def _enhancement(kind: type) -> _Operation:
    return _Operation(
        partial(_enhance, kind),
        lambda level, sign: 0.1 + 1.8 * level,
        lambda level, sign: 1 + sign * 0.9 * level,
    )


def _geometric(matrix: Callable, reach: float) -> _Operation:
    return _Operation(partial(_affine, matrix), lambda level, sign: sign * reach * level)


OPERATIONS = dict(
    AutoContrast=_Operation(ImageOps.autocontrast),
    Equalize=_Operation(ImageOps.equalize),
    Invert=_Operation(ImageOps.invert),
    Rotate=_Operation(_rotate, lambda level, sign: sign * 30 * level),
    Posterize=_Operation(
        _posterize,
        lambda level, sign: int(level * 4),
        lambda level, sign: 4 - int(level * 4),
    ),
    Solarize=_Operation(
        ImageOps.solarize,
        lambda level, sign: int(level * 256),
        lambda level, sign: 256 - int(level * 256),
    ),
    SolarizeAdd=_Operation(_solarize_add, lambda level, sign: int(level * 110)),
    Color=_enhancement(ImageEnhance.Color),
    Contrast=_enhancement(ImageEnhance.Contrast),
    Brightness=_enhancement(ImageEnhance.Brightness),
    Sharpness=_enhancement(ImageEnhance.Sharpness),
    ShearX=_geometric(lambda v, w, h: (1, v, 0, 0, 1, 0), 0.3),
    ShearY=_geometric(lambda v, w, h: (1, 0, 0, v, 1, 0), 0.3),
    TranslateX=_geometric(lambda v, w, h: (1, 0, v * w, 0, 1, 0), 0.45),
    TranslateY=_geometric(lambda v, w, h: (1, 0, 0, 0, 1, v * h), 0.45),
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

    def draw(self) -> list[Callable[[Image.Image], Image.Image]]:
        """The operations for one clip, with their arguments."""
        drawn = []
        for name in np.random.choice(list(OPERATIONS), self.num_ops):
            if np.random.rand() >= self.prob:
                continue
            magnitude = np.random.normal(self.magnitude, self.magnitude_std)
            level = float(np.clip(magnitude, 0, MAX_MAGNITUDE)) / MAX_MAGNITUDE
            drawn.append(self.operation(name, level, 1 if np.random.rand() < 0.5 else -1))
        return drawn

    def operation(self, name: str, level: float, sign: int) -> Callable[[Image.Image], Image.Image]:
        """An operation at ``level`` in [0, 1]; ``sign`` -1 turns those with a direction round."""
        apply, argument, increasing = OPERATIONS[name]
        if self.increasing and increasing is not None:
            argument = increasing
        if argument is None:
            return apply
        value = argument(level, sign)
        return lambda image: apply(image, value)

    def transform(self, results: dict) -> dict:
        operations = self.draw()
        if not operations:
            return results
        frames = []
        for frame in results['imgs']:
            if frame.dtype != np.uint8:
                raise ValueError(f'VideoRandAugment needs uint8 frames, got {frame.dtype}')
            image = Image.fromarray(frame)
            for operation in operations:
                image = operation(image)
            frames.append(np.array(image))
        results['imgs'] = frames
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(policy={self.policy!r})'
