"""Repairs of third-party packages: the only place where this project patches anybody's code.

Every repair is one function that first checks whether its fault is present, so that a fixed
release of the package switches it off. Nothing that :func:`apply` does imports mmpretrain, mmdet,
mmseg, mmpose or mmaction.
"""

from __future__ import annotations

import argparse
import codecs
import functools
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import io
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import mmengine
import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

from uniformer_mm.errors import UserError

__all__ = ['apply', 'extract_regions_in_float32', 'load_weights_only']

# NumPy's own unpickling functions: they moved between NumPy 1 and 2.
_NUMPY_RECONSTRUCT = np.empty(0).__reduce__()[0]
_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_DTYPES = (
    *('bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64'),
    *('float16', 'float32', 'float64'),
)


def apply() -> None:
    """Make every repair that this environment needs.

    Called when ``uniformer_mm`` is imported; calling it again changes nothing.
    """
    allow_training_checkpoints()
    give_roi_align_contiguous_maps()
    keep_thin_images()
    keep_thin_label_maps()
    let_pose_inferencer_take_boxes()
    let_pose_visualizer_draw()
    provide_mmaction_drn()
    refuse_wide_label_maps()
    replace_pkg_resources()


class _MendingFinder(importlib.abc.MetaPathFinder):
    """Mends a module as soon as somebody imports it, so that its package stays optional."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mends: list[Callable[[ModuleType], None]] = []

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != self.name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            execute = spec.loader.exec_module

            def execute_and_mend(module: ModuleType) -> None:
                execute(module)
                for mend in self.mends:
                    mend(module)

            spec.loader.exec_module = execute_and_mend
        return spec


def _mend_when_imported(name: str, mend: Callable[[ModuleType], None]) -> None:
    """Mend the module ``name`` now, or when it is imported; ``mend`` may be called again."""
    if name in sys.modules:
        mend(sys.modules[name])
        return
    finders = (f for f in sys.meta_path if isinstance(f, _MendingFinder) and f.name == name)
    finder = next(finders, None)
    if finder is None:
        finder = _MendingFinder(name)
        sys.meta_path.insert(0, finder)
    if mend not in finder.mends:
        finder.mends.append(mend)


# -------------------------------------------------------------------------------------------------
# torch >= 2.6: torch.load reads weights only
# -------------------------------------------------------------------------------------------------


def _reconstruct_array(subtype: type, shape: tuple[int, ...], typecode: bytes) -> np.ndarray:
    """NumPy's unpickling constructor, for plain arrays only."""
    if subtype is not np.ndarray:
        raise pickle.UnpicklingError(f'Only plain NumPy arrays are allowed, got {subtype!r}.')
    return _NUMPY_RECONSTRUCT(subtype, shape, typecode)


