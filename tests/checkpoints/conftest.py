"""Small files that several modules read."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from seeded_weights import seeded_state_dict
from weight_layouts import ARCH, CLASSIFIER

from uniformer_mm import UniFormer


@pytest.fixture(scope='session')
def thin(golden_imagenet) -> dict:
    """UniFormer-T's official entries with few channels, for what depends on names only."""
    keys = golden_imagenet['models']['uniformer_tiny_openmixup']['keys']
    clipped = {key: [min(size, 4) for size in shape] for key, shape in keys.items()}
    return seeded_state_dict(clipped, torch.float32)


@pytest.fixture
def small_file(tmp_path) -> Callable[..., tuple[Path, dict]]:
    """A function that writes a small classifier's official file; gives its path and entries."""

    def make(name: str = 'file.pth', **kwargs) -> tuple[Path, dict]:
        state = UniFormer({**ARCH, **kwargs}, **CLASSIFIER).state_dict()
        state['head.weight'], state['head.bias'] = torch.rand(5, 64), torch.rand(5)
        torch.save(state, tmp_path / name)
        return tmp_path / name, state

    return make
