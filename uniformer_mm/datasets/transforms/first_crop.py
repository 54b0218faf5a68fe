"""The crop at which UniFormer's authors test a single view of Something-Something."""

from __future__ import annotations

from mmcv.transforms import BaseTransform

from uniformer_mm.arguments import COUNT, check
from uniformer_mm.errors import UserError
from uniformer_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class FirstCrop(BaseTransform):
    """Take the left crop of every frame, of upright frames the top one: the first of ``ThreeCrop``.

    The authors' loader of Something-Something numbers the crops, and one crop is number 0.

    Required keys: ``imgs``. Changed keys: ``imgs``, ``img_shape``.

    Args:
        crop_size (int): Side of the crop, and shorter side of the frames.

    Raises:
        ValueError: If the size is no positive integer.
        UserError: If the shorter side of a frame differs from it.
    """

    def __init__(self, crop_size: int) -> None:
        check(COUNT, crop_size=crop_size)
        self.crop_size = crop_size

    def transform(self, results: dict) -> dict:
        size = self.crop_size
        height, width = results['imgs'][0].shape[:2]
        if min(height, width) != size:
            raise UserError(
                f'FirstCrop(crop_size={size}) expects frames whose shorter side is {size}; got '
                f'{width} x {height}. Put Resize with scale=(-1, {size}) before it.'
            )
        results['imgs'] = [frame[:size, :size] for frame in results['imgs']]
        results['img_shape'] = (size, size)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(crop_size={self.crop_size})'
