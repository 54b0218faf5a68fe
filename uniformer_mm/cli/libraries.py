"""One record for each OpenMMLab library: all that the tools do differently for one of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config

from uniformer_mm.analysis.complexity import CLIP, DETECTOR, IMAGE, Forward, Task
from uniformer_mm.deploy import tasks


@dataclass(frozen=True)
class Drawing:
    """A library's hook that draws predictions.

    Attributes:
        hook: Its type.
        switch: Its argument that turns it on.
        folder: Its argument for the output folder; None if the visualizer's ``save_dir`` decides.
        visualizer: Type of the visualizer, for configs that name none.
        with_tta: Whether it can draw the outcome of test-time augmentation.
    """

    hook: str
    switch: str
    folder: str | None = None
    visualizer: str | None = None
    with_tta: bool = True


@dataclass(frozen=True)
class FlipTTA:
    """Test-time augmentation by a flip, for configs that describe none.

    Attributes:
        model: The model that merges the predictions.
        pack: What the step that packs the inputs has to be told.
        unmerged: The metric of predictions that the model does not merge, if there is one.
    """

    model: dict[str, Any]
    pack: dict[str, Any] = field(default_factory=dict)
    unmerged: str | None = None


def _nothing(cfg: Config) -> None:
    """No preparation, no size."""


@dataclass(frozen=True)
class Library:
    """What the tools have to know about one OpenMMLab library.

    Attributes:
        scope: Name of the package, which is the ``default_scope`` of its configs.
        distribution: Its name on PyPI.
        extra: This project's pip extra that installs it.
        prepare: What the library's own tools do to a config before a run.
        loader: What its own tools complete the data loaders with.
        tta: Its default test-time augmentation, if there is one.
        tta_hint: What to do instead.
        drawing: Its hook that draws, if it can.
        drawing_hint: What to do instead.
        dump: Type of the metric that writes predictions to a file.
        task: How its models run when they are counted.
        paper_size: The input size at which papers count.
        own_size: The input size that a config itself names.
        deployment: How its models become files, if they can.
    """

    scope: str
    distribution: str = ''
    extra: str = ''
    prepare: Callable[[Config], None] = _nothing
    loader: dict[str, Any] = field(default_factory=dict)
    tta: FlipTTA | None = None
    tta_hint: str = ''
    drawing: Drawing | None = None
    drawing_hint: str = ''
    dump: str = 'DumpResults'
    task: Task = IMAGE
    paper_size: tuple[int, ...] = ()
    own_size: Callable[[Config], tuple[int, ...] | None] = _nothing
    deployment: tasks.Deployment | None = None


def _use_preprocess_cfg(cfg: Config) -> None:
    if 'preprocess_cfg' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.preprocess_cfg)


def _limit_compiler_cache(cfg: Config) -> None:
    importlib.import_module('mmdet.utils').setup_cache_size_limit_of_dynamo()


def _test_crop(cfg: Config) -> tuple[int, ...] | None:
    """The crop of the test pipeline, after the length of its clip if it has one."""
    dataset = (cfg.get('test_dataloader') or {}).get('dataset', {})
    steps = dataset.get('pipeline', [])
    frames = [step.clip_len for step in steps if 'clip_len' in step]
    for step in steps:
        if step.get('type') in ('CenterCrop', 'ThreeCrop', 'uniformer_mm.FirstCrop'):
            crop = step.crop_size
            return (*frames, *((crop, crop) if isinstance(crop, int) else crop))
    return None


def _codec_size(cfg: Config) -> tuple[int, ...] | None:
    size = cfg.get('codec', {}).get('input_size')
    return size and tuple(size)[::-1]  # it is (width, height)


LIBRARIES = {
    library.scope: library
    for library in (
        Library(
            'mmpretrain',
            'mmpretrain',
            'cls',
            loader={
                'pin_memory': True,
                'persistent_workers': True,
                'collate_fn': {'type': 'default_collate'},
            },
            tta=FlipTTA({'type': 'mmpretrain.AverageClsScoreTTA'}),
            drawing=Drawing(
                'uniformer_mm.ClsVisualizationHook', 'enable', 'out_dir', with_tta=False
            ),
            paper_size=(224, 224),
            own_size=_test_crop,
            deployment=tasks.CLASSIFIER,
        ),
        Library(
            'mmdet',
            'mmdet',
            'det',
            prepare=_limit_compiler_cache,
            tta=FlipTTA(
                {
                    'type': 'uniformer_mm.BoxTTAModel',
                    'tta_cfg': {'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 100},
                },
                {
                    'meta_keys': (
                        *('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
                        *('flip', 'flip_direction'),
                    )
                },
                unmerged='segm',
            ),
            drawing=Drawing('DetVisualizationHook', 'draw', 'test_out_dir'),
            dump='DumpDetResults',
            task=DETECTOR,
            paper_size=(800, 1280),
            deployment=tasks.DETECTOR,
        ),
        Library(
            'mmseg',
            'mmsegmentation',
            'seg',
            drawing=Drawing('SegVisualizationHook', 'draw', visualizer='SegLocalVisualizer'),
            paper_size=(512, 2048),
            deployment=tasks.SEGMENTOR,
        ),
        Library(
            'mmpose',
            'mmpose',
            'pose',
            prepare=_use_preprocess_cfg,
            tta_hint=' For pose use --cfg-options model.test_cfg.flip_test=True.',
            drawing=Drawing('PoseVisualizationHook', 'enable', 'out_dir'),
            paper_size=(256, 192),
            own_size=_codec_size,
            deployment=tasks.POSE,
        ),
        Library(
            'mmaction',
            'mmaction2',
            'video',
            drawing_hint="mmaction2's VisualizationHook cannot draw clips (it passes its "
            'visualizer an argument that does not exist). tools/visualization/draw.py draws '
            'the predictions of --dump.',
            task=CLIP,
            paper_size=(16, 224, 224),
            own_size=_test_crop,
            deployment=tasks.RECOGNIZER,
        ),
    )
}
# A config for something else is run as it stands.
_OTHER = Library(scope='', drawing_hint=f'they serve {", ".join(LIBRARIES)} only.')


def library_of(cfg: Config) -> Library:
    """The record of the library that a config is written for."""
    return LIBRARIES.get(cfg.get('default_scope'), _OTHER)


def task_forward(scope: str, shape: tuple[int, ...], in_channels: int = 3) -> Forward:
    """How to run a complete model of a library on one input, for ``count_complexity``.

    Args:
        scope: The config's ``default_scope``.
        shape: (H, W) of the image in pixels, or (T, H, W) of the clip.
        in_channels: Channels of the input. Defaults to 3.

    Raises:
        ValueError: If the library is unknown or the shape has the wrong length.
    """
    if scope not in LIBRARIES:
        raise ValueError(f'default_scope must be one of {sorted(LIBRARIES)}, got {scope!r}.')
    return LIBRARIES[scope].task.forward(shape, in_channels)
