"""What makes a config small enough to run in a test, and its Runner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from small_data import CLASSES

from uniformer_mm import cli

SPLITS = ('train', 'val', 'test')
DIMS = [16, 32, 32, 64]


def stop_workers(cfg: Config) -> None:
    """Load the data in the process itself."""
    for split in SPLITS:
        cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)


def use_data(cfg: Config, root: Path, classes: Sequence[str] = CLASSES) -> None:
    """Let a config read data of :mod:`small_data`, without workers; ``classes`` of detectors."""
    stop_workers(cfg)
    for split in SPLITS:
        loader = cfg[f'{split}_dataloader']
        loader.dataset.data_root = f'{root}/'
        evaluator = cfg.get(f'{split}_evaluator') or {}
        if 'ann_file' in evaluator:
            evaluator.ann_file = str(root / 'annotations' / Path(evaluator.ann_file).name)
        if 'codec' in cfg:
            loader.batch_size = 2
        if 'bbox_file' in loader.dataset:
            boxes = Path(loader.dataset.bbox_file)
            loader.dataset.bbox_file = str(root / boxes.parent.name / boxes.name)
    if 'roi_head' in cfg.model:
        roi_head = cfg.model.roi_head
        for head in (*_as_list(roi_head.bbox_head), roi_head.mask_head):
            head.num_classes = len(classes)
        for split in SPLITS:
            cfg[f'{split}_dataloader'].dataset.metainfo = dict(classes=tuple(classes))


def shrink(cfg: Config, by: int = 8) -> None:
    """Divide every size of images, maps and numbers of regions; no weights, no checkpoints."""
    model = cfg.model
    model.backbone.init_cfg = None
    cfg.default_hooks.checkpoint.update(interval=-1, save_last=False, save_best=None)
    if 'codec' in cfg:
        _shrink_pose(cfg, by)
        return
    for split in SPLITS:
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.pipeline = _divide_sizes(dataset.pipeline, by)
    if 'tta_pipeline' in cfg:
        cfg.tta_pipeline = _divide_sizes(cfg.tta_pipeline, by)
    if 'roi_head' in model:
        for stage in _as_list(model.train_cfg.rcnn):
            stage.sampler.num = 512 // by**2
        model.train_cfg.rpn_proposal.max_per_img = 50
        model.test_cfg.rpn.max_per_img = 20
        model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=5)
    else:
        model.data_preprocessor.size = tuple(side // by for side in model.data_preprocessor.size)
        cfg.train_dataloader.batch_size = 2
        cfg.train_cfg.update(max_iters=2, val_interval=2)


def _shrink_pose(cfg: Config, by: int) -> None:
    codec = cfg.codec
    for key in ('input_size', 'heatmap_size'):
        codec[key] = tuple(side // by for side in codec[key])
    cfg.model.head.update(decoder=codec, deconv_out_channels=(32, 32, 32))
    for split in SPLITS:
        for step in cfg[f'{split}_dataloader'].dataset.pipeline:
            if 'input_size' in step:
                step.input_size = codec.input_size
            if 'encoder' in step:
                step.encoder = codec


def shrink_model(cfg: Config) -> None:
    """A backbone with every kind of block, and heads that fit it, with few channels."""
    model = cfg.model
    model.backbone.update(depths=(1, 1, 4, 1), embed_dims=DIMS, head_dim=16, init_cfg=None)
    if 'roi_head' in model:
        model.backbone.with_cp = (0, 0, 4, 0)
        model.neck.update(in_channels=DIMS, out_channels=32)
        model.rpn_head.update(in_channels=32, feat_channels=32)
        roi_head = model.roi_head
        for extractor in (roi_head.bbox_roi_extractor, roi_head.mask_roi_extractor):
            extractor.out_channels = 32
        for head in _as_list(roi_head.bbox_head):
            head.update(in_channels=32, fc_out_channels=32)
            if 'conv_out_channels' in head:
                head.conv_out_channels = 32
        roi_head.mask_head.update(in_channels=32, conv_out_channels=32)
    elif 'codec' in cfg:
        model.head.in_channels = DIMS[-1]
    elif 'neck' in model:
        model.neck.update(in_channels=DIMS, out_channels=16)
        model.decode_head.update(in_channels=[16] * 4, channels=16)
    else:
        model.decode_head.update(in_channels=DIMS, channels=16)
        model.auxiliary_head.update(in_channels=DIMS[2], channels=16)


def _divide_sizes(node: Any, by: int, inside: bool = False) -> Any:
    if isinstance(node, dict):
        sizes = ('scale', 'scales', 'crop_size')
        return {key: _divide_sizes(value, by, key in sizes) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(_divide_sizes(value, by, inside) for value in node)
    return node // by if inside else node


def _as_list(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def make_runner(cfg: Config, work_dir: Path) -> Runner:
    """A Runner as tools/train.py builds it, in float32."""
    cfg.work_dir = str(work_dir)
    cli.set_amp(cfg, 'off')
    cli.check_data(cfg, SPLITS)
    cli.set_loaders(cfg, SPLITS)
    return cli.build_runner(cfg, [])


def build(config: Path, options: dict[str, Any], work_dir: Path) -> Runner:
    """A Runner as tools/train.py builds it, with ``options`` as of ``--cfg-options``."""
    cfg, notes = cli.load_config(str(config), options)
    cli.set_work_dir(cfg, str(config), str(work_dir))
    cli.set_loaders(cfg, SPLITS)
    return cli.build_runner(cfg, notes)


def leaves(node: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Every entry of a nested config with its dotted name."""
    if isinstance(node, list) and node and isinstance(node[0], dict):
        node = dict(enumerate(node))
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, f'{path}.{key}' if path else key)
    else:
        yield path, node


def changed(mini: Config, paper: Config, part: str) -> set[str]:
    """Names of what the mini config changes, with the number of a cascade's stage left out."""
    ours, theirs = (dict(leaves(cfg[part])) for cfg in (mini, paper))
    keys = {key for key in ours | theirs if ours.get(key) != theirs.get(key)} - {'_scope_'}
    return {'.'.join(name for name in key.split('.') if not name.isdigit()) for key in keys}
