"""Reading checkpoints that others wrote: what they hold is read, and nothing they say is run."""

import argparse
import builtins
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

from uniformer_mm import compat


def training_checkpoint() -> dict:
    """What MMEngine's Runner and the official scripts put beside the weights."""
    return {
        'state_dict': {'weight': torch.arange(3.0)},
        'message_hub': {'log_scalars': {'train/loss': HistoryBuffer([1.0, 0.5], [1, 1])}},
        'meta': {
            'sigmas': np.ones(2, np.float32),
            'best': np.float64(0.5),
            'dataset_meta': ConfigDict(classes=['a'], nested={'b': 1}),
        },
        'args': argparse.Namespace(lr=1e-3, model='uniformer_small'),
    }


@pytest.fixture(params=['torch', 'older torch'])
def load(request, monkeypatch):
    """Both ways to read weights only: torch's own, and ours for torch < 2.6."""
    if request.param == 'older torch':
        monkeypatch.setattr(compat, '_torch_reads_weights_only', lambda: False)
    return compat.load_weights_only


def test_training_checkpoint_loads(load, tmp_path):
    torch.save(training_checkpoint(), tmp_path / 'a.pth')
    loaded = load(tmp_path / 'a.pth')
    assert torch.equal(loaded['state_dict']['weight'], torch.arange(3.0))
    assert loaded['message_hub']['log_scalars']['train/loss'].mean() == 0.75
    assert loaded['args'].lr == 1e-3
    assert loaded['meta']['best'] == 0.5
    assert loaded['meta']['dataset_meta'].nested.b == 1
    assert loaded['meta']['sigmas'].dtype == np.float32


def test_file_of_the_other_numpy_loads(load, tmp_path):
    """NumPy 2 renamed the functions that its pickles name; released files are from NumPy 1."""
    torch.save(training_checkpoint(), tmp_path / 'a.pth')
    with (
        zipfile.ZipFile(tmp_path / 'a.pth') as source,
        zipfile.ZipFile(tmp_path / 'b.pth', 'w') as target,
    ):
        for name in source.namelist():
            data = source.read(name)
            if name.endswith('data.pkl'):
                assert b'multiarray' in data
                swapped = data.replace(b'numpy._core.', b'numpy.core.')
                if swapped == data:
                    swapped = data.replace(b'numpy.core.', b'numpy._core.')
                data = swapped
            target.writestr(name, data)
    assert load(tmp_path / 'b.pth')['meta']['best'] == 0.5


class Bomb:
    """Unpickles into a call."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    'function, args',
    [
        (os.system, ('touch {marker}',)),
        (builtins.exec, ("open('{marker}', 'w')",)),
        (builtins.eval, ("open('{marker}', 'w')",)),
        (getattr, (HistoryBuffer, '__init__')),
        (getattr, (argparse.Namespace, '__eq__')),
        (np.empty(0).__reduce__()[0], (np.matrix, (0,), b'b')),
        (np.load, ('{marker}',)),
        (Path, ('{marker}',)),
    ],
    ids=['system', 'exec', 'eval', 'getattr', 'getattr2', 'subclass', 'np.load', 'class'],
)
@pytest.mark.parametrize('zipped', [True, False])
def test_pickle_that_calls_code_is_refused(load, tmp_path, function, args, zipped):
    marker = tmp_path / 'marker'
    args = [a.format(marker=marker) if isinstance(a, str) else a for a in args]
    checkpoint = {**training_checkpoint(), 'extra': Bomb(function, *args)}
    torch.save(checkpoint, tmp_path / 'bomb.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError):
        load(tmp_path / 'bomb.pth')
    assert not marker.exists()
