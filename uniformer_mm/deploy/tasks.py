"""One record for each kind of model that can be exported: its graph, its steps, its names."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config
from torch import nn

from uniformer_mm.errors import UserError

from . import steps
from .graphs import ClassifierGraph, Graph, PoseGraph, RecognizerGraph, SegmentorGraph
from .resizing import make_resizable
from .steps import Steps

# What a file knows of its data beside the names of the classes.
Meta = dict[str, Any]


def _no_meta(cfg: Config, model: nn.Module, known: Meta) -> Meta:
    return {}


@dataclass(frozen=True)
class Deployment:
    """How the models of one library become files.

    Attributes:
        task: What the file does, by which ``tools/deploy/predict.py`` knows how to run it.
        graph: Makes a network of a model.
        num_classes: Of a model; 0 if it tells none apart.
        steps: What the transforms of its tests do.
        outputs: What each output is.
        meta: Further entries of the metadata, of the config, the model and what is known of the
            data.
        loaded: Order of the channels behind a transform that loads, by its name. Defaults to BGR.
        adapt: Replaces layers of a model that exporters cannot follow by equal ones.
        clip: Whether the input is a clip.
        pads: Whether the graph itself pads its input with zeros to the divisor of the config.
    """

    task: str
    graph: Callable[[nn.Module], Graph]
    num_classes: Callable[[nn.Module], int]
    steps: Steps
    outputs: dict[str, str]
    meta: Callable[[Config, nn.Module, Meta], Meta] = _no_meta
    loaded: dict[str, str] = field(default_factory=dict)
    adapt: Callable[[nn.Module], None] = lambda model: None
    clip: bool = False
    pads: bool = False

    def describe(self, cfg: Config, model: nn.Module, known: Meta) -> Meta:
        """What a file has to know beside its network, ready for JSON.

        Args:
            cfg: The config.
            model: Its model.
            known: What is known of the data: ``classes`` and perhaps ``palette``.

        Raises:
            UserError: If a step before the network cannot be repeated.
        """
        pipeline = steps.read_steps(cfg, self.steps)
        names = [step['type'] for step in cfg.test_dataloader.dataset.pipeline]
        loaded = next((self.loaded[name] for name in names if name in self.loaded), 'BGR')
        values = steps.read_values(cfg, loaded)
        if self.pads:
            if values['pad_value'] != 0:
                raise UserError(f'data_preprocessor pads with {values["pad_value"]}; expected 0.')
            values['pad_divisor'] = 1
        return dict(
            task=self.task,
            steps=pipeline,
            values=values,
            classes=[*known.get('classes', ())],
            head_dim=model.backbone.head_dim,
            outputs=self.outputs,
            **self.meta(cfg, model, known),
        )


def _colours(cfg: Config, model: nn.Module, known: Meta) -> Meta:
    return dict(palette=[list(map(int, colour)) for colour in known.get('palette') or ()])


def _keypoints(cfg: Config, model: nn.Module, known: Meta) -> Meta:
    """Names, skeleton and colours of keypoints, and how the heat maps are decoded."""
    inference = importlib.import_module('mmpose.apis.inference')
    # A checkpoint that knows nothing of its data leaves it to the config.
    meta = known if 'flip_indices' in known else inference.dataset_meta_from_config(cfg, 'test')
    if meta is None:
        raise UserError('test_dataloader.dataset has no metainfo, which names the keypoints.')
    test, codec = model.test_cfg, model.head.decoder
    return dict(
        keypoints=[meta['keypoint_id2name'][i] for i in range(meta['num_keypoints'])],
        skeleton=[list(map(int, link)) for link in meta['skeleton_links']],
        keypoint_colours=[list(map(int, colour)) for colour in meta['keypoint_colors']],
        skeleton_colours=[list(map(int, colour)) for colour in meta['skeleton_link_colors']],
        flip_indices=[int(index) for index in meta['flip_indices']],
        flip_test=bool(test.get('flip_test', False)),
        shift_heatmap=bool(test.get('shift_heatmap', False)),
        heatmap_scale=[float(factor) for factor in codec.scale_factor],
    )


def _clips(cfg: Config, model: nn.Module, known: Meta) -> Meta:
    return dict(average=model.cls_head.average_clips)


def _detector(model: nn.Module) -> Graph:
    from .detection import DetectorGraph

    return DetectorGraph(model).eval()


def _detections(cfg: Config, model: nn.Module, known: Meta) -> Meta:
    threshold = model.roi_head.test_cfg.get('mask_thr_binary', 0.5)
    return dict(mask_threshold=float(threshold), **_colours(cfg, model, known))


def _detector_classes(model: nn.Module) -> int:
    heads = model.roi_head.bbox_head
    return (heads[0] if isinstance(heads, nn.ModuleList) else heads).num_classes


CLASSIFIER = Deployment(
    'classification',
    ClassifierGraph,
    lambda model: model.head.num_classes,
    {
        'LoadImageFromFile': steps.load_bgr,
        'ResizeEdge': steps.resize_edge,
        'Resize': steps.resize_within,
        'CenterCrop': steps.center_crop,
        'PackInputs': steps.nothing,
    },
    {'scores': 'probability of each class, (B, K)'},
)
SEGMENTOR = Deployment(
    'segmentation',
    SegmentorGraph,
    lambda model: model.decode_head.num_classes,
    {
        'LoadImageFromFile': steps.load_bgr,
        'Resize': steps.resize_within,
        'ResizeToMultiple': steps.resize_to_multiple,
        'uniformer_mm.ResizeToAtLeast': steps.resize_to_at_least,
        'LoadAnnotations': steps.nothing,
        'uniformer_mm.LoadLabelMap': steps.nothing,
        'PackSegInputs': steps.nothing,
    },
    {'logits': 'logits of each class at the size of the input, (B, K, H, W)'},
    meta=_colours,
    adapt=make_resizable,
)
POSE = Deployment(
    'pose',
    PoseGraph,
    lambda model: 0,
    {
        'LoadImage': steps.load_bgr,
        'GetBBoxCenterScale': steps.frame_box,
        'TopdownAffine': steps.crop_box,
        'PackPoseInputs': steps.nothing,
    },
    {'heatmaps': 'a map for each keypoint, (B, K, h, w)'},
    meta=_keypoints,
)
RECOGNIZER = Deployment(
    'video classification',
    RecognizerGraph,
    lambda model: model.cls_head.num_classes,
    {
        'uniformer_mm.PyAVInit': steps.nothing,
        'uniformer_mm.PyAVDecode': steps.nothing,
        'RawFrameDecode': steps.nothing,
        'UniformSample': steps.sample_uniform,
        'uniformer_mm.DenseClipSample': steps.sample_dense,
        'uniformer_mm.SampleFramesV0': steps.sample_v0,
        'Resize': steps.resize_frames,
        'CenterCrop': steps.center_crop_frames,
        'ThreeCrop': steps.center_crop_frames,
        'uniformer_mm.FirstCrop': steps.first_crop,
        'FormatShape': steps.format_shape,
        'PackActionInputs': steps.nothing,
    },
    {'scores': 'probability of each class of each clip, (B, K)'},
    meta=_clips,
    loaded={'uniformer_mm.PyAVDecode': 'RGB'},
    clip=True,
)
DETECTOR = Deployment(
    'detection',
    _detector,
    _detector_classes,
    {
        'LoadImageFromFile': steps.load_bgr,
        'Resize': steps.resize_within,
        'LoadAnnotations': steps.nothing,
        'PackDetInputs': steps.nothing,
    },
    {
        'boxes': 'x1, y1, x2, y2 in pixels of the input, (B, N, 4)',
        'scores': 'probability of each box, 0 where there is none, (B, N)',
        'labels': 'class of each box, (B, N)',
        'masks': 'probabilities in each box, (B, N, h, w)',
    },
    meta=_detections,
    pads=True,
)
