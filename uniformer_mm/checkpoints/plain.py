"""Pickles of plain data, such as predictions, read without running what is in them."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uniformer_mm.errors import UserError

from .safe import _SMALL, STAND_INS, _Builder, _require, _StandIn, _Unpickler


class _Storage(_StandIn):
    """``torch.storage._load_from_bytes``, which reads without any rule: here with PyTorch's own."""

    def build(self, builder: _Builder) -> Any:
        _require(len(self.args) == 1 and self.state is None, 'storage')
        raw = builder(self.args[0])
        _require(type(raw) is bytes, 'storage')
        storage = torch.load(io.BytesIO(raw), map_location='cpu', weights_only=True)
        _require(isinstance(storage, torch.storage.TypedStorage), 'storage')
        return storage


class _Tensor(_StandIn):
    """``torch._utils._rebuild_tensor_v2``: a tensor of a part of a storage."""

    def build(self, builder: _Builder) -> Tensor:
        _require(len(self.args) >= 4 and self.state is None, 'tensor')
        storage, offset, size, stride = builder(self.args[:4])
        _require(isinstance(storage, torch.storage.TypedStorage), 'tensor')
        sizes = [offset, *size, *stride] if type(size) is type(stride) is tuple else [None]
        _require(all(type(n) is int and n >= 0 for n in sizes), 'tensor')
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        untyped = storage._untyped_storage
        _require(0 in size or (last + 1) * storage.dtype.itemsize <= untyped.nbytes(), 'tensor')
        return torch.empty(0, dtype=storage.dtype).set_(untyped, offset, size, stride)


class _Set(_StandIn):
    """A set in pickles before protocol 4."""

    def build(self, builder: _Builder) -> set:
        _require(len(self.args) == 1 and type(self.args[0]) is list, 'set')
        return set(builder(self.args[0]))


class _FromBuffer(_StandIn):
    """NumPy's ``_frombuffer``: an array in pickles of protocol 5."""

    def build(self, builder: _Builder) -> np.ndarray:
        _require(len(self.args) == 4 and self.state is None, 'array')
        raw, dtype, shape, order = builder(self.args)
        _require(isinstance(raw, bytes | bytearray) and isinstance(dtype, np.dtype), 'array')
        _require(type(shape) is tuple and order in ('C', 'F'), 'array')
        return np.frombuffer(bytes(raw), dtype).reshape(shape, order=order).copy()


_NAMES = {
    **STAND_INS,
    'collections.OrderedDict': OrderedDict,
    'builtins.set': _Set,
    'torch._utils._rebuild_tensor_v2': _Tensor,
    'torch.storage._load_from_bytes': _Storage,
    'numpy.core.numeric._frombuffer': _FromBuffer,
    'numpy._core.numeric._frombuffer': _FromBuffer,
}


class _PlainUnpickler(_Unpickler):
    """Knows the names of plain data only."""

    def find_class(self, module: str, name: str) -> Any:
        module = 'builtins' if module == '__builtin__' else module
        if f'{module}.{name}' not in _NAMES:
            raise pickle.UnpicklingError(f'{module}.{name} is no plain data.')
        return _NAMES[f'{module}.{name}']


def load_plain_pickle(path: str | os.PathLike) -> Any:
    """What a pickle holds, if it is plain data: containers, numbers, text, arrays and tensors.

    Args:
        path: A local file.

    Raises:
        UserError: If it is damaged or holds anything else. Nothing of it has run then.
    """
    path = Path(path)
    try:
        with path.open('rb') as file:
            content = _PlainUnpickler(file).load()
        return _Builder(max(path.stat().st_size, _SMALL))(content)
    except Exception as error:  # damage shows in many ways
        raise UserError(
            f'{path} cannot be read as plain data: damaged, or a pickle that holds more '
            f'({type(error).__name__}: {next(iter(str(error).splitlines()), "")})'
        ) from error
