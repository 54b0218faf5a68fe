"""``python -m uniformer_mm weights``: what is said of each released file."""

import json
import runpy
import sys
from collections.abc import Callable

import pytest
import torch

from uniformer_mm.checkpoints import RELEASED


@pytest.fixture
def command(monkeypatch, capsys) -> Callable[..., str]:
    """Run ``python -m uniformer_mm`` in this process; gives what it printed."""

    def run(*args: str) -> str:
        monkeypatch.setattr(sys, 'argv', ['uniformer_mm', *args])
        runpy.run_module('uniformer_mm', run_name='__main__')
        return capsys.readouterr().out

    return run


def test_json_has_everything(command, repo_root, tmp_path, monkeypatch):
    """Each file that is somewhere is that of a config."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    (tmp_path / 'checkpoints').mkdir()
    here = tmp_path / 'checkpoints/uniformer_base_in1k.pth'
    here.write_bytes(b'12345')
    entries = {entry['name']: entry for entry in json.loads(command('weights', '--json'))}
    assert entries.keys() == RELEASED.keys()
    for name, entry in entries.items():
        assert RELEASED[name]._asdict().items() <= entry.items()
        assert bool(entry['url']) == bool(entry['configs'])
        assert all((repo_root / config).is_file() for config in entry['configs'])
        kept = name == here.stem
        assert (entry['file'], entry['size']) == ((str(here), 5) if kept else (None, None))


def test_lines(command, repo_root):
    assert command() == f'{repo_root}\n'
    name = 'top_down_256x192_global_small-d4a7fdac_20230724'
    lines = command('weights', 'OpenMMLab', '256x192', 'small').splitlines()
    assert [line.strip() for line in lines] == [
        name,
        'head_dim 64, SHA-256 d4a7fdac...',
        RELEASED[name].url,
        'configs/coco_pose/td-hm_uniformer-s-8xb128-210e_coco-256x192.py',
    ]
    with pytest.raises(SystemExit, match="No released file has 'imagenet' and '448x320'"):
        command('weights', 'ImageNet', '448x320')
