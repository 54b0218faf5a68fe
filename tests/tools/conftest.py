"""A small image folder, the config that trains on it, models to run, and ways to run the tools."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from paper_configs import build
from PIL import Image


@pytest.fixture(scope='session')
def tiny_config(repo_root, tmp_path_factory) -> Path:
    """tests/helpers/tiny_cls.py on four colours: 32 training and 16 validation images."""
    root = tmp_path_factory.mktemp('tiny')
    rng = np.random.default_rng(0)
    for split, count in (('train', 8), ('val', 4)):
        for label, colour in enumerate(
            ((220, 40, 40), (40, 220, 40), (40, 40, 220), (200, 200, 40))
        ):
            folder = root / split / f'class{label}'
            folder.mkdir(parents=True)
            for i in range(count):
                image = np.clip(colour + rng.integers(-40, 40, (32, 32, 3)), 0, 255)
                Image.fromarray(image.astype(np.uint8)).save(folder / f'{label}_{i}.png')
    path = root / 'tiny.py'
    data = ''.join(f'{split}_dataloader = data\n' for split in ('train', 'val', 'test'))
    path.write_text(
        f'_base_ = [{str(repo_root / "tests/helpers/tiny_cls.py")!r}]\n'
        f'data = dict(dataset=dict(data_root={str(root)!r}))\n{data}'
    )
    return path


@pytest.fixture(scope='session')
def run_cpu(run_tool) -> Callable[..., subprocess.CompletedProcess]:
    """Run a tool in a process that sees no GPU."""

    def run(script: str, *args: object, **env: str) -> subprocess.CompletedProcess:
        return run_tool(script, *args, env={'CUDA_VISIBLE_DEVICES': '', **env})

    return run


@pytest.fixture(scope='session')
def read_losses() -> Callable[[Path], dict[int, float]]:
    """Training loss by iteration; runs that started later replace earlier ones."""

    def read(work_dir: Path) -> dict[int, float]:
        losses = {}
        for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
            records = [json.loads(line) for line in file.read_text().splitlines()]
            losses |= {record['step']: record['loss'] for record in records if 'loss' in record}
        return losses

    return read


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
