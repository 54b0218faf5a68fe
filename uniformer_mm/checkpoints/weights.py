"""The weights in one file, sorted by part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from uniformer_mm.errors import CheckpointError

from .released import known_head_dim

# The heads' official names, and those in classifiers of MMPretrain and MMAction2.
MM_HEADS = {
    'image': {
        'head.': 'head.fc.',
        'aux_head.': 'head.aux_fc.',
        'norm_cls.': 'head.token_norm.',
        'head_cls.': 'head.token_fc.',
    },
    'video': {
        'head.': 'cls_head.fc_cls.',
        'norm_cls.': 'cls_head.token_norm.',
        'head_cls.': 'cls_head.token_fc.',
        'token_linear.': 'cls_head.token_linear.',
    },
}
# Parts that only the classifier has; a backbone may be loaded without them.
CLASSIFIER_PREFIXES = tuple({**MM_HEADS['image'], **MM_HEADS['video']})


@dataclass
class Weights:
    """The weights in one file, sorted by part.

    Attributes:
        backbone: Backbone entries under their official names.
        classifier: Classification heads under their official names: ``head``, ``aux_head`` of
            token labelling (``token_linear`` of DualFormer's), and ``norm_cls`` and ``head_cls`` of
            a light network.
        other: Everything else (necks, task heads) under the names in the file.
        source: The file's path or URL.
        layout: ``'official'``, ``'mm'`` or ``'openmixup'``.
        averaged: Whether these are averaged (EMA) weights, as far as the file tells.
        meta: What the file says about itself.
    """

    backbone: dict[str, Tensor]
    classifier: dict[str, Tensor]
    other: dict[str, Tensor]
    source: str
    layout: str
    averaged: bool = False
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def video(self) -> bool:
        """Whether the backbone is one for clips, whose convolutions have a time axis."""
        return any(value.ndim == 5 for value in self.backbone.values())

    @property
    def token_labelling(self) -> bool:
        """Whether the weights are from token labelling, which has a head on every token."""
        return any(key.startswith('aux_head.') for key in self.classifier)

    @property
    def head_dim(self) -> int | None:
        """Channels of one attention head if the file or its name tells, else None.

        Raises:
            CheckpointError: If the file tells something else than a number.
        """
        stated = self.meta.get('head_dim')
        if stated is None:
            return known_head_dim(self.source, self.token_labelling)
        if type(stated) is not int or stated < 1:
            raise CheckpointError(f'The head_dim in {self.source} is no number of channels.')
        return stated
