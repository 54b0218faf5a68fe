"""A small image folder, the config that trains on it, and ways to run the tools."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope='session')
def tiny_data(tmp_path_factory) -> Path:
    """Four classes, told apart by colour: 32 training and 16 validation images."""
    root = tmp_path_factory.mktemp('tiny')
    rng = np.random.default_rng(0)
    colours = [(220, 40, 40), (40, 220, 40), (40, 40, 220), (200, 200, 40)]
    for split, count in (('train', 8), ('val', 4)):
        for label, colour in enumerate(colours):
            folder = root / split / f'class{label}'
            folder.mkdir(parents=True)
            for i in range(count):
                noise = rng.integers(-40, 40, (32, 32, 3))
                image = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(image).save(folder / f'{label}_{i}.png')
    return root


@pytest.fixture(scope='session')
def tiny_config(repo_root, tiny_data, tmp_path_factory) -> Path:
    """tests/helpers/tiny_cls.py on that data."""
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    path.write_text(
        f"""
_base_ = [{str(repo_root / 'tests/helpers/tiny_cls.py')!r}]
data = dict(dataset=dict(data_root={str(tiny_data)!r}))
train_dataloader = data
val_dataloader = data
test_dataloader = data
"""
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
