"""Repairs of third-party packages: what neither a type of our own nor a pin can mend.

A repair is one function that first checks whether its fault is present, so that a fixed release of
the package switches it off. Nothing here imports mmpretrain, mmdet, mmseg, mmpose or mmaction.
"""

from __future__ import annotations

import argparse
import codecs
import importlib.util
import os
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

__all__ = ['load_weights_only', 'provide_mmaction_drn']

# NumPy's own unpickling functions: they moved between NumPy 1 and 2.
_NUMPY_RECONSTRUCT = np.empty(0).__reduce__()[0]
_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_DTYPES = (
    *('bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64'),
    *('float16', 'float32', 'float64'),
)


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
# mmaction2 1.2.0: mmaction.models does not import
# -------------------------------------------------------------------------------------------------


class _MissingDRN(ModuleType):
    """The module that the wheel lacks; its class is made when mmaction imports it."""

    def __getattr__(self, name: str) -> Any:
        if name != 'DRN':
            raise AttributeError(name)
        from mmaction.registry import MODELS

        @MODELS.register_module()
        class DRN(torch.nn.Module):
            """Stands in for mmaction2's dense regression network."""

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                raise ImportError(
                    'DRN is not part of the mmaction2 1.2.0 wheel: its folder '
                    'mmaction/models/localizers/drn was left out of the release. To use DRN, '
                    'install mmaction2 from its source repository.'
                )

        self.DRN = DRN
        return DRN


def provide_mmaction_drn() -> None:
    """Make ``import mmaction.models`` work with the mmaction2 1.2.0 wheel.

    Fault: ``mmaction/models/localizers/__init__.py`` imports ``.drn.drn``, and the wheel on PyPI
    was built without that folder. Python takes the module from ``sys.modules``, where a stand-in is
    put that raises when a DRN is built.
    """
    mmaction = importlib.util.find_spec('mmaction')  # does not import it
    if mmaction is None or mmaction.origin is None:
        return
    localizers = Path(mmaction.origin).parent / 'models/localizers'
    if localizers.is_dir() and not (localizers / 'drn').is_dir():
        name = 'mmaction.models.localizers.drn.drn'
        sys.modules.setdefault(name, _MissingDRN(name))
