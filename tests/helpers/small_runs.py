"""What makes a full-size config small enough to run in a test."""

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from uniformer_mm import cli

SPLITS = ('train', 'val', 'test')


def shrink_pipelines(cfg: Config, by: int = 8) -> None:
    """Divide every image size of the pipelines; build the backbone without weights."""
    for split in SPLITS:
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.pipeline = _divide_sizes(dataset.pipeline, by)
    if 'tta_pipeline' in cfg:
        cfg.tta_pipeline = _divide_sizes(cfg.tta_pipeline, by)
    cfg.model.backbone.init_cfg = None
    cfg.default_hooks.checkpoint.update(interval=-1, save_last=False, save_best=None)


def _divide_sizes(node: Any, by: int, inside: bool = False) -> Any:
    if isinstance(node, dict):
        sizes = ('scale', 'scales', 'crop_size')
        return {key: _divide_sizes(value, by, key in sizes) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(_divide_sizes(value, by, inside) for value in node)
    return node // by if inside else node


def stop_workers(cfg: Config) -> None:
    """Load the data in the process itself."""
    for split in SPLITS:
        cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)


def make_runner(cfg: Config, work_dir: Path) -> Runner:
    """A Runner as tools/train.py builds it, in float32."""
    cfg.work_dir = str(work_dir)
    cli.set_amp(cfg, 'off')
    cli.check_data(cfg, SPLITS)
    cli.set_loaders(cfg, SPLITS)
    return cli.build_runner(cfg, [])
