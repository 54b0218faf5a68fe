"""What the README tells a newcomer to type works as it stands there."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from uniformer_mm import UniFormer


@pytest.fixture(scope='module')
def blocks(repo_root: Path) -> list[str]:
    """The Python examples of the README."""
    return re.findall(r'```python\n(.*?)```', (repo_root / 'README.md').read_text(), re.DOTALL)


def test_plain_pytorch_example(blocks: list[str]) -> None:
    (example,) = [block for block in blocks if 'fold_for_inference' in block]
    names: dict = {}
    exec(example.replace('800, 1280', '64, 96'), names)
    assert [tuple(m.shape[2:]) for m in names['maps']] == [(16, 24), (8, 12), (4, 6), (2, 3)]


@pytest.mark.slow
def test_own_data_example(
    blocks: list[str], repo_root: Path, run_tool: Callable, tmp_path: Path
) -> None:
    (example,) = [block for block in blocks if 'data/flowers' in block]
    (tmp_path / 'configs').symlink_to(repo_root / 'configs')
    config = tmp_path / 'flowers.py'
    config.write_text(example.replace("'./imagenet", "'./configs/imagenet"))

    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        for label in range(10):
            folder = tmp_path / 'data/flowers' / split / f'{label}'
            folder.mkdir(parents=True)
            pixels = rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f'{split}.png')
    classifier = UniFormer('small', out_indices=(3,), final_norm=True).state_dict()
    head = {'head.weight': torch.zeros(1000, 512), 'head.bias': torch.zeros(1000)}
    (tmp_path / 'weights').mkdir()
    torch.save({'model': {**classifier, **head}}, tmp_path / 'weights/uniformer_small_in1k.pth')

    smaller = ('train_dataloader.batch_size=4', 'train_cfg.max_epochs=1')
    train = run_tool(
        *('tools/train.py', config, '--amp', 'off', '--cfg-options', *smaller),
        *('train_dataloader.num_workers=0', 'val_dataloader.num_workers=0'),
        cwd=tmp_path,
    )
    assert train.returncode == 0, train.stderr
    assert 'weights/uniformer_small_in1k.pth. Not used (2): head' in train.stdout + train.stderr
    test = run_tool(
        *('tools/test.py', config, 'work_dirs/flowers/epoch_1.pth'),
        *('--show-dir', 'work_dirs/flowers/pictures'),
        *('--cfg-options', 'test_dataloader.num_workers=0'),
        cwd=tmp_path,
    )
    assert test.returncode == 0, test.stderr
    assert list((tmp_path / 'work_dirs/flowers/pictures').rglob('*.png'))
