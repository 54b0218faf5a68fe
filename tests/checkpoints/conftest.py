"""Small files that several modules read."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from seeded_weights import seeded_state_dict
from weight_layouts import ARCH, CLASSIFIER

from uniformer_mm import UniFormer


@pytest.fixture(scope='session')
def thin_file(golden_imagenet) -> Callable[..., dict]:
    """A function that gives a model's official entries, with few channels."""

    def make(name: str, clips: bool = False) -> dict:
        keys = golden_imagenet['models'][name]['keys']
        clipped = {key: [min(size, 4) for size in shape] for key, shape in keys.items()}
        state = seeded_state_dict(clipped, torch.float32)
        # Networks for clips have the same names.
        return {k: v.unsqueeze(2) if clips and v.ndim == 4 else v for k, v in state.items()}

    return make


@pytest.fixture(scope='session')
def thin(thin_file) -> dict:
    """UniFormer-T's official entries with few channels, for what depends on names only."""
    return thin_file('uniformer_tiny_openmixup')


@pytest.fixture
def small_file(tmp_path) -> Callable[..., tuple[Path, dict]]:
    """A function that writes a small classifier's official file; gives its path and entries."""

    def make(name: str = 'file.pth', **kwargs) -> tuple[Path, dict]:
        state = UniFormer({**ARCH, **kwargs}, **CLASSIFIER).state_dict()
        state['head.weight'], state['head.bias'] = torch.rand(5, 64), torch.rand(5)
        torch.save(state, tmp_path / name)
        return tmp_path / name, state

    return make
