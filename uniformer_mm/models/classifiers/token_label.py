"""Training with token labels: MixToken.

This module imports mmpretrain; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

from typing import Any

from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample
from torch import Tensor

from uniformer_mm.registry import MODELS

from ..batch_box import BatchBox

FIRST_STRIDE, LAST_STRIDE = 4, 32  # of the maps that are mixed, and of the tokens that are unmixed


@MODELS.register_module()
class TokenLabelClassifier(ImageClassifier):
    """mmpretrain's ``ImageClassifier`` with MixToken in training.

    In every training step, the images of a batch exchange a box of the first map with those of the
    reversed batch. It takes the place of Mixup and CutMix, which know of no label maps. Edges of
    the box that fall inside a token of the last map are floored, as in the original code.

    Args:
        backbone (dict): One that takes ``mix``, as those of this package do, and reduces by 4 first
            and by 32 in all.
        head (dict): A ``TokenLabelHead``.
        mix_alpha (float, optional): The share of the map outside the box is Beta(alpha, alpha).
            None mixes nothing. Defaults to 1.
        data_preprocessor (dict, optional): As in ``ImageClassifier``.
        init_cfg (dict, optional): Likewise.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        head: dict[str, Any],
        mix_alpha: float | None = 1.0,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            backbone, head=head, data_preprocessor=data_preprocessor, init_cfg=init_cfg
        )
        self.mix_alpha = mix_alpha

    def loss(self, inputs: Tensor, data_samples: list[DataSample]) -> dict[str, Tensor]:
        """Losses of a batch (B, 3, H, W), which is mixed.

        Raises:
            ValueError: If a side of the images is no multiple of 32.
        """
        if self.mix_alpha is None:
            return super().loss(inputs, data_samples)
        height, width = inputs.shape[-2:]
        if height % LAST_STRIDE or width % LAST_STRIDE:
            raise ValueError(
                f'MixToken needs images whose sides are multiples of {LAST_STRIDE}; got {height} x '
                f'{width} (height x width). Change the crop, or set mix_alpha=None.'
            )
        box = BatchBox.random(height // FIRST_STRIDE, width // FIRST_STRIDE, self.mix_alpha)
        feats = self.backbone(inputs, mix=box.exchange)
        return self.head.loss(feats, data_samples, box.shrink(LAST_STRIDE // FIRST_STRIDE))
