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


@pytest.fixture(scope='session')
def classifier(repo_root, tmp_path_factory) -> Path:
    """Weights as the classification demo leaves them, but random."""
    cfg = Config.fromfile(repo_root / 'configs/mini/uniformer-mini_1xb32_digits.py')
    backbone = MODELS.build(cfg.model.backbone)
    path = tmp_path_factory.mktemp('weights') / 'classifier.pth'
    state = {f'backbone.{key}': value for key, value in backbone.state_dict().items()}
    head = {'head.fc.weight': torch.zeros(10, 256), 'head.fc.bias': torch.zeros(10)}
    torch.save(dict(meta={}, state_dict=state | head), path)
    return path
