"""Label maps and images of segmentation, made safe for what follows."""

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform

from uniformer_mm.errors import UserError
from uniformer_mm.registry import TRANSFORMS

IGNORED = 255


@TRANSFORMS.register_module()
class CheckSegMap(BaseTransform):
    """Refuse a label map that does not belong to its image or to the classes.

    mmseg resizes and crops image and label separately, so that a label of another size is trained
    against the wrong pixels or fails far from its cause; a class that the head does not have stops
    the GPU with an assertion that names nothing. It stands right after ``LoadAnnotations`` and
    takes numbers as that left them: 0-based, 255 for no class.

    Required keys: ``gt_seg_map`` (H, W), ``ori_shape``, ``seg_map_path``, ``img_path``.

    Args:
        num_classes (int): Classes of the head.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes

    def transform(self, results: dict) -> dict:
        """Return ``results`` as they are.

        Raises:
            UserError: Names the file, what it holds and what was expected.
        """
        if 'gt_seg_map' not in results:
            return results
        label, path = results['gt_seg_map'], results['seg_map_path']
        if label.ndim != 2:
            raise UserError(
                f'{path} has {label.shape[-1]} channels: expected one number per pixel, as in a '
                'grey or palette PNG, not colours.'
            )
        if label.shape != tuple(results['ori_shape'][:2]):
            sizes = ['{1} x {0}'.format(*shape) for shape in (label.shape, results['ori_shape'])]
            raise UserError(
                f'{path} has {sizes[0]} pixels, its image {results["img_path"]} has {sizes[1]} '
                '(width x height): expected a label for every pixel.'
            )
        classes = label[label != IGNORED]
        if classes.size and classes.max() >= self.num_classes:
            added = int(bool(results.get('reduce_zero_label')))
            raise UserError(
                f'{path} has a pixel of {classes.max() + added}: expected {added} to '
                f'{self.num_classes - 1 + added}, or {"0 or " * added}{IGNORED} for no class.'
            )
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_classes={self.num_classes})'


@TRANSFORMS.register_module()
class ResizeToAtLeast(BaseTransform):
    """Enlarge sides below a minimum to it; other images stay untouched.

    A network that reduces by 32 has nothing left of a thinner image. Scores are taken at the size
    of the original, so a test of a strip gives a strip.

    Required key: ``img`` (H, W, C). Modified keys: ``img``, ``img_shape``.

    Args:
        size (int): Least height and width in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def transform(self, results: dict) -> dict:
        """Resize bilinearly if need be."""
        image: np.ndarray = results['img']
        height, width = (max(side, self.size) for side in image.shape[:2])
        if (height, width) != image.shape[:2]:
            results['img'] = mmcv.imresize(image, (width, height))
            results['img_shape'] = (height, width)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size})'
