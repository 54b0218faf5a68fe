"""Training-time changes of a person's box, distributed as in the original UniFormer pose code.

mmpose's ``RandomBBoxTransform`` covers the same ranges with one truncated normal for all of them:
it never reaches the ends of the scale range, where a clipped normal puts a third of its mass, and
turns by less than 40 degrees in 56 % of its rotations instead of 68 %. It also shifts a box after
``RandomHalfBody`` has replaced it, where the original shifts the annotated one.
"""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from uniformer_mm.arguments import NOT_NEGATIVE, RATE, SHARE, check
from uniformer_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomBBoxShift(BaseTransform):
    """Move the centers of boxes by a uniform share of their width and height.

    To be placed right after mmpose's ``GetBBoxCenterScale``, before anything replaces the box.

    Required keys: ``bbox`` (N, 4) as x1, y1, x2, y2 in pixels and ``bbox_center`` (N, 2). Modified
    key: ``bbox_center``.

    Args:
        max_shift (float): Largest shift along each axis, as a share of the unpadded box. Defaults
            to 0.2.
        prob (float): Chance that a box is moved. Defaults to 0.3.

    Raises:
        ValueError: If ``prob`` is no probability or ``max_shift`` is negative.
    """

    def __init__(self, max_shift: float = 0.2, prob: float = 0.3) -> None:
        check(SHARE, prob=prob)
        check(NOT_NEGATIVE, max_shift=max_shift)
        self.max_shift = max_shift
        self.prob = prob

    @cache_randomness
    def _shifts(self, num_boxes: int) -> np.ndarray:
        """Shift of each box in widths and heights, (N, 2)."""
        shifts = np.random.uniform(-self.max_shift, self.max_shift, (num_boxes, 2))
        return np.where(np.random.rand(num_boxes, 1) < self.prob, shifts, 0.0)

    def transform(self, results: dict) -> dict:
        bbox = results['bbox']
        shifts = self._shifts(len(bbox)) * (bbox[:, 2:4] - bbox[:, :2])
        results['bbox_center'] = (results['bbox_center'] + shifts).astype(np.float32)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(max_shift={self.max_shift}, prob={self.prob})'


@TRANSFORMS.register_module()
class ClippedNormalScaleRotation(BaseTransform):
    """Resize and turn boxes by clipped normal amounts.

    The scale is multiplied by ``1 + scale_std * N(0, 1)`` clipped to ``1 - scale_std`` and
    ``1 + scale_std``; the rotation is ``rotation_std * N(0, 1)`` clipped to twice ``rotation_std``.
    Mass outside the limits is put on them.

    Required key: ``bbox_scale`` (N, 2). Modified key: ``bbox_scale``. Added key: ``bbox_rotation``
    (N,), in degrees.

    Args:
        scale_std (float): Standard deviation of the scale, and its limit. Defaults to 0.5.
        rotation_std (float): Standard deviation of the rotation in degrees. Defaults to 40.
        rotation_prob (float): Chance that a box is turned. Defaults to 0.6.

    Raises:
        ValueError: If ``rotation_prob`` is no probability, ``scale_std`` is not in [0, 1) or
            ``rotation_std`` is negative.
    """

    def __init__(
        self, scale_std: float = 0.5, rotation_std: float = 40.0, rotation_prob: float = 0.6
    ) -> None:
        check(SHARE, rotation_prob=rotation_prob)
        check(RATE, scale_std=scale_std)
        check(NOT_NEGATIVE, rotation_std=rotation_std)
        self.scale_std = scale_std
        self.rotation_std = rotation_std
        self.rotation_prob = rotation_prob

    @cache_randomness
    def _amounts(self, num_boxes: int) -> tuple[np.ndarray, np.ndarray]:
        """Factor of the scale (N, 1) and rotation in degrees (N,) of each box."""
        factor = 1 + self.scale_std * np.clip(np.random.randn(num_boxes, 1), -1, 1)
        rotation = self.rotation_std * np.clip(np.random.randn(num_boxes), -2, 2)
        return factor, np.where(np.random.rand(num_boxes) < self.rotation_prob, rotation, 0.0)

    def transform(self, results: dict) -> dict:
        factor, rotation = self._amounts(len(results['bbox_scale']))
        results['bbox_scale'] = (results['bbox_scale'] * factor).astype(np.float32)
        results['bbox_rotation'] = rotation.astype(np.float32)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(scale_std={self.scale_std}, '
            f'rotation_std={self.rotation_std}, rotation_prob={self.rotation_prob})'
        )
