"""The reader: training files load, and no entry of its list can be turned against the process."""

import argparse
import pickle
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from pickle_attacks import ATTACKS, Made, array, buffer, doubled, rewrite

from uniformer_mm.checkpoints import CheckpointError, load_weights_only, safe, through_safe_reader


@pytest.fixture(params=['torch', 'older torch'])
def load(request, monkeypatch):
    """Both ways to read: PyTorch's rule with our names, and ours for torch < 2.6."""
    if request.param == 'older torch':
        monkeypatch.setattr(safe, 'torch_takes_names', lambda: False)
    elif not safe.torch_takes_names():
        pytest.skip('this torch knows no names')
    return load_weights_only


def training_checkpoint() -> dict:
    """What MMEngine's Runner and the official scripts put beside the weights."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    return {
        'state_dict': OrderedDict(weight=torch.arange(3.0)),
        'message_hub': {'log_scalars': {'train/loss': HistoryBuffer([1.0, 0.5], [1, 1])}},
        'meta': {
            'arrays': [array, np.asfortranarray(array), array.astype('>i2'), np.array([True])],
            'best': np.float64(0.5),
            'milestones': Counter([2, 4, 4]),  # of MultiStepLR
            'dataset_meta': ConfigDict(classes=['a'], nested={'b': (np.int64(1), b'\xff')}),
        },
        'args': argparse.Namespace(lr=1e-3, betas=(0.9, np.float32(0.5))),
    }


@pytest.mark.parametrize('zipped', [True, False])
def test_training_file_loads(load, tmp_path, zipped):
    saved = training_checkpoint()
    torch.save(saved, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    loaded = load(tmp_path / 'a.pth')
    assert torch.equal(loaded['state_dict']['weight'], torch.arange(3.0))
    buffer = loaded['message_hub']['log_scalars']['train/loss']
    buffer.update(1.5)
    assert (
        type(buffer) is HistoryBuffer and buffer.mean() == 1.0 and buffer.statistics('max') == 1.5
    )
    for found, expected in zip(loaded['meta']['arrays'], saved['meta']['arrays'], strict=True):
        assert type(found) is np.ndarray and found.dtype == expected.dtype
        assert np.array_equal(found, expected) and found.flags.writeable
    assert loaded['meta']['milestones'] == Counter({2: 1, 4: 2})
    meta = loaded['meta']['dataset_meta']
    assert type(meta) is ConfigDict and meta.nested.b == (1, b'\xff')
    assert type(loaded['args']) is argparse.Namespace and loaded['args'].betas == (0.9, 0.5)
    assert loaded['meta']['best'] == 0.5


def test_file_of_the_other_numpy_loads(load, tmp_path):
    """NumPy 2 renamed the functions that its pickles name; released files are from NumPy 1."""

    def swap(data: bytes) -> bytes:
        assert b'multiarray' in data
        swapped = data.replace(b'numpy._core.', b'numpy.core.')
        return swapped if swapped != data else data.replace(b'numpy.core.', b'numpy._core.')

    torch.save(training_checkpoint(), tmp_path / 'a.pth')
    assert load(rewrite(tmp_path / 'a.pth', swap))['meta']['best'] == 0.5


def test_the_list():
    """One stand-in for each purpose; none is a class or function that does anything."""
    assert {name.rpartition('.')[2] for name in safe.STAND_INS} == {
        *('Namespace', 'ConfigDict', 'HistoryBuffer', 'getattr', 'encode'),
        *('ndarray', 'dtype', '_reconstruct', 'scalar'),
    }
    for stand_in in safe.STAND_INS.values():
        assert stand_in.__bases__ == (safe._StandIn,)
        assert not vars(stand_in).keys() - {'__module__', '__doc__', 'build', *dir(object)}


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('attack', ATTACKS)
def test_attack_is_refused(load, tmp_path, monkeypatch, attack, zipped):
    monkeypatch.chdir(tmp_path)
    checkpoint = {**training_checkpoint(), 'extra': [{'deep': (ATTACKS[attack],)}]}
    torch.save(checkpoint, 'a.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError):
        load('a.pth')
    assert not Path('marker').exists()


def test_state_changes_no_class(load, tmp_path):
    """What a HistoryBuffer's own ``__setstate__`` would put into the class."""
    before = dict(HistoryBuffer._statistics_methods), dict(vars(HistoryBuffer))
    state = {'statistics_methods': {'mean': Made(getattr, HistoryBuffer, '__init__')}, 'mean': 1}
    names = {'__class__': 1, '__dict__': 2}
    saved = {'a': buffer(**state), 'b': Made(argparse.Namespace, state=names)}
    torch.save(saved, tmp_path / 'a.pth')
    loaded = load(tmp_path / 'a.pth')
    assert (dict(HistoryBuffer._statistics_methods), dict(vars(HistoryBuffer))) == before
    assert type(loaded['a']) is HistoryBuffer and vars(loaded['a']).keys() == {
        *('max_length', '_log_history', '_count_history')
    }
    assert type(loaded['b']) is argparse.Namespace and vars(loaded['b']) == names


