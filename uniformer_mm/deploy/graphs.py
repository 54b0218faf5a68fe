"""Models of the MM libraries as networks from an array to named arrays.

Each takes a model in eval mode and refuses one whose predictions it would not give. What
surrounds a network, from the file of an image to the picture of a prediction, stands in
``tools/deploy/predict.py``.
"""

from __future__ import annotations

import importlib
from typing import Any

from torch import Tensor, nn

from uniformer_mm.errors import UserError


class Graph(nn.Module):
    """A model with one input and named outputs.

    Args:
        model: A model of an MM library, with all its weights.

    Raises:
        UserError: If its predictions are others than those of this graph.
    """

    input_names: tuple[str, ...] = ('images',)
    output_names: tuple[str, ...]

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.check()
        self.eval()

    def check(self) -> None:
        """See that the model predicts as this graph does."""


def _refuse(part: str, found: Any, expected: str) -> None:
    raise UserError(f'{part} cannot be exported: it is {found!r}; expected {expected}.')


class ClassifierGraph(Graph):
    """mmpretrain's classifiers: images (B, 3, H, W) to the probabilities of the classes (B, K)."""

    output_names = ('scores',)

    def check(self) -> None:
        """Refuse heads that do not choose one class by its probability."""
        heads = importlib.import_module('mmpretrain.models.heads')
        head = self.model.head
        if getattr(type(head), '_get_predictions', None) is not heads.ClsHead._get_predictions:
            _refuse('model.head', type(head).__name__, 'a head for one class an image')

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities (B, K)."""
        return self.model.head(self.model.extract_feat(images)).softmax(1)


class SegmentorGraph(Graph):
    """mmseg's segmentors: images (B, 3, H, W) to the logits of the classes (B, K, H, W)."""

    output_names = ('logits',)

    def check(self) -> None:
        """Refuse sliding windows, and what is resized by other rules than predict.py's."""
        model = self.model
        if model.test_cfg.get('mode', 'whole') != 'whole':
            _refuse('model.test_cfg.mode', model.test_cfg.mode, "'whole', for whole images")
        if model.out_channels == 1:
            _refuse('model.decode_head.out_channels', 1, 'a channel for each class')
        if model.align_corners:
            _refuse('model.decode_head.align_corners', True, 'False')

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K, H, W)."""
        return self.model.encode_decode(images, [{'img_shape': images.shape[2:]}])


class PoseGraph(Graph):
    """mmpose's top-down estimators: crops (B, 3, H, W) to heat maps (B, K, h, w) of keypoints."""

    output_names = ('heatmaps',)

    def check(self) -> None:
        """Refuse what is not decoded by the maximum of a heat map and its neighbours."""
        heads = importlib.import_module('mmpose.models.heads')
        codecs = importlib.import_module('mmpose.codecs')
        head, test = self.model.head, self.model.test_cfg
        if not isinstance(head, heads.HeatmapHead):
            _refuse('model.head', type(head).__name__, 'a HeatmapHead')
        if not isinstance(head.decoder, codecs.MSRAHeatmap) or head.decoder.unbiased:
            _refuse('codec', type(head.decoder).__name__, 'an MSRAHeatmap that is not unbiased')
        if test.get('flip_mode', 'heatmap') != 'heatmap':
            _refuse('model.test_cfg.flip_mode', test.flip_mode, "'heatmap'")
        if test.get('output_keypoint_indices') is not None:
            _refuse('model.test_cfg.output_keypoint_indices', 'set', 'all keypoints')

    def forward(self, images: Tensor) -> Tensor:
        """Heat maps (B, K, h, w)."""
        return self.model.head(self.model.extract_feat(images))


class RecognizerGraph(Graph):
    """mmaction2's recognizers of clips: (B, 3, T, H, W) to the probabilities of actions (B, K)."""

    input_names = ('clips',)
    output_names = ('scores',)

    def check(self) -> None:
        """Refuse heads that do not average the clips of a video."""
        head = self.model.cls_head
        if head.average_clips not in ('score', 'prob'):
            _refuse('model.cls_head.average_clips', head.average_clips, "'score' or 'prob'")

    def forward(self, clips: Tensor) -> Tensor:
        """Probabilities (B, K), of each clip for itself."""
        return self.model.cls_head(self.model.backbone(clips)).softmax(1)
