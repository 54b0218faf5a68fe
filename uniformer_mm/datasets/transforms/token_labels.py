"""An image and its label map, moved together.

A label map (2, k, H, W) holds the scores of the k likeliest classes of each of its cells, and the
numbers of these classes. It covers the whole image. Facts are those of the code that UniFormer was
trained with, https://github.com/zihangJiang/TokenLabeling.

This module imports mmpretrain; the registry imports it as soon as a config asks for its types.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform, RandomFlip
from mmpretrain.datasets.transforms import (
    BaseAugTransform,
    RandAugment,
    RandomResizedCrop,
    Rotate,
    Shear,
    Translate,
)
from torch import Tensor

from uniformer_mm.arguments import COUNT, check
from uniformer_mm.errors import UserError
from uniformer_mm.registry import TRANSFORMS

INTERPOLATIONS = ('bilinear', 'bicubic')
FLIPPED_AXES = dict(horizontal=(3,), vertical=(2,), diagonal=(2, 3))


@TRANSFORMS.register_module()
class LoadTokenLabel(BaseTransform):
    """Read the label map of an image: a tensor alone in a file, which cannot run code.

    Required key: ``token_label_path``. Added key: ``token_label``, a float32 tensor (2, k, H, W).

    Args:
        num_classes (int): Classes of the head.
    """

    def __init__(self, num_classes: int) -> None:
        check(COUNT, num_classes=num_classes)
        self.num_classes = num_classes

    def transform(self, results: dict) -> dict:
        """Add the label map.

        Raises:
            UserError: Names the file, and what is wrong with it.
        """
        path = results['token_label_path']
        try:
            label = torch.load(path, map_location='cpu', weights_only=True)
        except Exception as error:  # torch reports damage with many types
            raise UserError(
                f'{path} cannot be read as a label map: damaged, or no PyTorch file of a tensor '
                f'({type(error).__name__}).'
            ) from error
        results['token_label'] = self._check(label, path)
        return results

    def _check(self, label: Any, path: str) -> Tensor:
        if not isinstance(label, Tensor) or not label.is_floating_point():
            kind = label.dtype if isinstance(label, Tensor) else type(label).__name__
            raise UserError(f'{path} holds {kind}: expected a float tensor.')
        if label.ndim != 4 or len(label) != 2 or label.numel() == 0:
            raise UserError(
                f'{path} holds a tensor {tuple(label.shape)}: expected (2, k, H, W), the scores '
                'and numbers of the k likeliest classes of each of H x W cells.'
            )
        label = label.float()
        scores, classes = label
        if not scores.isfinite().all():
            raise UserError(f'{path} has scores that are no finite numbers.')
        if not (classes.min() >= 0 and classes.max() < self.num_classes):
            raise UserError(
                f'{path} has classes from {classes.min():.0f} to {classes.max():.0f}: expected 0 '
                f'to {self.num_classes - 1}.'
            )
        return label

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_classes={self.num_classes})'


@TRANSFORMS.register_module()
class TokenLabelFlip(RandomFlip):
    """mmcv's ``RandomFlip`` that flips the label map with its image.

    Required keys: those of ``RandomFlip`` and ``token_label``. Modified likewise.

    Args:
        *args, **kwargs: Those of ``RandomFlip``.
    """

    def _flip(self, results: dict) -> None:
        super()._flip(results)
        axes = FLIPPED_AXES[results['flip_direction']]
        results['token_label'] = results['token_label'].flip(axes)


@TRANSFORMS.register_module()
class TokenLabelRandAugment(RandAugment):
    """mmpretrain's ``RandAugment`` that rotates, shears and moves the label map with its image.

    The map is moved on its own grid, by the same angle, shear and share of its size, to the nearest
    cell. What comes in from outside has a score of 0, which is that of all classes that are not
    among a cell's likeliest.

    Required keys: ``img``, ``token_label``. Modified likewise.

    Args:
        *args: Those of ``RandAugment``.
        interpolations (Sequence[str]): Of which one is drawn whenever pixels are moved. Defaults to
            bilinear and bicubic.
        **kwargs: Those of ``RandAugment``.

    Raises:
        ValueError: If a policy is no ``BaseAugTransform``.
    """

    def __init__(
        self, *args: Any, interpolations: Sequence[str] = INTERPOLATIONS, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.interpolations = interpolations
        self.map_transforms = [self._of_map(transform) for transform in self.transforms]

    @staticmethod
    def _of_map(transform: BaseTransform) -> BaseTransform | None:
        """What does to numbers of cells what a transform does to pixels; None if nothing moves."""
        if not isinstance(transform, BaseAugTransform):
            raise ValueError(
                f'{type(transform).__name__} is no operation of RandAugment: the label map would '
                'not follow it.'
            )
        if not isinstance(transform, Rotate | Shear | Translate):
            return None
        transform = copy.copy(transform)
        transform.interpolation, transform.pad_val = 'nearest', 0
        return transform

    def transform(self, results: dict) -> dict:
        """Apply the drawn transforms to the image, and those that move pixels to the map."""
        label: Tensor = results['token_label']
        height, width = label.shape[2:]
        # Cells are numbered from 1; 0 is outside. Their numbers move, and the cells follow at last.
        cells = np.arange(1, height * width + 1, dtype=np.float32).reshape(height, width)
        for index in self.random_policy_indices():
            on_image, on_map = self.transforms[index], self.map_transforms[index]
            if on_map is None:
                results = on_image(results)
                continue
            on_image.interpolation = np.random.choice(self.interpolations)
            state = np.random.get_state()
            results = on_image(results)
            np.random.set_state(state)  # both make the same draws
            cells = on_map(dict(img=cells))['img']
        order = torch.from_numpy(cells).long().flatten()
        results['token_label'] = F.pad(label.flatten(2), (1, 0))[..., order].reshape(label.shape)
        return results


@TRANSFORMS.register_module()
class TokenLabelRandomResizedCrop(RandomResizedCrop):
    """mmpretrain's ``RandomResizedCrop`` that crops the image only, and notes where.

    Required key: ``img``. Modified keys: ``img``, ``img_shape``. Added key: ``crop_box``, a tensor
    (4,): top, left, height and width of the crop as shares of the image.

    Args:
        *args: Those of ``RandomResizedCrop``.
        interpolations (Sequence[str]): Of which one is drawn for each image. Defaults to bilinear
            and bicubic.
        **kwargs: Those of ``RandomResizedCrop``.
    """

    def __init__(
        self, *args: Any, interpolations: Sequence[str] = INTERPOLATIONS, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.interpolations = interpolations

    def rand_crop_params(self, img: np.ndarray) -> tuple[int, int, int, int]:
        self._crop = super().rand_crop_params(img)
        return self._crop

    def transform(self, results: dict) -> dict:
        """Crop and resize the image, add its place."""
        sides = results['img'].shape[:2]
        self.interpolation = np.random.choice(self.interpolations)
        results = super().transform(results)
        results['crop_box'] = torch.tensor(self._crop) / torch.tensor(sides * 2)
        return results
