"""Steps of mmpretrain's training pipelines that cost more than they need, with the same pixels.

This module imports mmpretrain, so ``import uniformer_mm`` does not import it; the registry does as
soon as a config asks for one of its types.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import RandomFlip
from mmpretrain.datasets.transforms import (
    AutoContrast,
    Brightness,
    Contrast,
    Equalize,
    RandAugment,
    Solarize,
    SolarizeAdd,
)
from mmpretrain.datasets.transforms.auto_augment import RANDAUG_POLICIES

from uniformer_mm.registry import TRANSFORMS

_EVERY_VALUE = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, -1)


@TRANSFORMS.register_module()
class ContiguousFlip(RandomFlip):
    """mmcv's ``RandomFlip`` for an image alone, whose pixels are in order again afterwards.

    The original gives a view that runs backwards, which OpenCV and NumPy read pixel by pixel in
    every step that follows.

    Args:
        *args, **kwargs: Those of ``RandomFlip``.
    """

    def _flip(self, results: dict) -> None:
        results['img'] = mmcv.imflip_(results['img'].copy(), results['flip_direction'])


class _Table:
    """Mixin for an operation that maps every value by itself, given the image."""

    @abstractmethod
    def table(self, img: np.ndarray) -> np.ndarray:
        """What each of the 256 values becomes, (256,) or, by channel, (256, C)."""

    def transform(self, results: dict) -> dict:
        if not self.random_disable():
            table = self.table(results['img']).astype(np.uint8)
            results['img'] = cv2.LUT(results['img'], table[None])
        return results


class _Histogram(_Table):
    """Mixin for an operation that maps the values of each channel by its histogram."""

    @abstractmethod
    def values(self, counts: np.ndarray) -> np.ndarray | None:
        """What each of the 256 values becomes, None if all stay."""

    def table(self, img: np.ndarray) -> np.ndarray:
        tables = []
        for channel in range(img.shape[2]):
            counts = cv2.calcHist([img], [channel], None, [256], [0, 256]).ravel().astype(int)
            values = self.values(counts)
            tables.append(np.arange(256) if values is None else values)
        return np.stack(tables, -1)


class _EveryValue:
    """Mixin for an operation that maps every value by itself, whatever the image.

    The library's own transform is applied to each value once.
    """

    def transform(self, results: dict) -> dict:
        table = super().transform(dict(img=_EVERY_VALUE))['img']
        results['img'] = cv2.LUT(results['img'], np.ascontiguousarray(table[..., 0]))
        return results


@TRANSFORMS.register_module(name='AutoContrast')
class TableAutoContrast(_Histogram, AutoContrast):
    """mmpretrain's ``AutoContrast`` with one table look-up a pixel."""

    def values(self, counts: np.ndarray) -> np.ndarray | None:
        values = np.flatnonzero(counts)
        low, high = values[0], values[-1]
        if low == high:
            return None
        scale = 255.0 / (high - low)
        return np.clip(np.arange(256) * scale + -low * scale, 0, 255)


@TRANSFORMS.register_module(name='Equalize')
class TableEqualize(_Histogram, Equalize):
    """mmpretrain's ``Equalize`` with one table look-up a pixel."""

    def values(self, counts: np.ndarray) -> np.ndarray | None:
        step = (counts.sum() - counts[np.flatnonzero(counts)[-1]]) // 255
        if not step:
            return None
        below = np.concatenate([[0], ((counts.cumsum() + step // 2) // step)[:-1]])
        return np.minimum(below, 255)


@TRANSFORMS.register_module(name='Contrast')
class TableContrast(_Table, Contrast):
    """mmpretrain's ``Contrast`` with one table look-up a pixel."""

    def table(self, img: np.ndarray) -> np.ndarray:
        magnitude = self.random_magnitude() if self.magnitude is None else self.magnitude
        factor = 1 + self.random_negative(magnitude)
        gray = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
        mean = np.full(256, round(cv2.sumElems(gray)[0] / gray.size), np.float32)
        values = cv2.addWeighted(np.arange(256, dtype=np.float32), factor, mean, 1 - factor, 0)
        return np.clip(values.ravel(), 0, 255)


@TRANSFORMS.register_module(name='Brightness')
class TableBrightness(_EveryValue, Brightness):
    """mmpretrain's ``Brightness`` with one table look-up a pixel."""


@TRANSFORMS.register_module(name='Solarize')
class TableSolarize(_EveryValue, Solarize):
    """mmpretrain's ``Solarize`` with one table look-up a pixel."""


@TRANSFORMS.register_module(name='SolarizeAdd')
class TableSolarizeAdd(_EveryValue, SolarizeAdd):
    """mmpretrain's ``SolarizeAdd`` with one table look-up a pixel."""


@TRANSFORMS.register_module()
class TableRandAugment(RandAugment):
    """mmpretrain's ``RandAugment`` with the quicker operations of this module.

    Args:
        policies (str | list[dict]): As in ``RandAugment``.
        *args, **kwargs: Its other arguments.
    """

    QUICKER = ('AutoContrast', 'Brightness', 'Contrast', 'Equalize', 'Solarize', 'SolarizeAdd')

    def __init__(self, policies: str | list[dict], *args: Any, **kwargs: Any) -> None:
        if isinstance(policies, str):
            policies = RANDAUG_POLICIES[policies]
        policies = [
            policy | dict(type=f'uniformer_mm.{policy["type"]}')
            if policy['type'] in self.QUICKER
            else policy
            for policy in policies
        ]
        super().__init__(policies, *args, **kwargs)
