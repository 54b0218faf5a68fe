"""Files that do something when they are read: by the reader's own names, or by those of others."""

from __future__ import annotations

import argparse
import builtins
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

RECONSTRUCT = np.empty(0).__reduce__()[0]
SCALAR = np.float64(0).__reduce__()[0]
NUMBERS = b'\0' * 16


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """A copy of a file with other bytes where its pickle is."""
    target = path.with_name('changed.pth')
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, 'w') as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, change(data) if name.endswith('data.pkl') else data)
    return target


class Made:
    """Unpickles into a call and, if given, a state for its result."""

    def __init__(self, function, *args, state=None):
        self.call = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.call


def dtype(code: str, order: str = '<', **kwargs) -> Made:
    state = (3, order, None, None, None, -1, -1, 0)
    return Made(np.dtype, code, False, True, state=kwargs.get('state', state))


def array(shape=(2,), kind=None, raw=NUMBERS, subtype=np.ndarray) -> Made:
    return Made(RECONSTRUCT, subtype, (0,), b'b', state=(1, shape, kind or dtype('f8'), False, raw))


def buffer(log=None, count=None, **state) -> Made:
    parts = {'_log_history': log or array(), '_count_history': count or array(), 'max_length': 9}
    return Made(HistoryBuffer, state={**parts, **state})


def doubled(times: int, make) -> object:
    """A small file that holds 2 ** times of something."""
    value = {}
    for _ in range(times):
        value = make(value)
    return value


ATTACKS = {
    'system': Made(os.system, 'touch marker'),
    'exec': Made(builtins.exec, "open('marker', 'w')"),
    'eval': Made(builtins.eval, "open('marker', 'w')"),
    'np.load': Made(np.load, 'marker'),
    'path': Made(Path, 'marker'),
    'getattr': Made(getattr, HistoryBuffer, '__init__'),
    'statistic alone': Made(getattr, HistoryBuffer, 'mean'),
    'a name alone': HistoryBuffer,
    'ndarray as a call': Made(np.ndarray, (1 << 50,)),
    'ndarray over memory': Made(np.ndarray, (2,), dtype('f8'), b'x' * 8),
    'array without state': Made(RECONSTRUCT, np.ndarray, (1 << 50,), b'd'),
    'array of a subclass': array(subtype=np.matrix),
    'array of objects': array(kind=dtype('O8', '|')),
    'array larger than its bytes': array((1 << 50,)),
    'array of negative shape': array((-2, -1)),
    'array of odd shape': array((2.0,)),
    'array of real dtype state': array(kind=Made(np.dtype, 'f8', state=(3, '<', 0, 0, 0, 8, 1, 0))),
    'array of text': array(raw='x' * 16),
    'dtype of fields': array(kind=dtype('V8')),
    'dtype from a string': array(kind=dtype('f8,f8')),
    'number of objects': Made(SCALAR, dtype('O8', '|'), NUMBERS[:8]),
    'number with more bytes': Made(SCALAR, dtype('f8'), NUMBERS),
    'buffer called': Made(HistoryBuffer, [1.0], [1]),
    'buffer of lists': buffer(log=[doubled(40, lambda value: [value, value])]),
    'buffer of matrices': buffer(log=array((1, 2))),
    'buffer of two lengths': buffer(log=array((1,), raw=NUMBERS[:8])),
    'buffer of odd length': buffer(max_length='9'),
    'namespace called': Made(argparse.Namespace, 1),
    'namespace of other state': Made(argparse.Namespace, state={1: 2}),
    'config of a number': Made(ConfigDict, 1),
    'config of other names': Made(ConfigDict, {1: 2}),
    'config with state': Made(ConfigDict, {}, state={'a': 1}),
}
