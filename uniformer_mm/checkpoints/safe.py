"""Reading a file without running what is in it.

PyTorch's weights-only rule admits tensors and plain containers. Training files of MMEngine hold
more: ``HistoryBuffer``, NumPy arrays and numbers, ``ConfigDict``; official ones an
``argparse.Namespace``. While a file is read, each of these names stands for a class that keeps what
it is given and does nothing; what was kept is checked and built afterwards. So no function or class
of NumPy, MMEngine or the standard library is within reach of the file, and the list is in force
only while this module reads.
"""

from __future__ import annotations

import argparse
import math
import os
import pickle
import tarfile
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version
from torch import Tensor

_DTYPES = ('b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8')
# Arrays may share their bytes in a forged file; all of them must fit into the file, or into this.
_SMALL = 1 << 28
_lock = threading.RLock()


class _StandIn:
    """Keeps arguments and state; :class:`_Builder` makes of it what its name says, or refuses."""

    args: tuple = ()
    state: Any = None

    def __new__(cls, *args: Any) -> _StandIn:
        self = super().__new__(cls)
        self.args = args
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def build(self, builder: _Builder) -> Any:
        raise pickle.UnpicklingError(f'{type(self).__name__[1:]} has no place in a checkpoint.')


class _Namespace(_StandIn):
    def build(self, builder: _Builder) -> argparse.Namespace:
        _require(self.args == (), 'argparse.Namespace')
        namespace = argparse.Namespace()
        vars(namespace).update(builder.names(self.state))
        return namespace


class _ConfigDict(_StandIn):
    """A dict inside the metainfo that a config gives to a dataset, saved as dataset_meta."""

    def build(self, builder: _Builder) -> ConfigDict:
        _require(len(self.args) == 1 and self.state is None, 'ConfigDict')
        config = ConfigDict()
        dict.update(config, builder.names(self.args[0]))
        return config


class _HistoryBuffer(_StandIn):
    """MMEngine's log of one value. Its state names functions as well, which nobody needs."""

    def build(self, builder: _Builder) -> HistoryBuffer:
        _require(self.args == () and isinstance(self.state, dict), 'HistoryBuffer')
        names = ('_log_history', '_count_history', 'max_length')
        log, count, length = (builder(self.state.get(name)) for name in names)
        arrays = [value for value in (log, count) if type(value) is np.ndarray and value.ndim == 1]
        _require(len(arrays) == 2 and len(log) == len(count), 'HistoryBuffer')
        _require(type(length) is int and length > 0, 'HistoryBuffer')
        return HistoryBuffer(log, count, length)


class _Statistic(_StandIn):
    """``getattr``, by which a HistoryBuffer names its functions."""


class _Bytes(_StandIn):
    """``_codecs.encode``, by which bytes are pickled."""

    def build(self, builder: _Builder) -> bytes:
        _require(len(self.args) == 2 and self.state is None, 'bytes')
        text, encoding = self.args
        _require(type(text) is str and encoding == 'latin1', 'bytes')
        return text.encode('latin1')


class _NdarrayClass(_StandIn):
    """The name ``numpy.ndarray``, which is the first argument of an array."""


class _Dtype(_StandIn):
    def build(self, builder: _Builder) -> np.dtype:
        code, order = self.args[0] if self.args else None, '='
        if self.state is not None:
            _require(type(self.state) is tuple and len(self.state) == 8, 'dtype')
            order = self.state[1]
            _require(self.state[2:] == (None, None, None, -1, -1, 0), 'dtype')
        _require(type(code) is str and code in _DTYPES, 'dtype')
        _require(type(order) is str and order in ('<', '>', '|', '='), 'dtype')
        return np.dtype(order + code)


class _Array(_StandIn):
    """NumPy's ``_reconstruct``: a plain array of numbers."""

    def build(self, builder: _Builder) -> np.ndarray:
        _require(bool(self.args) and self.args[0] is _NdarrayClass, 'array')
        _require(type(self.state) is tuple and len(self.state) == 5, 'array')
        _, shape, dtype, fortran, raw = self.state
        dtype, raw = builder(dtype), builder(raw)
        _require(type(shape) is tuple and all(type(n) is int and n >= 0 for n in shape), 'array')
        _require(isinstance(dtype, np.dtype) and type(raw) is bytes, 'array')
        _require(len(raw) == math.prod(shape) * dtype.itemsize, 'array')
        builder.spend(len(raw))
        order = 'F' if fortran is True else 'C'
        return np.ndarray(shape, dtype, raw, order=order).copy(order=order)


class _Scalar(_StandIn):
    """A NumPy number."""

    def build(self, builder: _Builder) -> np.generic:
        _require(len(self.args) == 2 and self.state is None, 'number')
        dtype, raw = map(builder, self.args)
        _require(isinstance(dtype, np.dtype) and type(raw) is bytes, 'number')
        _require(len(raw) == dtype.itemsize, 'number')
        return np.frombuffer(raw, dtype)[0]


STAND_INS: dict[str, type[_StandIn]] = {
    'argparse.Namespace': _Namespace,
    'mmengine.config.config.ConfigDict': _ConfigDict,
    'mmengine.logging.history_buffer.HistoryBuffer': _HistoryBuffer,
    'builtins.getattr': _Statistic,
    '_codecs.encode': _Bytes,  # PyTorch has its own since 2.2
    'numpy.ndarray': _NdarrayClass,
    'numpy.dtype': _Dtype,
    **{
        f'{module}.{name}': stand_in
        for module in ('numpy.core.multiarray', 'numpy._core.multiarray')  # NumPy 1 and 2
        for name, stand_in in (('_reconstruct', _Array), ('scalar', _Scalar))
    },
}


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise pickle.UnpicklingError(f'The file holds a {what} of a form that no library writes.')


