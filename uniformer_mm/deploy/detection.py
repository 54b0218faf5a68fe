"""Two-stage detectors of mmdet as graphs: tensors in, tensors of fixed sizes out.

mmdet walks through the images of a batch and keeps as many boxes as it finds. Here all images are
worked on at once, and what is missing is filled up with boxes of score 0. What it finds is the
same. This module imports mmdet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models import (
    CascadeRoIHead,
    RPNHead,
    SingleRoIExtractor,
    StandardRoIHead,
    TwoStageDetector,
)
from mmdet.models.task_modules import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.coders.delta_xywh_bbox_coder import delta2bbox
from torch import Tensor, nn
from torchvision.ops import nms, roi_align

from uniformer_mm.errors import UserError
from uniformer_mm.models.layers.ops import channels_first, channels_last
from uniformer_mm.models.layers.windows import pad_ends

# What mmcv's NMS takes and this one can give; split_thr changes nothing of the result.
NMS_KEYS = {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}


class DetectorGraph(nn.Module):
    """A two-stage detector without mmdet's data structures: Faster, Mask or Cascade R-CNN.

    Args:
        model: The detector, built and loaded. It is set to eval mode.

    Attributes:
        input_names: Names of what :meth:`forward` takes.
        output_names: Names of what it returns; ``masks`` only if the detector has a mask head.

    Raises:
        UserError: If the detector is of another kind, or has a part that is not known here.
    """

    input_names = ('images',)

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.detector = model
        self.box_heads, self.box_extractors = _stages(model, 'bbox')
        self.mask_heads, self.mask_extractors = _stages(model, 'mask')
        self.output_names = ('boxes', 'scores', 'labels', *(['masks'] if self.mask_heads else []))
        _check_parts(self)
        self.divisor = getattr(model.data_preprocessor, 'pad_size_divisor', 1)
        self.eval()  # itself too: an exporter gives all modules back the mode of the outermost

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Find objects.

        Args:
            images: Normalised images of one size, (B, 3, H, W). The far ends are padded here, so
                any size will do.

        Returns:
            ``boxes`` (B, K, 4): left, top, right and bottom in pixels of the input; ``scores``
            (B, K): falling; ``labels`` (B, K); ``masks`` (B, K, h, w): probabilities inside the
            box. K is ``test_cfg.rcnn.max_per_img``; all is 0 where there is no object.
        """
        size = images.shape[-2:]
        images = channels_first(pad_ends(channels_last(images), (self.divisor,) * 2))
        maps = self.detector.extract_feat(images)
        proposals, exists = self._propose(maps, size)
        boxes, scores, labels = self._classify(maps, proposals, exists, size)
        if not self.mask_heads:
            return boxes, scores, labels
        masks = self._outline(maps, boxes, labels)
        return boxes, scores, labels, masks * (scores > 0)[..., None, None]

    def _propose(self, maps: Sequence[Tensor], size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Regions (B, P, 4) that may hold objects, and which of them are there, (B, P)."""
        head = self.detector.rpn_head
        cfg = head.test_cfg
        score_maps, delta_maps = head(maps)
        priors = head.prior_generator.grid_priors(
            [scores.shape[-2:] for scores in score_maps], maps[0].dtype, maps[0].device
        )
        all_boxes, all_scores = [], []
        for logits, deltas, anchors in zip(score_maps, delta_maps, priors, strict=True):
            # (B, A x, H, W) -> (B, H W A, x)
            logits = _rows(logits, head.cls_out_channels)
            deltas = _rows(deltas, 4)
            # Without the background, the last channel.
            scores = logits.sigmoid() if head.use_sigmoid_cls else logits.softmax(-1)[..., :-1]
            # A small map has fewer places than are taken of it: filled up, so that sizes are fixed.
            fill = (0, 0, 0, cfg.nms_pre)
            scores, best = F.pad(scores, fill, value=-1.0).squeeze(2).topk(cfg.nms_pre, dim=1)
            deltas = _take(F.pad(deltas, fill), best)
            anchors = F.pad(anchors, fill)[best]
            all_boxes.append(_decode(head.bbox_coder, anchors, deltas, size))
            all_scores.append(scores)
        boxes, scores = torch.cat(all_boxes, 1), torch.cat(all_scores, 1)
        if cfg.get('min_bbox_size', -1) >= 0:
            sides = boxes[..., 2:] - boxes[..., :2]
            scores = scores.where((sides > cfg.min_bbox_size).all(-1), -1.0)
        levels = torch.arange(len(maps), device=boxes.device).repeat_interleave(cfg.nms_pre)
        places = torch.arange(scores.numel(), device=boxes.device)
        kept = _suppress(
            boxes.flatten(0, 1),
            scores.flatten(),
            levels.repeat(scores.shape[0]),
            places // scores.shape[1],
            cfg.nms,
            size,
        )
        count = min(cfg.max_per_img, scores.shape[1])
        scores, best = kept.reshape(scores.shape).topk(count, dim=1)
        return _take(boxes, best), scores >= 0

    def _classify(
        self, maps: Sequence[Tensor], regions: Tensor, exists: Tensor, size: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (B, K, 4), scores and labels (B, K) of the objects in regions (B, P, 4)."""
        cfg = self.detector.roi_head.test_cfg
        logits = []
        for stage, (head, extractor) in enumerate(
            zip(self.box_heads, self.box_extractors, strict=True)
        ):
            found, deltas = head(_pool(extractor, maps, regions))
            # (B P, x) -> (B, P, x)
            logits.append(found.reshape(*regions.shape[:2], head.num_classes + 1))
            # (B P, x 4) -> (B, P, x, 4), with one x for all classes or one for each
            deltas = deltas.reshape(*regions.shape[:2], -1, 4)
            boxes = _decode(head.bbox_coder, regions.unsqueeze(2), deltas, size)
            if stage + 1 < len(self.box_heads):
                regions = _of_class(boxes, logits[-1][..., :-1].argmax(-1))
        scores = (sum(logits) / len(logits)).softmax(-1)[..., :-1]
        batch, per_image, classes = scores.shape
        boxes = boxes.expand(-1, -1, classes, 4).reshape(batch, per_image * classes, 4)
        likely = ((scores > cfg.score_thr) & exists.unsqueeze(2)).flatten().nonzero().squeeze(1)
        scores = scores.flatten(1)
        kept = _suppress(
            boxes.flatten(0, 1)[likely],
            scores.flatten()[likely],
            likely % classes,
            likely // scores.shape[1],
            cfg.nms,
            size,
        )
        kept = torch.full_like(scores.flatten(), -1.0).scatter(0, likely, kept)
        scores, best = kept.reshape(scores.shape).topk(cfg.max_per_img, dim=1)
        is_there = scores > 0
        boxes = _take(boxes, best) * is_there.unsqueeze(2)
        return boxes, scores.clamp(min=0), best % classes * is_there

    def _outline(self, maps: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """Masks (B, K, h, w) of boxes (B, K, 4)."""
        masks = 0
        for head, extractor in zip(self.mask_heads, self.mask_extractors, strict=True):
            found = head(_pool(extractor, maps, boxes))
            # (B K, x, h, w) -> (B, K, x, h w), with one x for all classes or one for each
            by_class = found.sigmoid().reshape(*boxes.shape[:2], found.shape[1], -1)
            masks = masks + _of_class(by_class, labels) / len(self.mask_heads)
        return masks.reshape(*boxes.shape[:2], *found.shape[2:])


def _stages(model: nn.Module, task: str) -> tuple[nn.ModuleList, nn.ModuleList]:
    """Heads and region extractors of all stages of a detector, in a plain list."""
    roi_head = getattr(model, 'roi_head', None)
    if not getattr(roi_head, f'with_{task}', False):
        return nn.ModuleList(), nn.ModuleList()
    parts = (getattr(roi_head, f'{task}_{kind}') for kind in ('head', 'roi_extractor'))
    return tuple(p if isinstance(p, nn.ModuleList) else nn.ModuleList([p]) for p in parts)


def _check_parts(graph: DetectorGraph) -> None:
    """Refuse a detector that would give something else here than in mmdet."""
    model = graph.detector
    if not isinstance(model, TwoStageDetector) or not graph.box_heads:
        raise UserError(
            f'Exports Faster, Mask and Cascade R-CNN; {type(model).__name__} is not of their kind.'
        )
    rpn, roi_head = model.rpn_head, model.roi_head
    extractors = (*graph.box_extractors, *graph.mask_extractors)
    coders = [head.bbox_coder for head in (rpn, *graph.box_heads)]
    suppressions = [rpn.test_cfg.nms, roi_head.test_cfg.nms]
    known = {
        'rpn_head as RPNHead': type(rpn) is RPNHead,
        'roi_head as StandardRoIHead or CascadeRoIHead': (
            type(roi_head) in (StandardRoIHead, CascadeRoIHead)
        ),
        'roi_head without shared_head': not roi_head.with_shared_head,
        'bbox_head with one softmax over the classes': (
            not any(head.custom_cls_channels for head in graph.box_heads)
        ),
        'bbox_coder as DeltaXYWHBBoxCoder with clip_border': all(
            type(coder) is DeltaXYWHBBoxCoder and coder.clip_border for coder in coders
        ),
        'roi_extractor as SingleRoIExtractor with average-pooling RoIAlign': all(
            isinstance(extractor, SingleRoIExtractor)
            and all(getattr(layer, 'pool_mode', None) == 'avg' for layer in extractor.roi_layers)
            for extractor in extractors
        ),
        "test_cfg with nms of type 'nms'": all(
            cfg.get('type', 'nms') == 'nms' and not set(cfg) - NMS_KEYS for cfg in suppressions
        ),
        'test_cfg.rpn.nms_pre as a positive number': rpn.test_cfg.get('nms_pre', -1) > 0,
        'test_cfg.rcnn.max_per_img as a positive number': roi_head.test_cfg.max_per_img > 0,
    }
    if unknown := [part for part, is_so in known.items() if not is_so]:
        raise UserError(f'Export needs {"; ".join(unknown)}. Change the config, or export another.')


def _rows(maps: Tensor, channels: int) -> Tensor:
    """(B, A x channels, H, W) -> (B, H W A, channels)."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, channels)


def _take(values: Tensor, rows: Tensor) -> Tensor:
    """Of values (B, N, x), the given rows (B, n) of each image: (B, n, x)."""
    return values.gather(1, rows.unsqueeze(2).expand(-1, -1, values.shape[2]))


def _of_class(values: Tensor, labels: Tensor) -> Tensor:
    """Of values (B, N, classes or 1, x), those of a label (B, N): (B, N, x)."""
    if values.shape[2] == 1:
        return values.squeeze(2)
    return values.gather(2, labels[..., None, None].expand(-1, -1, 1, values.shape[3])).squeeze(2)


def _decode(
    coder: DeltaXYWHBBoxCoder, boxes: Tensor, deltas: Tensor, size: Sequence[int]
) -> Tensor:
    """Move boxes, broadcast to deltas (..., 4), and cut them to the image."""
    moved = delta2bbox(
        boxes.expand_as(deltas).reshape(-1, 4),
        deltas.reshape(-1, 4),
        coder.means,
        coder.stds,
        add_ctr_clamp=coder.add_ctr_clamp,
        ctr_clamp=coder.ctr_clamp,
    )
    height, width = size
    x, y = moved[:, 0::2].clamp(0, width), moved[:, 1::2].clamp(0, height)
    return torch.stack([x, y], 2).reshape(deltas.shape)


def _suppress(
    boxes: Tensor, scores: Tensor, kinds: Tensor, images: Tensor, cfg: Any, size: Sequence[int]
) -> Tensor:
    """Scores (N,) of boxes (N, 4) of all images and kinds (levels or classes), -1 if dropped."""
    # Boxes of one kind must not meet another: kinds lie side by side, images one below the other,
    # which keeps the coordinates small and so exact.
    height, width = size
    side = torch.zeros_like(kinds) if cfg.get('class_agnostic', False) else kinds
    shift = torch.stack([side * (width + 1), images * (height + 1)], 1).to(boxes.dtype)
    # torch.export takes it that two boxes or more are kept: empty ones always are.
    boxes = F.pad(boxes + shift.repeat(1, 2), (0, 0, 0, 2))
    scores = F.pad(scores, (0, 2), value=-1.0)
    keep = nms(boxes, scores, cfg.iou_threshold)
    return torch.full_like(scores, -1.0).scatter(0, keep, scores[keep])[:-2]


def _pool(extractor: SingleRoIExtractor, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """Features of boxes (B, N, 4), (B N, C, h, w), each from the level that fits its size."""
    images = torch.arange(boxes.shape[0], device=boxes.device).to(boxes.dtype)
    images = images[:, None, None].expand(-1, boxes.shape[1], 1)
    regions = torch.cat([images, boxes], 2).flatten(0, 1)
    levels = extractor.map_roi_levels(regions, extractor.num_inputs)[:, None]
    pooled = None
    for level, layer in enumerate(extractor.roi_layers):
        is_own = levels == level
        # Those of other levels are empty here, which costs next to nothing and fixes all sizes.
        values = roi_align(
            maps[level],
            regions * is_own,
            layer.output_size,
            layer.spatial_scale,
            layer.sampling_ratio,
            layer.aligned,
        )
        pooled = values if pooled is None else values.where(is_own[..., None, None], pooled)
    return pooled