def test_state_reaches_no_function(load, tmp_path):
    """A pickle written by hand: defaults of a function of PyTorch, attributes of a class."""
    torch.save({}, tmp_path / 'a.pth')
    for name in (b'torch._utils\n_rebuild_tensor_v2', b'collections\nOrderedDict'):
        forged = b'\x80\x02c' + name + b'\nN}X\x0c\x00\x00\x00__defaults__K\x01s\x86b.'
        with pytest.raises(pickle.UnpicklingError):
            load(rewrite(tmp_path / 'a.pth', lambda _, forged=forged: forged))
    assert torch._utils._rebuild_tensor_v2.__defaults__ != 1


def test_shared_parts_stay_small(load, tmp_path, monkeypatch):
    """Small files that would unfold into much: shared containers, arrays that share their bytes."""
    pair = doubled(60, lambda value: ConfigDict(a=value, b=value))
    torch.save({'config': pair, 'list': doubled(60, lambda v: [v, v])}, tmp_path / 'a.pth')
    loaded = load(tmp_path / 'a.pth')
    assert loaded['config'].a is loaded['config'].b
    monkeypatch.setattr(safe, '_SMALL', 0)
    raw = b'\1' * (1 << 16)
    torch.save([array((1 << 13,), raw=raw) for _ in range(99)], tmp_path / 'b.pth')
    with pytest.raises(pickle.UnpicklingError, match='larger than itself'):
        load(tmp_path / 'b.pth')


def test_programs_and_archives_are_refused(load, tmp_path):
    torch.jit.script(torch.nn.ReLU()).save(tmp_path / 'a.pth')
    with pytest.raises((pickle.UnpicklingError, RuntimeError), match='TorchScript'):
        load(tmp_path / 'a.pth')


@pytest.mark.skipif(not safe.torch_takes_names(), reason='this torch knows no names')
def test_list_is_in_force_only_while_it_reads(tmp_path):
    """Everybody else's ``torch.load``, and what others have registered, stay as they were."""
    torch.save(training_checkpoint(), tmp_path / 'a.pth')
    (tmp_path / 'half.pth').write_bytes((tmp_path / 'a.pth').read_bytes()[:500])
    known = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    theirs = [np.ndarray, (len, 'numpy.dtype'), Made]
    try:
        with torch.serialization.safe_globals(theirs):
            assert load_weights_only(tmp_path / 'a.pth')['meta']['best'] == 0.5
            with pytest.raises(RuntimeError):
                load_weights_only(tmp_path / 'half.pth')
            assert set(torch.serialization.get_safe_globals()) == set(theirs)
        with pytest.raises(pickle.UnpicklingError):
            torch.load(tmp_path / 'a.pth', weights_only=True)
    finally:
        torch.serialization.add_safe_globals(known)


def test_mmengine_reads_through_it(tmp_path, monkeypatch):
    torch.save(training_checkpoint(), tmp_path / 'a.pth')
    address = through_safe_reader(tmp_path / 'a.pth')
    loaded = CheckpointLoader.load_checkpoint(address, map_location='cpu')
    assert type(loaded['args']) is argparse.Namespace
    with pytest.raises(CheckpointError, match='There is no checkpoint'):
        CheckpointLoader.load_checkpoint(through_safe_reader(tmp_path / 'no.pth'))
    for other in ('s3://bucket/a.pth', 'open-mmlab://resnet50'):
        assert through_safe_reader(other) == other
    tensor = load_weights_only(tmp_path / 'a.pth', mmap=True)['state_dict']['weight']
    assert torch.equal(tensor, torch.arange(3.0))