def _history_buffer_statistic(owner: Any, name: Any) -> Any:
    """What ``getattr`` may do in a checkpoint: name one of ``HistoryBuffer``'s own statistics."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise pickle.UnpicklingError(
            f'Only the statistics of mmengine.HistoryBuffer may be looked up, got {name!r} '
            f'of {owner!r}.'
        )
    return getattr(owner, name)


def _safe_globals() -> dict[str, Any]:
    """What an MM training checkpoint or an official file holds beside tensors, by pickled name."""
    safe: dict[str, Any] = {
        'argparse.Namespace': argparse.Namespace,
        # A dict inside the metainfo that a config gives to a dataset, saved as dataset_meta.
        'mmengine.config.config.ConfigDict': ConfigDict,
        'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
        '_codecs.encode': codecs.encode,  # how bytes are pickled
        'builtins.getattr': _history_buffer_statistic,
        'numpy.ndarray': np.ndarray,
        'numpy.dtype': np.dtype,
    }
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):  # NumPy 1 and 2
        safe[f'{module}._reconstruct'] = _reconstruct_array
        safe[f'{module}.scalar'] = _NUMPY_SCALAR
    for name in _NUMPY_DTYPES:
        dtype_class = type(np.dtype(name))  # the class whose __setstate__ unpickling calls
        safe[f'{dtype_class.__module__}.{dtype_class.__qualname__}'] = dtype_class
    return safe


def _torch_reads_weights_only() -> bool:
    """Whether ``torch.load`` defaults to ``weights_only=True`` (since torch 2.6)."""
    return digit_version(torch.__version__) >= digit_version('2.6.0a0')


def allow_training_checkpoints() -> None:
    """Let MMEngine's own training checkpoints load under the weights-only rule.

    Fault: since torch 2.6 ``torch.load`` refuses every class outside a short list. MMEngine 0.10
    calls it without arguments, and its training checkpoints hold ``HistoryBuffer`` objects with
    NumPy arrays in ``message_hub``, so that testing and resuming fail. Official UniFormer files
    hold an ``argparse.Namespace``. The protection stays on: only these classes are registered,
    and the two general functions in their pickles (``getattr`` and NumPy's ``_reconstruct``) are
    mapped to functions that do nothing but what such a file needs.
    """
    if _torch_reads_weights_only():
        torch.serialization.add_safe_globals([(obj, name) for name, obj in _safe_globals().items()])


class _WeightsOnlyUnpickler(pickle.Unpickler):
    """The weights-only rule with our safe classes for torch < 2.6."""

    def find_class(self, module: str, name: str) -> Any:
        from torch._weights_only_unpickler import _get_allowed_globals

        module = 'builtins' if module == '__builtin__' else module  # its name in protocol 2
        full_name = f'{module}.{name}'
        allowed = {**_get_allowed_globals(), **_safe_globals()}
        if full_name not in allowed:
            raise pickle.UnpicklingError(f'{full_name} is not allowed in a checkpoint.')
        return allowed[full_name]


def load_weights_only(path: str | os.PathLike, mmap: bool = False) -> Any:
    """``torch.load`` on the CPU that runs no code from the file, on every supported torch.

    Args:
        path: A local file.
        mmap: Leave the tensors on the disk until they are used. Defaults to False.

    Returns:
        The object in the file.

    Raises:
        pickle.UnpicklingError: If the file holds anything but tensors, plain containers and the
            classes that MMEngine's and the official training checkpoints need.
    """
    if _torch_reads_weights_only():
        return torch.load(path, map_location='cpu', weights_only=True, mmap=mmap)
    # Before 2.6 torch cannot be told other names for safe functions; the same list goes in here.
    safe_pickle = SimpleNamespace(
        __name__='safe_pickle',
        Unpickler=_WeightsOnlyUnpickler,
        load=lambda file, **kwargs: _WeightsOnlyUnpickler(file, **kwargs).load(),
    )
    return torch.load(
        path, map_location='cpu', pickle_module=safe_pickle, weights_only=False, mmap=mmap
    )


# -------------------------------------------------------------------------------------------------
# mmcv 2.1: RoIAlign misreads maps in channels-last memory order
# -------------------------------------------------------------------------------------------------


def _roi_align_misreads(module: ModuleType) -> bool:
    """Whether the memory order of the map changes what ``roi_align`` returns."""
    maps = torch.arange(8.0, device='cpu').view(1, 2, 2, 2)
    rois = torch.tensor([[0.0, 0.0, 0.0, 2.0, 2.0]], device='cpu')
    order = torch.channels_last
    return not torch.equal(
        module.roi_align(maps, rois, 2),
        module.roi_align(maps.contiguous(memory_format=order), rois, 2),
    )


def _mend_roi_align(module: ModuleType) -> None:
    function = module.RoIAlignFunction
    forward = function.forward

    def contiguous_forward(ctx: Any, input: torch.Tensor, *args: Any) -> torch.Tensor:
        return forward(ctx, input.contiguous(), *args)

    if _roi_align_misreads(module):
        function.forward = staticmethod(contiguous_forward)


def give_roi_align_contiguous_maps() -> None:
    """Make RoIAlign right for maps in channels-last memory order.

    Fault: mmcv 2.1 hands the pointer of the map to its kernel without looking at the strides.
    UniFormer's maps come from channels-last tokens and the convolutions of an FPN keep that order,
    so the heads of a detector would get scrambled features, without an error.
    """
    _mend_when_imported('mmcv.ops.roi_align', _mend_roi_align)


# -------------------------------------------------------------------------------------------------
# mmcv 2.1: a strip is rescaled to nothing
# -------------------------------------------------------------------------------------------------


def _mend_scale_size(module: ModuleType) -> None:
    scale_size = module._scale_size

    def scale_to_a_pixel(size: tuple[int, int], scale: Any) -> tuple[int, int]:
        width, height = scale_size(size, scale)
        return max(width, 1), max(height, 1)

    if 0 in scale_size((1, 1), 0.1):
        module._scale_size = scale_to_a_pixel


def keep_thin_images() -> None:
    """Let mmcv rescale images whose shorter side becomes less than half a pixel.

    Fault: mmcv 2.1 rounds such a side to 0, and OpenCV refuses the size without naming the image.
    A side keeps one pixel instead.
    """
    _mend_when_imported('mmcv.image.geometric', _mend_scale_size)


# -------------------------------------------------------------------------------------------------
# mmseg 1.2.2: a label map of one row or column loses its shape
# -------------------------------------------------------------------------------------------------


def _mend_seg_loading(module: ModuleType) -> None:
    load = module.LoadAnnotations._load_seg_map
    if load.__module__ == __name__:
        return

    @functools.wraps(load, assigned=('__doc__',))
    def load_in_two_dimensions(self: Any, results: dict) -> None:
        load(self, results)
        label = results['gt_seg_map']
        if label.ndim < 2:
            shape = tuple(results['ori_shape'][:2])
            fits = label.size == shape[0] * shape[1]
            results['gt_seg_map'] = label.reshape(shape if fits else (1, -1))

    module.LoadAnnotations._load_seg_map = load_in_two_dimensions


def keep_thin_label_maps() -> None:
    """Let mmseg read labels of images that are one pixel high or wide.

    Fault: mmseg 1.2.2 squeezes every axis of length 1 out of a decoded label map, not only that of
    the channels, so that a strip becomes a row of numbers which no later step can resize or crop.
    """
    _mend_when_imported('mmseg.datasets.transforms.loading', _mend_seg_loading)


# -------------------------------------------------------------------------------------------------
# mmseg 1.2.2: numbers above 255 in a label map wrap around
# -------------------------------------------------------------------------------------------------


def _refuse_wide_label(path: str, data: bytes, backend: str) -> None:
    import mmcv
    from PIL import Image

    if backend == 'pillow':
        with Image.open(io.BytesIO(data)) as image:
            if image.mode[0] not in 'IF':  # 8 bits: the header tells, without decoding twice
                return
    label = mmcv.imfrombytes(data, flag='unchanged', backend=backend)
    if label.size and (label.min() < 0 or label.max() > 255):
        raise UserError(
            f'{path} holds numbers from {label.min()} to {label.max()}: expected 0 to 255, which '
            'is all that mmseg reads. Save it with 8 bits per pixel.'
        )


def _mend_seg_numbers(module: ModuleType) -> None:
    transform = module.LoadAnnotations.transform
    if transform.__module__ == __name__:
        return

    @functools.wraps(transform, assigned=('__doc__',))
    def transform_eight_bits(self: Any, results: dict) -> dict:
        results = transform(self, results)
        if self.with_seg:
            path = results['seg_map_path']
            data = mmengine.fileio.get(path, backend_args=self.backend_args)
            _refuse_wide_label(path, data, self.imdecode_backend)
        return results

    module.LoadAnnotations.transform = transform_eight_bits


def refuse_wide_label_maps() -> None:
    """Let mmseg refuse label maps with numbers that 8 bits cannot hold.

    Fault: mmseg 1.2.2 casts every label map to uint8, so that 257 in a 16-bit file silently becomes
    the class 1.
    """
    _mend_when_imported('mmseg.datasets.transforms.loading', _mend_seg_numbers)


# -------------------------------------------------------------------------------------------------
# mmaction2 1.2.0: mmaction.models does not import
# -------------------------------------------------------------------------------------------------

_DRN_PACKAGE = 'mmaction.models.localizers.drn'
_DRN_MODULE = f'{_DRN_PACKAGE}.drn'


class _DRNFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Provides the folder that the wheel lacks; the last finder, so a real folder wins."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname not in (_DRN_PACKAGE, _DRN_MODULE):
            return None
        return importlib.machinery.ModuleSpec(
            fullname, self, is_package=fullname == _DRN_PACKAGE, origin=__file__
        )

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ != _DRN_MODULE:
            return
        from mmaction.registry import MODELS

        class DRN(torch.nn.Module):
            """Stands in for mmaction2's dense regression network, which the wheel lacks."""

            def __init__(self, *args, **kwargs) -> None:
                raise ImportError(
                    'DRN is not part of the mmaction2 1.2.0 wheel: its folder '
                    'mmaction/models/localizers/drn was left out of the release. To use DRN, '
                    'install mmaction2 from its source repository.'
                )

        MODELS.register_module(module=DRN)
        module.DRN = DRN


def provide_mmaction_drn() -> None:
    """Make ``import mmaction.models`` work with the mmaction2 1.2.0 wheel.

    Fault: ``mmaction/models/localizers/__init__.py`` imports ``.drn.drn``, and the wheel on PyPI
    was built without that folder. The stand-in raises when a DRN is built.
    """
    if any(isinstance(finder, _DRNFinder) for finder in sys.meta_path):
        return
    try:
        version = importlib.metadata.version('mmaction2')
    except importlib.metadata.PackageNotFoundError:
        return
    if version == '1.2.0':
        sys.meta_path.append(_DRNFinder())


# -------------------------------------------------------------------------------------------------
# mmpose 1.3.2: the inferencer drops the boxes that it is given
# -------------------------------------------------------------------------------------------------


def _mend_pose_inferencer(module: ModuleType) -> None:
    inferencer = module.Pose2DInferencer
    preprocess = inferencer.preprocess_single
    if preprocess.__module__ == __name__ or 'bboxes = []' not in inspect.getsource(preprocess):
        return

    @functools.wraps(preprocess, assigned=('__doc__',))
    def preprocess_single(
        self, input, index, bbox_thr=0.3, nms_thr=0.3, bboxes: Sequence[Sequence[float]] = ()
    ):
        if self.cfg.data_mode != 'topdown' or len(bboxes) == 0:
            return preprocess(self, input, index, bbox_thr, nms_thr)
        image = {'img_path': input} if isinstance(input, str) else {'img': input}
        image.setdefault('img_path', f'{index:06d}.jpg')
        boxes = np.asarray(bboxes, np.float32)
        if boxes.ndim != 2 or boxes.shape[1] not in (4, 5):
            raise ValueError(
                'bboxes must hold, for every image, a list of boxes x1, y1, x2, y2 and perhaps '
                f'score; got an array of shape {boxes.shape} for one image.'
            )
        scores = boxes[:, 4:] if boxes.shape[1] == 5 else np.ones_like(boxes[:, :1])
        return [
            self.pipeline(
                {**image, **self.model.dataset_meta, 'bbox': box[None], 'bbox_score': score}
            )
            for box, score in zip(boxes[:, :4], scores, strict=True)
        ]

    inferencer.preprocess_single = preprocess_single


def let_pose_inferencer_take_boxes() -> None:
    """Let mmpose's 2D inferencers estimate the poses of given people.

    Fault: ``Pose2DInferencer.preprocess_single`` of mmpose 1.3.2 has an argument ``bboxes``, which
    a top-down model overwrites with what a detector finds or, without one, with the whole image.
    """
    _mend_when_imported('mmpose.apis.inferencers.pose2d_inferencer', _mend_pose_inferencer)


# -------------------------------------------------------------------------------------------------
# mmpose 1.3.2 with NumPy >= 2.4: keypoints cannot be drawn
# -------------------------------------------------------------------------------------------------


def _int_refuses_arrays() -> bool:
    """Whether ``int(array)`` is an error for an array of one element with a dimension."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        try:
            int(np.ones(1))
        except TypeError:
            return True
    return False


def _mend_pose_visualizer(module: ModuleType) -> None:
    visualizer = module.OpencvBackendVisualizer
    draw = visualizer.draw_circles
    if draw.__module__ == __name__ or not _int_refuses_arrays():
        return

    @functools.wraps(draw, assigned=('__doc__',))
    def draw_circles(self, center, radius, *args, **kwargs) -> None:
        if self.backend == 'opencv':
            radius = np.asarray(radius).item()
        draw(self, center, radius, *args, **kwargs)

    visualizer.draw_circles = draw_circles


def let_pose_visualizer_draw() -> None:
    """Let mmpose's visualizers draw keypoints with OpenCV.

    Fault: mmpose 1.3.2 hands ``np.array([radius])`` to ``draw_circles``, which takes ``int`` of it.
    NumPy 2.4 made an error of what was a deprecated conversion.
    """
    _mend_when_imported('mmpose.visualization.opencv_backend_visualizer', _mend_pose_visualizer)


# -------------------------------------------------------------------------------------------------
# mmengine 0.10: pkg_resources
# -------------------------------------------------------------------------------------------------


def _is_installed(package: str) -> bool:
    """Whether a distribution or module of this name is there.

    Args:
        package: Name of a distribution (``mmcv-full``) or of a module.
    """
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        return spec is not None and spec.origin is not None
    return True


def _get_installed_path(package: str) -> str:
    """Folder of an installed package.

    Args:
        package: Name of a distribution or of a module.

    Raises:
        ModuleNotFoundError: If neither a module nor a distribution has this name.
        RuntimeError: If it is a namespace package, which has no single folder.
    """
    spec = importlib.util.find_spec(package)
    if spec is None:
        top_level = importlib.metadata.distribution(package).read_text('top_level.txt') or ''
        module = next(iter(top_level.split()), None)
        spec = importlib.util.find_spec(module) if module else None
        if spec is None:
            raise ModuleNotFoundError(f'Cannot infer the module name of {package!r}.')
    if spec.origin is None:
        raise RuntimeError(f'{package} is a namespace package, which has no single folder.')
    return str(Path(spec.origin).parent)


def replace_pkg_resources() -> None:
    """Let MMEngine find installed packages without ``pkg_resources``.

    Fault: MMEngine 0.10 uses ``pkg_resources``, which setuptools 82 removed, so that
    ``_base_ = 'mmpretrain::...'`` fails; older setuptools import it slowly and with a deprecation
    warning in every process. The standard library can do the same.
    """
    if digit_version(mmengine.__version__) >= digit_version('0.11.0'):
        return
    for name in ('utils.package_utils', 'utils', 'config.config', 'hub.hub'):
        module = sys.modules.get(f'mmengine.{name}')
        if module is not None:
            module.is_installed = _is_installed
            module.get_installed_path = _get_installed_path


# -------------------------------------------------------------------------------------------------
# mmdet 3.3.0 with mmcv 2.1.0: no regions under bfloat16
# -------------------------------------------------------------------------------------------------


def extract_regions_in_float32() -> None:
    """Let mmdet's region extractor work under bfloat16 autocast.

    Fault: mmcv's RoIAlign has no bfloat16 kernel, and the extractor rounds the regions to the type
    of the features, which in bfloat16 means steps of 4 to 8 pixels at COCO's image size. Features
    in bfloat16 are pooled in float32 instead. Not part of :func:`apply`, as it imports mmdet.
    """
    from mmdet.models import SingleRoIExtractor

    forward = SingleRoIExtractor.forward
    if forward.__module__ == __name__:
        return

    @functools.wraps(forward, assigned=('__doc__',))
    def forward_in_float32(self, feats, rois, roi_scale_factor=None):
        if feats[0].dtype is torch.bfloat16:
            feats = tuple(feature.float() for feature in feats)
        return forward(self, feats, rois, roi_scale_factor)

    SingleRoIExtractor.forward = forward_in_float32
