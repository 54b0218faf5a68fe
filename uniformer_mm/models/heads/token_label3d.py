"""The two classifiers of token labelling on clips.

This module imports mmaction; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from uniformer_mm.arguments import COUNT, RATE, check
from uniformer_mm.registry import MODELS

from .float32 import Float32I3DHead


@MODELS.register_module()
class TokenLabelHead3D(Float32I3DHead):
    """A linear classifier of the pooled map, and a perceptron that classifies each of its tokens.

    The second takes part in the loss alone. Its names are those of the original code
    (``token_linear``), and so is its initialisation, which is PyTorch's. Use it in a
    ``TokenLabelRecognizer3D``, whose teacher labels the tokens; for tests any recognizer will do.

    Args:
        num_classes (int): Number of classes K.
        in_channels (int): Channels C of the map.
        loss_cls (dict): Loss of the clips. Defaults to half the cross-entropy.
        loss_token (dict): Loss of the tokens. Defaults to half of that with the teacher.
        dropout_ratio (float): Dropout before the first classifier, and in both hidden layers of
            the second. Defaults to 0.5.
        **kwargs: The other arguments of ``I3DHead``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: dict[str, Any] = dict(type='CrossEntropyLoss', loss_weight=0.5),  # noqa: B006
        loss_token: dict[str, Any] = dict(  # noqa: B006
            type='uniformer_mm.TeacherTokenLoss', loss_weight=0.5
        ),
        dropout_ratio: float = 0.5,
        **kwargs: Any,
    ) -> None:
        check(COUNT, num_classes=num_classes, in_channels=in_channels)
        check(RATE, dropout_ratio=dropout_ratio)
        super().__init__(
            num_classes, in_channels, loss_cls=loss_cls, dropout_ratio=dropout_ratio, **kwargs
        )
        self.token_linear = nn.Sequential(
            nn.Linear(in_channels, 2 * in_channels),
            nn.Dropout(dropout_ratio),
            nn.ReLU(),
            nn.Linear(2 * in_channels, 4 * in_channels),
            nn.Dropout(dropout_ratio),
            nn.ReLU(),
            nn.Linear(4 * in_channels, num_classes),
        )
        self.loss_token = MODELS.build(loss_token)

    def token_logits(self, feats: Tensor) -> Tensor:
        """Logits of each token: (B, C, T, H, W) -> (B, T, H, W, K)."""
        return self.token_linear(feats.permute(0, 2, 3, 4, 1))

    def loss(
        self, feats: Tensor, data_samples: list, teacher_logits: Tensor, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Both losses, and the accuracies of the first classifier.

        Args:
            feats: Map of the backbone, (B, C, T, H, W).
            data_samples: With ``gt_label``.
            teacher_logits: Of the same tokens; see :class:`~uniformer_mm.TeacherTokenLoss`.
            **kwargs: What the recognizer gives to ``I3DHead``.

        Raises:
            ValueError: If the teacher has other tokens or classes.
        """
        losses = super().loss(feats, data_samples, **kwargs)
        losses['loss_token'] = self.loss_token(self.token_logits(feats), teacher_logits)
        return losses