class _Builder:
    """Replaces the stand-ins in what was read by what they stand for.

    Args:
        budget: Bytes that all arrays together may have.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.done: dict[int, tuple[Any, Any]] = {}  # keeps the objects, so that no id comes again

    def __call__(self, value: Any) -> Any:
        if isinstance(value, type) and issubclass(value, _StandIn):
            raise pickle.UnpicklingError(f'{value.__name__[1:]} has no place in a checkpoint.')
        if not isinstance(value, dict | list | tuple | set | _StandIn):
            return value
        if id(value) not in self.done:
            if isinstance(value, dict | list | set):
                self.done[id(value)] = value, value  # may hold itself
                self._fill(value)
            elif isinstance(value, _StandIn):
                self.done[id(value)] = value, None
                self.done[id(value)] = value, value.build(self)
            else:
                built = tuple(map(self, value)) if type(value) is tuple else value
                self.done[id(value)] = value, built
        return self.done[id(value)][1]

    def _fill(self, container: dict | list | set) -> None:
        if isinstance(container, dict):
            items = [(self(key), self(value)) for key, value in container.items()]
            container.clear()
            for key, value in items:  # a Counter's update would count them
                container[key] = value
            return
        values = [self(value) for value in container]
        container.clear()
        (container.extend if isinstance(container, list) else container.update)(values)

    def names(self, state: Any) -> dict[str, Any]:
        """A dict of plain names, built."""
        _require(type(state) is dict and all(type(name) is str for name in state), 'state')
        return self(state)

    def spend(self, size: int) -> None:
        self.budget -= size
        if self.budget < 0:
            raise pickle.UnpicklingError('The file holds arrays that are larger than itself.')


def torch_takes_names() -> bool:
    """Whether PyTorch can be told what a name stands for (since 2.6, where it is the default)."""
    return digit_version(torch.__version__) >= digit_version('2.6.0a0')


@contextmanager
def _in_force() -> Iterator[None]:
    """Let PyTorch's weights-only rule know the stand-ins, and nothing else by their names."""

    def name_of(entry: Any) -> str:
        named = isinstance(entry, tuple)
        return entry[1] if named else f'{entry.__module__}.{entry.__qualname__}'

    serialization = torch.serialization
    others = [entry for entry in serialization.get_safe_globals() if name_of(entry) in STAND_INS]
    with _lock:
        with serialization.safe_globals(others):
            pass  # leaving the context takes them out
        try:
            with serialization.safe_globals([(cls, name) for name, cls in STAND_INS.items()]):
                yield
        finally:
            serialization.add_safe_globals(others)


class _Unpickler(pickle._Unpickler):
    """The weights-only rule with the stand-ins for torch < 2.6, which knows no names.

    In Python, because the one in C gives state to everything, functions and classes too.
    """

    def find_class(self, module: str, name: str) -> Any:
        from torch._weights_only_unpickler import _get_allowed_globals

        module = 'builtins' if module == '__builtin__' else module  # its name in protocol 2
        allowed = {**_get_allowed_globals(), **STAND_INS}
        if f'{module}.{name}' not in allowed:
            raise pickle.UnpicklingError(f'{module}.{name} is not allowed in a checkpoint.')
        return allowed[f'{module}.{name}']

    def load_build(self) -> None:
        target, state = self.stack[-2:]
        is_ordered = type(target) is OrderedDict and type(state) is dict
        _require(is_ordered or isinstance(target, Tensor | _StandIn), 'state')
        super().load_build()

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}


def _load_before_26(path: Path, **kwargs: Any) -> Any:
    # Two kinds of files that torch reads by other means, and refuses under its own rule.
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(name.rpartition('/')[2] == 'constants.pkl' for name in names):
            raise pickle.UnpicklingError('A TorchScript file is a program, not weights.')
    elif tarfile.is_tarfile(path):
        raise pickle.UnpicklingError('Weights in a tar file are not read.')
    safe_pickle = SimpleNamespace(
        __name__='safe_pickle',
        Unpickler=_Unpickler,
        load=lambda file, **options: _Unpickler(file, **options).load(),
    )
    return torch.load(path, pickle_module=safe_pickle, weights_only=False, **kwargs)


def load_weights_only(
    path: str | os.PathLike,
    map_location: str | torch.device | Callable | None = 'cpu',
    mmap: bool = False,
) -> Any:
    """``torch.load`` that runs no code from the file, on every supported torch.

    Args:
        path: A local file.
        map_location: As of ``torch.load``. Defaults to the CPU.
        mmap: Leave tensors on disk until they are used, to look at the rest of the file quickly.
            Without effect on files of the format before torch 1.6. Defaults to False.

    Returns:
        The object in the file.

    Raises:
        pickle.UnpicklingError: If the file holds anything but tensors, plain containers and what
            MMEngine's and the official training checkpoints have beside them.
    """
    path = Path(path)
    kwargs = dict(map_location=map_location, mmap=(mmap and zipfile.is_zipfile(path)) or None)
    if torch_takes_names():
        with _in_force():
            checkpoint = torch.load(path, weights_only=True, **kwargs)
    else:
        checkpoint = _load_before_26(path, **kwargs)
    return _Builder(max(path.stat().st_size, _SMALL))(checkpoint)
