"""Pickles and YAML files that may be data only."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from uniformer_mm.checkpoints.plain import load_plain_pickle
from uniformer_mm.cli import UserError, check_data, load_config


class Gadget:
    """Runs a command when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.mark),)


class HiddenGadget(Gadget):
    """In the bytes of a storage, which torch would read without any rule."""

    def __reduce__(self) -> tuple:
        return torch.storage._load_from_bytes, (pickle.dumps(Gadget(self.mark)),)


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_predictions(protocol, tmp_path) -> None:
    part = torch.rand(5, 4)[1:3].t()
    sample = dict(
        boxes=part,
        empty=torch.zeros(0, 4),
        label=torch.tensor(3),
        array=np.arange(6.0).reshape(2, 3),
        number=np.float32(2.5),
        flags=np.array([True, False]),
        masks=[dict(size=[3, 4], counts=b'\xff\x00abc')],
        path='a.jpg',
        shape=(3, 4),
        other={1, 2},
        ordered=OrderedDict(a=None),
    )
    file = tmp_path / 'a.pkl'
    file.write_bytes(pickle.dumps([sample], protocol))
    (found,) = load_plain_pickle(file)
    assert found.keys() == sample.keys()
    for key, value in sample.items():
        assert type(found[key]) is type(value)
        assert np.array_equal(found[key], value)


@pytest.mark.parametrize('kind', [Gadget, HiddenGadget])
def test_no_code(kind, tmp_path) -> None:
    mark, file = tmp_path / 'ran', tmp_path / 'a.pkl'
    for content in (kind(mark), [dict(a=kind(mark))]):
        file.write_bytes(pickle.dumps(content))
        with pytest.raises(UserError, match=r'a\.pkl cannot be read as plain data'):
            load_plain_pickle(file)
    cfg = Config(
        dict(train_dataloader=dict(dataset=dict(data_root=str(tmp_path), ann_file='a.pkl')))
    )
    with pytest.raises(UserError, match=r'a\.pkl cannot be read as plain data'):
        check_data(cfg, ('train',))
    assert not mark.exists()


def test_tensors_stay_within_their_storage(tmp_path) -> None:
    file = tmp_path / 'a.pkl'
    content = bytearray(pickle.dumps(torch.zeros(3, 5), 2))
    place = content.index(b'K\x03K\x05\x86')
    content[place + 1] = 200
    file.write_bytes(content)
    with pytest.raises(UserError, match='tensor of a form that no library writes'):
        load_plain_pickle(file)


def test_yaml(tmp_path) -> None:
    mark, file = tmp_path / 'ran', tmp_path / 'a.yaml'
    file.write_text(f'model: !!python/object/apply:os.mkdir ["{mark}"]\n')
    with pytest.raises(UserError, match='is no Python file. Configs are programs'):
        load_config(str(file))
    cfg = Config(
        dict(test_dataloader=dict(dataset=dict(data_root=str(tmp_path), ann_file='a.yaml')))
    )
    with pytest.raises(UserError, match=r'a\.yaml cannot be read as plain data'):
        check_data(cfg, ('test',))
    assert not mark.exists()
