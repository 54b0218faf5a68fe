"""The data of ``tiny_cls.py``, and what its runs leave."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

TINY = Path(__file__).with_name('tiny_cls.py')
COLOURS = ((220, 40, 40), (40, 220, 40), (40, 40, 220), (200, 200, 40))


def make_tiny(root: Path) -> Path:
    """Write 32 images to train on and 16 to validate on, and a config that reads them."""
    rng = np.random.default_rng(0)
    for split, count in (('train', 8), ('val', 4)):
        for label, colour in enumerate(COLOURS):
            folder = root / split / f'class{label}'
            folder.mkdir(parents=True)
            for i in range(count):
                image = np.clip(colour + rng.integers(-40, 40, (32, 32, 3)), 0, 255)
                Image.fromarray(image.astype(np.uint8)).save(folder / f'{label}_{i}.png')
    config = root / 'tiny.py'
    data = ''.join(f'{split}_dataloader = data\n' for split in ('train', 'val', 'test'))
    config.write_text(
        f'_base_ = [{str(TINY)!r}]\ndata = dict(dataset=dict(data_root={str(root)!r}))\n{data}'
    )
    return config


def read_losses(work_dir: Path) -> dict[int, float]:
    """Training loss by iteration; runs that started later replace earlier ones."""
    losses = {}
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        # A run that was killed may have left half a line.
        lines = [line for line in file.read_text().splitlines() if line.endswith('}')]
        records = map(json.loads, lines)
        losses |= {record['step']: record['loss'] for record in records if 'loss' in record}
    return losses


def difference(one: Path, other: Path) -> str:
    """What differs in the weights, averages or optimizers of two checkpoints; nothing if none."""
    states = [torch.load(file, weights_only=False) for file in (one, other)]
    for key in ('state_dict', 'ema_state_dict', 'optimizer'):
        first, second = (_tensors(state.get(key) or {}) for state in states)
        if first.keys() != second.keys():
            return f'{key}: other entries'
        for name, tensor in first.items():
            if not torch.equal(tensor, second[name]):
                return f'{key}: {name}'
    return ''


def _tensors(node: object, path: str = '') -> dict[str, torch.Tensor]:
    if isinstance(node, torch.Tensor):
        return {path: node}
    items = node.items() if isinstance(node, dict) else []
    return {key: t for name, value in items for key, t in _tensors(value, f'{path}.{name}').items()}
