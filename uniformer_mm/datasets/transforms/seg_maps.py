"""Label maps and images of segmentation, made safe for what follows."""

from __future__ import annotations

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from uniformer_mm.arguments import COUNT, check
from uniformer_mm.errors import UserError
from uniformer_mm.registry import TRANSFORMS

IGNORED = 255


@TRANSFORMS.register_module()
class LoadLabelMap(BaseTransform):
    """Read a label map; refuse one that does not belong to its image or to the classes.

    It stands in place of mmseg's ``LoadAnnotations`` and numbers classes as that does: 0-based, 255
    for no class. Unlike that it keeps the rows and columns of an image that has only one of them,
    and refuses numbers that 8 bits cannot hold, which mmseg 1.2.2 lets wrap around to other
    classes.

    mmseg resizes and crops image and label separately, so that a label of another size would be
    trained against the wrong pixels or fail far from its cause; a class that the head does not have
    would stop the GPU with an assertion that names nothing.

    Required keys: ``seg_map_path`` (without it, as in an inferencer, nothing is read),
    ``img_path``, ``ori_shape``; ``reduce_zero_label`` and ``label_map`` as mmseg's data sets give
    them. Added keys: ``gt_seg_map`` (H, W) uint8 and its name in ``seg_fields``.

    Args:
        num_classes (int, optional): Number of classes. Defaults to None, for those of the data set:
            ``HeadCheckHook`` sets it before a run. Nothing is checked against no number.
        imdecode_backend (str): What decodes the file, see :func:`mmcv.imfrombytes`. Defaults to
            ``'pillow'``.
        backend_args (dict, optional): Where files are read from, see :mod:`mmengine.fileio`.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        imdecode_backend: str = 'pillow',
        backend_args: dict | None = None,
    ) -> None:
        if num_classes is not None:
            check(COUNT, num_classes=num_classes)
        self.num_classes = num_classes
        self.imdecode_backend = imdecode_backend
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Add the label map.

        Raises:
            UserError: Names the file, what it holds and what was expected.
        """
        if 'seg_map_path' not in results:
            return results
        numbers = self._read(results)
        classes = self._classes(results)
        found = np.flatnonzero(np.bincount(numbers.ravel(), minlength=len(classes)))
        limit = self.num_classes or IGNORED
        wrong = found[(classes[found] != IGNORED) & (classes[found] >= limit)]
        if wrong.size:
            first = int(bool(results.get('reduce_zero_label')))
            last = max(results.get('label_map') or [self.num_classes - 1]) + first
            none = f'0 or {IGNORED}' if first else IGNORED
            raise UserError(
                f'{results["seg_map_path"]} has a pixel of {wrong[-1]}: expected {first} to {last},'
                f' or {none} for no class.'
            )
        results['gt_seg_map'] = classes[numbers]
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def _read(self, results: dict) -> np.ndarray:
        """The numbers in the file, (H, W) uint8."""
        path = results['seg_map_path']
        try:
            data = fileio.get(path, backend_args=self.backend_args)
            label = mmcv.imfrombytes(data, flag='unchanged', backend=self.imdecode_backend)
            if label is None or label.size == 0:
                raise ValueError('no pixels')
        except Exception as error:  # the decoders have exceptions of their own
            raise UserError(
                f'{path} cannot be read as a label map: missing, damaged, or no image '
                f'({type(error).__name__}).'
            ) from error
        if label.ndim == 3 and label.shape[2] == 1:
            label = label[..., 0]
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
        if label.min() < 0 or label.max() > 255:
            raise UserError(
                f'{path} holds numbers from {label.min()} to {label.max()}: expected 0 to 255.'
            )
        return label.astype(np.uint8)

    @staticmethod
    def _classes(results: dict) -> np.ndarray:
        """The class of each number that a file may hold, (256,) uint8."""
        numbers = np.arange(256, dtype=np.uint8)
        if results.get('reduce_zero_label'):
            numbers = np.where(numbers == IGNORED, numbers, numbers - 1)  # 0 becomes 255
        classes = numbers.copy()
        for old, new in (results.get('label_map') or {}).items():
            classes[numbers == old] = new
        return classes

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_classes={self.num_classes}, '
            f'imdecode_backend={self.imdecode_backend!r}, backend_args={self.backend_args})'
        )


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
        check(COUNT, size=size)
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
