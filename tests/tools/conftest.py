"""A small image folder, the config that trains on it, models to run, and ways to run the tools."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from paper_configs import build
from PIL import Image
from tiny_runs import make_tiny
from tiny_runs import read_losses as losses_of


@pytest.fixture(scope='session')
def tiny_config(tmp_path_factory) -> Path:
    """tests/helpers/tiny_cls.py on four colours: 32 training and 16 validation images."""
    return make_tiny(tmp_path_factory.mktemp('tiny'))


@pytest.fixture(scope='session')
def run_cpu(run_tool) -> Callable[..., subprocess.CompletedProcess]:
    """Run a tool in a process that sees no GPU."""

    def run(script: str, *args: object, **env: str) -> subprocess.CompletedProcess:
        return run_tool(script, *args, env={'CUDA_VISIBLE_DEVICES': '', **env})

    return run


@pytest.fixture(scope='session')
def read_losses() -> Callable[[Path], dict[int, float]]:
    """Training loss by iteration; runs that started later replace earlier ones."""

    return losses_of


@pytest.fixture(scope='session')
def random_weights(tmp_path_factory) -> Callable[..., Path]:
    """A function that writes a checkpoint of a config's model, made once for each config."""
    made: dict[Path, Path] = {}

    def make(config: Path, **meta: object) -> Path:
        if config not in made:
            torch.manual_seed(0)  # fixtures are made before the tests are seeded
            cfg = Config.fromfile(config)
            cfg.model.backbone.init_cfg = None
            made[config] = tmp_path_factory.mktemp('weights') / 'model.pth'
            state = build(cfg.model, cfg.default_scope).state_dict()
            torch.save(dict(state_dict=state, meta=meta), made[config])
        return made[config]

    return make


@pytest.fixture
def images(tmp_path) -> Path:
    """A folder of two images of noise, and something else."""
    folder = tmp_path / 'images'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, shape in (('7.jpg', (70, 50)), ('12.png', (33, 90))):
        Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(folder / name)
    (folder / 'notes.txt').write_text('no image')
    return folder
