"""Small data and weights for the mini configs."""

import sys
from collections.abc import Callable
from pathlib import Path

import make_mini
import pytest
import torch
from mmengine.config import Config

from uniformer_mm.registry import MODELS

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'tools/analysis'))


@pytest.fixture(scope='session')
def mini_data(tmp_path_factory) -> Callable[..., Path]:
    """Make a few samples of a built-in data set: ``mini_data('coco', train=4, val=3)``."""
    root = tmp_path_factory.mktemp('mini')

    def make(name: str, **counts: int) -> Path:
        return make_mini.make(name, root, counts=counts)

    return make


def save_classifier(config: Path, folder: Path) -> Path:
    """Weights as a mini classifier leaves them, but random."""
    backbone = MODELS.build(Config.fromfile(config).model.backbone)
    path = folder / 'classifier.pth'
    state = {f'backbone.{key}': value for key, value in backbone.state_dict().items()}
    head = {'head.fc.weight': torch.zeros(10, 256), 'head.fc.bias': torch.zeros(10)}
    torch.save(dict(meta={}, state_dict=state | head), path)
    return path


@pytest.fixture(scope='session')
def classifier(repo_root, tmp_path_factory) -> Path:
    """What the other mini models start from."""
    config = repo_root / 'configs/mini/uniformer-mini_1xb32_digits.py'
    return save_classifier(config, tmp_path_factory.mktemp('weights'))


@pytest.fixture(scope='session')
def light_classifier(repo_root, tmp_path_factory) -> Path:
    """What the other light mini models start from."""
    config = repo_root / 'configs/mini/uniformer-light-mini_1xb32_digits.py'
    return save_classifier(config, tmp_path_factory.mktemp('weights'))
