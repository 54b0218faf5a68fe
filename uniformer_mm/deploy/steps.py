"""What a test does to an image or video before the network, as plain data.

A file that runs without the MM libraries must say itself how its input is made. Every transform of
a test pipeline is a function here, of the transform's own arguments, which gives the steps that
``tools/deploy/predict.py`` repeats. One that is not known, or an argument of it that is not, is
refused: nothing is left out in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmengine.config import Config

from uniformer_mm.errors import UserError

Step = dict[str, Any]
Steps = dict[str, Callable[..., list[Step]]]

_PILLOW = ('nearest', 'bilinear', 'bicubic', 'box', 'hamming', 'lanczos')


def nothing(**_: Any) -> list[Step]:
    """Of transforms that do nothing to the input."""
    return []


def load_bgr(
    to_float32: bool = False, color_type: str = 'color', imdecode_backend: str = 'cv2', **_: Any
) -> list[Step]:
    """Of transforms that load images as OpenCV does."""
    if color_type != 'color' or imdecode_backend != 'cv2':
        raise ValueError('images are read in colour, as by OpenCV')
    return []


def _filter(backend: str, interpolation: str) -> str:
    """Name of an interpolation in predict.py: Pillow's, or OpenCV's without antialiasing."""
    if backend == 'cv2' and interpolation == 'bilinear':
        return 'linear'
    if backend == 'pillow' and interpolation in _PILLOW:
        return interpolation
    raise ValueError(f'{interpolation!r} of {backend!r} is no interpolation that a file can repeat')


def resize_edge(
    scale: int, edge: str = 'short', backend: str = 'cv2', interpolation: str = 'bilinear'
) -> list[Step]:
    """mmpretrain's ``ResizeEdge``, of the shorter side."""
    if edge != 'short':
        raise ValueError(f'edge={edge!r}: a file resizes the shorter edge')
    return [dict(step='resize_short', side=scale, filter=_filter(backend, interpolation))]


def resize_within(
    scale: int | Sequence[float],
    keep_ratio: bool = False,
    backend: str = 'cv2',
    interpolation: str = 'bilinear',
) -> list[Step]:
    """mmcv's ``Resize``: as large as the longer and the shorter side of ``scale`` allow, or to it.

    A negative side of mmaction2's is no limit.
    """
    name = _filter(backend, interpolation)
    scale = (scale, scale) if isinstance(scale, int) else scale
    if not keep_ratio:
        return [dict(step='resize_to', width=scale[0], height=scale[1], filter=name)]
    if -1 in scale:
        return [dict(step='resize_within', long=None, short=max(scale), filter=name)]
    return [dict(step='resize_within', long=max(scale), short=min(scale), filter=name)]


def resize_frames(
    scale: Sequence[float], keep_ratio: bool = True, interpolation: str = 'bilinear'
) -> list[Step]:
    """mmaction2's ``Resize``, which keeps the ratio unless it is told otherwise."""
    return resize_within(scale, keep_ratio, interpolation=interpolation)


def resize_to_multiple(size_divisor: int = 32, interpolation: str | None = None) -> list[Step]:
    """mmseg's ``ResizeToMultiple``."""
    name = _filter('cv2', interpolation or 'bilinear')
    return [dict(step='resize_up', divisor=size_divisor, least=0, filter=name)]


def resize_to_at_least(size: int) -> list[Step]:
    """``ResizeToAtLeast`` of this project."""
    return [dict(step='resize_up', divisor=1, least=size, filter='linear')]


def _crop(size: int | Sequence[int], place: str) -> list[Step]:
    height, width = (size, size) if isinstance(size, int) else size
    return [dict(step='crop', height=height, width=width, place=place)]


def center_crop(crop_size: int | Sequence[int]) -> list[Step]:
    """mmpretrain's ``CenterCrop`` without padding, which rounds half a pixel to an even one."""
    return _crop(crop_size, 'middle')


