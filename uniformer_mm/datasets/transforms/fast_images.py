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
from mmpretrain.datasets.transforms import AutoContrast, Equalize, RandAugment
from mmpretrain.datasets.transforms.auto_augment import RANDAUG_POLICIES

from uniformer_mm.registry import TRANSFORMS


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
    """Mixin for an operation that maps the values of each channel by its histogram."""

    @abstractmethod
    def table(self, counts: np.ndarray) -> np.ndarray | None:
        """What each of the 256 values becomes, None if all stay."""

    def transform(self, results: dict) -> dict:
        if self.random_disable():
            return results
        same = np.arange(256)
        tables = []
        for channel in cv2.split(results['img']):
            table = self.table(np.bincount(channel.ravel(), minlength=256))
            tables.append(same if table is None else table)
        results['img'] = cv2.LUT(results['img'], np.stack(tables, -1)[None].astype(np.uint8))
        return results


@TRANSFORMS.register_module(name='AutoContrast')
class TableAutoContrast(_Table, AutoContrast):
    """mmpretrain's ``AutoContrast`` with one table look-up a pixel."""

    def table(self, counts: np.ndarray) -> np.ndarray | None:
        values = np.flatnonzero(counts)
        low, high = values[0], values[-1]
        if low == high:
            return None
        scale = 255.0 / (high - low)
        return np.clip(np.arange(256) * scale + -low * scale, 0, 255)


@TRANSFORMS.register_module(name='Equalize')
class TableEqualize(_Table, Equalize):
    """mmpretrain's ``Equalize`` with one table look-up a pixel."""

    def table(self, counts: np.ndarray) -> np.ndarray | None:
        step = (counts.sum() - counts[np.flatnonzero(counts)[-1]]) // 255
        if not step:
            return None
        below = np.concatenate([[0], ((counts.cumsum() + step // 2) // step)[:-1]])
        return np.minimum(below, 255)


@TRANSFORMS.register_module()
class TableRandAugment(RandAugment):
    """mmpretrain's ``RandAugment`` with the quicker operations of this module.

    Args:
        policies (str | list[dict]): As in ``RandAugment``.
        *args, **kwargs: Its other arguments.
    """

    QUICKER = ('AutoContrast', 'Equalize')

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
