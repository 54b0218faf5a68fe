"""Loss of token labelling on clips, where a teacher labels the tokens.

Paper: Liang et al., "DualFormer: Local-Global Stratified Transformer for Efficient Video
Recognition", ECCV 2022, arXiv 2112.04674. Facts are those of its code,
https://github.com/sail-sg/dualformer: the paper does not write the loss out.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from uniformer_mm.arguments import COUNT, NOT_NEGATIVE, check
from uniformer_mm.registry import MODELS


@MODELS.register_module()
class TeacherTokenLoss(nn.Module):
    """Cross-entropy of tokens and what a teacher says of them, averaged over tokens and clips.

    Of the teacher's logits for a token the ``k`` largest are kept, with those equal to the last of
    them. All others become 0, not minus infinity, and a softmax over all classes makes the target.

    Args:
        k (int): How many of the teacher's logits are kept. Defaults to 5.
        loss_weight (float): Weight of the loss. Defaults to 0.5.

    Raises:
        ValueError: If an argument has an illegal value.
    """

    def __init__(self, k: int = 5, loss_weight: float = 0.5) -> None:
        check(COUNT, k=k)
        check(NOT_NEGATIVE, loss_weight=loss_weight)
        super().__init__()
        self.k = k
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """The weighted loss.

        Args:
            logits: Of the tokens, (B, T, H, W, K).
            teacher_logits: Of the teacher's tokens, (B, r * T, H, W, K). The mean of those at the
                times t, t + T, ... stands for the token at t: the original code's pairing.

        Raises:
            ValueError: If the teacher has other tokens or classes.
        """
        student, teacher = tuple(logits.shape[1:]), tuple(teacher_logits.shape[1:])
        if teacher[0] % student[0] or teacher[1:] != student[1:]:
            raise ValueError(
                'A teacher has the height, width and classes of its student, and a multiple of its '
                f'frames. The tokens of the student are {student} (frames, height, width, classes),'
                f' those of the teacher {teacher}.'
            )
        # (B, r * T, H, W, K) -> (B, r, T, H, W, K) -> (B, T, H, W, K)
        teacher_logits = teacher_logits.unflatten(1, (-1, student[0])).mean(1)
        largest = teacher_logits.topk(min(self.k, student[-1])).values
        kept = teacher_logits.where(teacher_logits >= largest[..., -1:], 0)
        targets = kept.softmax(-1)
        return self.loss_weight * F.cross_entropy(logits.flatten(0, 3), targets.flatten(0, 3))
