"""Colour images and videos by the class of each pixel.

mmseg's MMSegInferencer finds the classes and its visualizer draws them, in the colours of the data
set: ADE20K's, for a config on ADE20K. Pictures go to DIR/vis; videos become mp4. A camera is filmed
until Ctrl-C.

Examples:
    python tools/inference/segment.py CONFIG CHECKPOINT room.jpg --out-dir coloured
    python tools/inference/segment.py CONFIG CHECKPOINT folder --opacity 1 --save-predictions
    python tools/inference/segment.py CONFIG CHECKPOINT street.mp4
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import common
import numpy as np
from mmengine.config import Config

import uniformer_mm  # noqa: F401  registers
from uniformer_mm import cli

if TYPE_CHECKING:
    from mmseg.apis import MMSegInferencer


def parse_args(args: Sequence[str] | None = None, files: bool = True) -> argparse.Namespace:
    parser = common.make_parser(
        __doc__,
        'a segmentor',
        out_dir='work_dirs/segmentations',
        predictions='the class of each pixel of an image, from 0, to DIR/preds/NAME.png and the '
        'share of each class',
        files=files,
    )
    parser.add_argument(
        '--opacity',
        type=float,
        default=0.5,
        help='of the colours over the image, from 0 to 1; default: %(default)s',
    )
    parser.add_argument(
        '--names', action='store_true', help='write the name of each class into its largest row'
    )
    parsed = parser.parse_args(args)
    if not 0 <= parsed.opacity <= 1:
        parser.error(f'--opacity: expected a number from 0 to 1, got {parsed.opacity}')
    return parsed


def build_inferencer(cfg: Config, args: argparse.Namespace) -> 'MMSegInferencer':
    """mmseg's inferencer with the classes and colours of the config's data set.

    Files of mmseg 0.x often name no classes, and mmseg then takes those of Cityscapes.

    Raises:
        UserError: If the data set has another number of classes than the model.
    """
    from mmseg.apis import MMSegInferencer
    from mmseg.registry import DATASETS

    dataset = DATASETS.build({**cfg.test_dataloader.dataset, 'pipeline': [], 'lazy_init': True})
    inferencer = common.load(MMSegInferencer, cfg, args)
    meta = {key: dataset.metainfo[key] for key in ('classes', 'palette')}
    num_classes = inferencer.model.decode_head.num_classes
    if len(meta['classes']) != num_classes:
        raise cli.UserError(
            f'The model tells {num_classes} classes apart, the data set of the config has '
            f'{len(meta["classes"])}: give names and colours with test_dataloader.dataset.metainfo.'
        )
    inferencer.model.dataset_meta = meta
    inferencer.visualizer.set_dataset_meta(**meta)
    return inferencer


def make_find(inferencer: 'MMSegInferencer', cfg: Config, args: argparse.Namespace) -> common.Find:
    """What colours an image."""
    inferencer.visualizer.alpha = args.opacity
    names = inferencer.model.dataset_meta['classes']

    def find(image: np.ndarray, path: Path) -> common.Found:
        sample = inferencer(image, return_datasamples=True)
        picture = common.draw(inferencer, image, sample, with_labels=args.names)
        classes = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
        found, counts = np.unique(classes, return_counts=True)
        order = np.argsort(-counts)
        shares = {names[found[i]]: float(counts[i] / classes.size) for i in order}
        text = ', '.join([*shares][: common.TOP]) + (', ...' if len(shares) > common.TOP else '')
        return common.Found(picture, shares, text, classes, shares)

    return find


def main() -> None:
    args = parse_args()
    cfg = common.read_config(args, 'mmseg')
    results = common.plan_results(args, label_maps=True)
    common.run(results, make_find(build_inferencer(cfg, args), cfg, args))


if __name__ == '__main__':
    cli.run_tool(main)