def center_crop_frames(crop_size: int | Sequence[int]) -> list[Step]:
    """mmaction2's ``CenterCrop``; also in place of its ``ThreeCrop``, as by its inferencer."""
    size = (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
    return _crop(tuple(size)[::-1], 'center')  # (width, height)


def first_crop(crop_size: int) -> list[Step]:
    """``FirstCrop`` of this project."""
    return _crop(crop_size, 'first')


def frame_box(padding: float = 1.25) -> list[Step]:
    """mmpose's ``GetBBoxCenterScale``."""
    return [dict(step='pad_box', padding=padding)]


def crop_box(input_size: Sequence[int], use_udp: bool = False) -> list[Step]:
    """mmpose's ``TopdownAffine`` without UDP."""
    if use_udp:
        raise ValueError('use_udp=True: a file crops boxes without UDP')
    return [dict(step='crop_box', width=input_size[0], height=input_size[1])]


def sample_uniform(clip_len: int, num_clips: int = 1, test_mode: bool = False) -> list[Step]:
    """mmaction2's ``UniformSample``."""
    return _sample('uniform', clip_len, 1, num_clips, test_mode)


def sample_dense(
    clip_len: int, frame_interval: int = 1, num_clips: int = 1, test_mode: bool = False
) -> list[Step]:
    """``DenseClipSample`` of this project."""
    return _sample('dense', clip_len, frame_interval, num_clips, test_mode)


def sample_v0(
    clip_len: int, frame_interval: int = 1, num_clips: int = 1, test_mode: bool = False
) -> list[Step]:
    """``SampleFramesV0`` of this project."""
    return _sample('v0', clip_len, frame_interval, num_clips, test_mode)


def _sample(rule: str, length: int, interval: int, clips: int, test_mode: bool) -> list[Step]:
    if not test_mode:
        raise ValueError('test_mode=False chooses frames by chance')
    return [dict(step='sample', rule=rule, length=length, interval=interval, clips=clips)]


def format_shape(input_format: str) -> list[Step]:
    """mmaction2's ``FormatShape``."""
    if input_format != 'NCTHW':
        raise ValueError(f'input_format={input_format!r}: a file takes clips as NCTHW')
    return []


def read_steps(cfg: Config, known: Steps) -> list[Step]:
    """The steps of a config's test.

    Args:
        cfg: The config.
        known: What the transforms of its library do.

    Raises:
        UserError: If there is no test pipeline, or a file cannot repeat a transform of it.
    """
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    pipeline = dataset.get('pipeline')
    if not pipeline:
        raise UserError(
            'The config has no test_dataloader.dataset.pipeline, which says how inputs are made.'
        )
    steps = []
    for number, transform in enumerate(pipeline):
        entry = f'test_dataloader.dataset.pipeline.{number}'
        options = {key: transform[key] for key in transform if key not in ('type', '_scope_')}
        name = transform['type'] if isinstance(transform['type'], str) else 'a class'
        function = known.get(name)
        if function is None:
            raise UserError(
                f'{entry} is {name}, which an exported file cannot repeat; it knows '
                f'{", ".join(known)}.'
            )
        try:
            steps += function(**options)
        except (TypeError, ValueError) as error:
            raise UserError(f'{entry} ({name}) cannot be exported: {error}.') from error
    return steps


# Arguments of the libraries' data preprocessors that play a part in training alone, or in labels.
_TRAINING = {
    *('type', '_scope_', 'num_classes', 'to_onehot', 'blending', 'batch_augments'),
    *('size', 'size_divisor', 'seg_pad_val', 'pad_mask', 'mask_pad_value', 'pad_seg'),
    *('boxtype2tensor', 'format_shape', 'non_blocking'),
}
_ORDERS = ('to_rgb', 'bgr_to_rgb', 'rgb_to_bgr')  # each exchanges the first channel and the last


def read_values(cfg: Config, loaded: str) -> dict[str, Any]:
    """How pixels from 0 to 255 become the values that the network gets.

    Args:
        cfg: The config.
        loaded: Order of the channels behind the pipeline, ``'RGB'`` or ``'BGR'``.

    Raises:
        UserError: If the data preprocessor has an argument that a file cannot repeat.
    """
    options = dict(cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {})
    orders = [bool(options.pop(key, False)) for key in _ORDERS]
    values = dict(
        channels=loaded[::-1] if any(orders) else loaded,
        mean=list(options.pop('mean', None) or [0.0]),
        std=list(options.pop('std', None) or [1.0]),
        pad_divisor=options.pop('pad_size_divisor', 1),
        pad_value=options.pop('pad_val', options.pop('pad_value', 0)),
    )
    if unknown := sorted(key for key in options if key not in _TRAINING):
        raise UserError(
            f'data_preprocessor.{unknown[0]}: an exported file knows no such argument of '
            f'{options.get("type", "a data preprocessor")}.'
        )
    return values
