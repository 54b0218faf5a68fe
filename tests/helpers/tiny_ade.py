"""ADE20K data small enough to make in a test, and segmentation configs shrunk to its size."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image
from small_runs import shrink_pipelines, stop_workers

# (width, height) of the images of each split: no side is a multiple of 32.
SIZES = ((90, 70), (70, 90), (150, 66), (75, 75))


def make_ade(
    root: Path,
    sizes: Sequence[tuple[int, int]] = SIZES,
    numbers: tuple[int, int, int] = (1, 150, 255),
) -> Path:
    """Write three coloured rectangles on noise and their numbers, on 0 (other)."""
    rng = np.random.default_rng(0)
    for split in ('training', 'validation'):
        folders = [root / kind / split for kind in ('images', 'annotations')]
        for folder in folders:
            folder.mkdir(parents=True)
        for i, (width, height) in enumerate(sizes):
            pixels = rng.integers(0, 120, (height, width, 3), dtype=np.uint8)
            label = np.zeros((height, width), np.uint8)
            for place, number in enumerate(numbers):
                left = place * width // 3
                box = np.s_[height // 4 :, left : left + width // 4]
                pixels[box] = (number, 255 - number, 90)
                label[box] = number
            Image.fromarray(pixels).save(folders[0] / f'{i}.jpg')
            Image.fromarray(label).save(folders[1] / f'{i}.png')
    return root


def use_data(cfg: Config, root: Path) -> None:
    """Let a segmentation config read data made by :func:`make_ade`, without workers."""
    stop_workers(cfg)
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = str(root)


def shrink(cfg: Config, by: int = 8) -> None:
    """Divide every image size; two iterations with an evaluation at the end."""
    shrink_pipelines(cfg, by)
    cfg.model.data_preprocessor.size = tuple(
        side // by for side in cfg.model.data_preprocessor.size
    )
    cfg.train_dataloader.batch_size = 2
    cfg.train_cfg.update(max_iters=2, val_interval=2)


def shrink_model(cfg: Config) -> None:
    """A backbone with every kind of block, and heads, with few channels."""
    dims = [16, 32, 32, 64]
    cfg.model.backbone.update(depths=(1, 1, 4, 1), embed_dims=dims, head_dim=16)
    if 'neck' in cfg.model:
        cfg.model.neck.update(in_channels=dims, out_channels=16)
        cfg.model.decode_head.update(in_channels=[16] * 4, channels=16)
    else:
        cfg.model.decode_head.update(in_channels=dims, channels=16)
        cfg.model.auxiliary_head.update(in_channels=dims[2], channels=16)
