"""Targets and loss of token labelling: the image and each of its tokens are classified.

Paper: Jiang et al., "All Tokens Matter: Token Labeling for Training Better Vision Transformers",
NeurIPS 2021, arXiv 2104.10858. Facts are those of the code that UniFormer was trained with,
https://github.com/zihangJiang/TokenLabeling.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from uniformer_mm.arguments import NOT_NEGATIVE, RATE, check, check_flags
from uniformer_mm.registry import MODELS

from ..batch_box import BatchBox


@MODELS.register_module()
class TokenLabelTarget:
    """Soft targets for a crop of an image and for its tokens, out of the image's label map.

    The map holds the scores of the likeliest classes of each of its cells; scores of all other
    classes count as 0. The scores that a crop covers are averaged, once for each token and once for
    the whole crop, and a softmax makes probabilities p of them. A target is (1 - e + e / K) p +
    e / K and so sums to 1 + e / K, as in the original code.

    Args:
        smoothing (float): Label smoothing e. Defaults to 0.1.
        swap_axes (bool): As the original code does, take what is above and below the crop for what
            is left and right of it: tokens of any crop but one symmetric to the diagonal get the
            label of another place. False takes it from their own. Defaults to True.

    Raises:
        ValueError: If an argument has an illegal value.
    """

    def __init__(self, smoothing: float = 0.1, swap_axes: bool = True) -> None:
        check(RATE, smoothing=smoothing)
        check_flags(swap_axes=swap_axes)
        self.smoothing = smoothing
        self.swap_axes = swap_axes

    @torch.no_grad()
    def __call__(
        self,
        token_labels: Tensor,
        crop_boxes: Tensor,
        gt_labels: Tensor,
        num_classes: int,
        size: tuple[int, int],
    ) -> Tensor:
        """Build the targets of a batch.

        Args:
            token_labels: Label maps, (B, 2, k, H, W): the scores of k classes for each cell, and
                the numbers of these classes.
            crop_boxes: Top, left, height and width of the crops as shares of their maps, (B, 4).
            gt_labels: Classes of the images, (B,).
            num_classes: Number of classes K.
            size: Rows h and columns w of tokens.

        Returns:
            Targets (B, K, 2 + h * w), float32: for the image from its class, for the image from its
            map, and for each token in raster order.
        """
        scores, classes = token_labels.float().unbind(1)
        maps = scores.new_zeros(len(scores), num_classes, *scores.shape[2:])
        maps.scatter_(1, classes.long(), scores)
        crops = self._crops(crop_boxes.to(maps), *maps.shape[2:])
        labels = [roi_align(maps, crops, cells).flatten(2) for cells in ((1, 1), size)]
        smooth = self.smoothing / num_classes
        labels = torch.cat(labels, 2).softmax(1) * (1 - self.smoothing + smooth) + smooth
        truth = F.one_hot(gt_labels, num_classes) * (1 - self.smoothing) + smooth
        return torch.cat([truth[..., None], labels], 2)

    def _crops(self, boxes: Tensor, height: int, width: int) -> Tensor:
        """Number in the batch, x1, y1, x2, y2 of the crops in cells, whose centers are integers."""
        top, left, rows, columns = boxes.unbind(1)
        if self.swap_axes:
            corners = torch.stack([top, left, top + rows, left + columns], 1) * width
        else:
            corners = torch.stack([left, top, left + columns, top + rows], 1)
            corners = corners * corners.new_tensor([width, height, width, height])
        numbers = torch.arange(len(boxes)).to(corners)
        return torch.cat([numbers[:, None], corners - 0.5], 1)


@MODELS.register_module()
class TokenLabelLoss(nn.Module):
    """Cross-entropy of the image's logits, and the mean of that of its tokens.

    Args:
        cls_weight (float): Weight of the image. Defaults to 1.
        dense_weight (float): Weight of the tokens. Defaults to 1.
        ground_truth (bool): Blend the class of the image into the target that its map gives: half
            and half where the map agrees, otherwise with a weight of 0.1. Defaults to False.

    Raises:
        ValueError: If an argument has an illegal value.
    """

    def __init__(
        self, cls_weight: float = 1.0, dense_weight: float = 1.0, ground_truth: bool = False
    ) -> None:
        check(NOT_NEGATIVE, cls_weight=cls_weight, dense_weight=dense_weight)
        check_flags(ground_truth=ground_truth)
        super().__init__()
        self.cls_weight = cls_weight
        self.dense_weight = dense_weight
        self.ground_truth = ground_truth

    def forward(
        self,
        cls_logits: Tensor,
        aux_logits: Tensor,
        target: Tensor,
        box: BatchBox | None = None,
    ) -> dict[str, Tensor]:
        """Both losses, weighted.

        Args:
            cls_logits: Of the images, (B, K).
            aux_logits: Of the N tokens, each of its own image, (B, K, N).
            target: What :class:`TokenLabelTarget` gives, (B, K, 2 + N).
            box: In which the samples exchanged tokens; the target of an image is mixed by its
                area. Defaults to None.

        Returns:
            ``loss_cls`` and ``loss_tokens``.
        """
        truth, label, tokens = target[..., 0], target[..., 1], target[..., 2:]
        if self.ground_truth:
            agrees = truth.argmax(1, keepdim=True) == label.argmax(1, keepdim=True)
            label = label.lerp(truth, 0.1 + 0.4 * agrees.to(label))
        if box is not None:
            share = 1 - box.area / tokens.shape[2]
            label = share * label + (1 - share) * label.flip(0)
        return {
            'loss_cls': self.cls_weight * F.cross_entropy(cls_logits, label),
            'loss_tokens': self.dense_weight * F.cross_entropy(aux_logits, tokens),
        }
