"""Random erasing whose noise is standard normal after normalisation, as in timm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from uniformer_mm.arguments import (
    COUNT,
    NUMBER,
    PART,
    POSITIVE,
    SHARE,
    check,
    check_each,
    check_range,
)
from uniformer_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class NormalizedRandomErasing(BaseTransform):
    """Fill a random rectangle with noise that the data preprocessor turns into N(0, 1).

    timm erases after it has normalised the image, with an unbounded N(0, 1) per pixel and channel.
    Here images are normalised later, in the data preprocessor, so the noise is written as
    ``mean + std * N(0, 1)``. mmpretrain's ``RandomErasing`` does this in uint8, which rounds the
    noise and cuts it off at 0 and 255, about two standard deviations out. This transform returns
    float32 instead, for every image, erased or not, so that a batch has one type.

    Required key: ``img`` (H, W, C). Modified key: ``img``, to float32.

    Args:
        mean (Sequence[float]): Per channel, as in the data preprocessor but in the channel order of
            the image at this point (BGR for images that mmcv has read).
        std (Sequence[float]): Likewise.
        prob (float): Chance that an image is erased. Defaults to 0.25.
        area_range (tuple[float, float]): Rectangle area as a share of the image, drawn uniformly.
            Defaults to (0.02, 1/3).
        aspect_range (tuple[float, float]): Height over width, drawn log-uniformly. Defaults to
            (0.3, 1/0.3).
        max_attempts (int): Draws until a rectangle is smaller than the image both ways; after that
            the image is left alone. Defaults to 10.

    Raises:
        ValueError: If ``prob`` or a range is impossible, or the image does not have as many
            channels as ``mean`` and ``std``.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        prob: float = 0.25,
        area_range: tuple[float, float] = (0.02, 1 / 3),
        aspect_range: tuple[float, float] = (0.3, 1 / 0.3),
        max_attempts: int = 10,
    ) -> None:
        check(SHARE, prob=prob)
        check_range(PART, area_range=area_range)
        check_range(POSITIVE, aspect_range=aspect_range)
        check(COUNT, max_attempts=max_attempts)
        check_each(NUMBER, mean=mean)
        check_each(POSITIVE, std=std)
        if len(mean) != len(std):
            raise ValueError(f'mean has {len(mean)} channels, std has {len(std)}')
        self.mean = np.asarray(mean, dtype=np.float32)
        self.std = np.asarray(std, dtype=np.float32)
        self.prob = prob
        self.area_range = area_range
        self.aspect_range = aspect_range
        self.max_attempts = max_attempts

    @cache_randomness
    def _erases(self) -> bool:
        return np.random.rand() < self.prob

    @cache_randomness
    def _rectangle(self, img_h: int, img_w: int) -> tuple[int, int, int, int] | None:
        """Top, left, height and width in pixels, or None if no draw fitted."""
        for _ in range(self.max_attempts):
            area = np.random.uniform(*self.area_range) * img_h * img_w
            aspect = math.exp(np.random.uniform(*np.log(self.aspect_range)))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if h < img_h and w < img_w:
                top = np.random.randint(img_h - h + 1)
                left = np.random.randint(img_w - w + 1)
                return top, left, h, w
        return None

    def _erase(self, frames: Sequence[np.ndarray]) -> None:
        """Perhaps fill a rectangle of float32 frames (H, W, C), the same in all, with noise."""
        img_h, img_w, channels = frames[0].shape
        if channels != len(self.mean):
            raise ValueError(
                f'the image has {channels} channels, mean and std have {len(self.mean)}'
            )
        rectangle = self._rectangle(img_h, img_w) if self._erases() else None
        if rectangle is not None:
            top, left, h, w = rectangle
            for frame in frames:
                noise = torch.randn(h, w, channels).numpy()  # NumPy takes several times as long
                frame[top : top + h, left : left + w] = self.mean + self.std * noise

    def transform(self, results: dict) -> dict:
        # Channels come first in memory, as PackInputs wants them: it copies nothing then.
        planes = np.array(cv2.split(results['img']), np.float32)
        results['img'] = planes.transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)
        self._erase([results['img']])
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(mean={self.mean.tolist()}, std={self.std.tolist()}, '
            f'prob={self.prob}, area_range={self.area_range}, aspect_range={self.aspect_range}, '
            f'max_attempts={self.max_attempts})'
        )


@TRANSFORMS.register_module()
class ClipRandomErasing(NormalizedRandomErasing):
    """:class:`NormalizedRandomErasing` for clips: one rectangle a clip, new noise in every frame.

    Required keys: ``imgs``, a list of (H, W, C) frames of the same size, and ``clip_len``. Modified
    key: ``imgs``, to float32.

    Args:
        mean (Sequence[float]): As in :class:`NormalizedRandomErasing`; RGB for mmaction2's frames.
        std (Sequence[float]): Likewise.
        max_attempts (int): Likewise. Defaults to 100.
        **kwargs: The other arguments of :class:`NormalizedRandomErasing`.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], max_attempts: int = 100, **kwargs
    ) -> None:
        super().__init__(mean, std, max_attempts=max_attempts, **kwargs)

    def transform(self, results: dict) -> dict:
        results['imgs'] = frames = [frame.astype(np.float32) for frame in results['imgs']]
        length = results['clip_len']
        for start in range(0, len(frames), length):
            self._erase(frames[start : start + length])
        return results
