"""Training with token labels: MixToken.

This module imports mmpretrain; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample
from torch import Tensor

from uniformer_mm.arguments import SHARE, check
from uniformer_mm.registry import MODELS

from ..batch_box import BatchBox

FIRST_STRIDE, LAST_STRIDE = 4, 32  # of the maps that are mixed, and of the tokens that are unmixed


@MODELS.register_module()
class TokenLabelClassifier(ImageClassifier):
    """mmpretrain's ``ImageClassifier`` with MixToken in training.

    The images of a batch exchange a box of the first map with those of the reversed batch. It takes
    the place of Mixup and CutMix, which know of no label maps. The share of the map outside the box
    is uniform, but for what the border cuts off. Edges that fall inside a token of the last map are
    floored, as in the original code.

    Args:
        backbone (dict): One that takes ``mix``, as those of this package do, and reduces by 4 first
            and by 32 in all.
        head (dict): A ``TokenLabelHead``.
        mix_prob (float): Chance that a batch is mixed. Defaults to 1.
        data_preprocessor (dict, optional): As in ``ImageClassifier``.
        init_cfg (dict, optional): Likewise.

    Raises:
        ValueError: If ``mix_prob`` is no probability.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        head: dict[str, Any],
        mix_prob: float = 1.0,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        check(SHARE, mix_prob=mix_prob)
        super().__init__(
            backbone, head=head, data_preprocessor=data_preprocessor, init_cfg=init_cfg
        )
        self.mix_prob = mix_prob

    def loss(self, inputs: Tensor, data_samples: list[DataSample]) -> dict[str, Tensor]:
        """Losses of a batch (B, 3, H, W).

        Raises:
            ValueError: If a side of the images is no multiple of 32.
        """
        height, width = inputs.shape[-2:]
        if self.mix_prob and (height % LAST_STRIDE or width % LAST_STRIDE):
            raise ValueError(
                f'MixToken needs images whose sides are multiples of {LAST_STRIDE}; got {height} x '
                f'{width} (height x width). Change the crop, or set mix_prob=0.'
            )
        if np.random.rand() >= self.mix_prob:
            return super().loss(inputs, data_samples)
        box = BatchBox.random(height // FIRST_STRIDE, width // FIRST_STRIDE)
        feats = self.backbone(inputs, mix=box.exchange)
        return self.head.loss(feats, data_samples, box.shrink(LAST_STRIDE // FIRST_STRIDE))
