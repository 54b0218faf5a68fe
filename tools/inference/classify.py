"""Classify images, and the frames of videos one by one, and write the likeliest class on them.

mmpretrain's ImageClassificationInferencer does the work. Pictures go to DIR/vis; videos become mp4.
A camera is filmed until Ctrl-C.

Examples:
    python tools/inference/classify.py CONFIG CHECKPOINT flower.jpg
    python tools/inference/classify.py CONFIG CHECKPOINT folder --classes names.txt
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
from uniformer_mm.engine import fold_backbone

if TYPE_CHECKING:
    from mmpretrain import ImageClassificationInferencer

SMALLEST = 320  # short side of a picture in pixels, for the text on it to be read


def parse_args(args: Sequence[str] | None = None, files: bool = True) -> argparse.Namespace:
    parser = common.make_parser(
        __doc__,
        'an image classifier',
        out_dir='work_dirs/classifications',
        predictions='the class and the probabilities of all classes',
        files=files,
    )
    cli.add_classes_option(parser)
    return parser.parse_args(args)


def build_inferencer(cfg: Config, args: argparse.Namespace) -> 'ImageClassificationInferencer':
    """mmpretrain's inferencer, with the weights that ``common.load`` would take."""
    from mmpretrain import ImageClassificationInferencer

    model = cli.build_trained(cfg, args.checkpoint, args.device)
    model._config = cfg  # where the inferencer finds the steps of the test
    if args.fast is not None:
        fold_backbone(model, **args.fast)
    return ImageClassificationInferencer(model)


def make_find(
    inferencer: 'ImageClassificationInferencer', cfg: Config, args: argparse.Namespace
) -> common.Find:
    """What classifies an image and draws it with its class."""
    from mmpretrain.visualization import UniversalVisualizer

    visualizer, meta = UniversalVisualizer(), inferencer.model.dataset_meta
    names = cli.class_names(args.classes, cfg.model.head.num_classes, cfg, meta)

    def find(image: np.ndarray, path: Path) -> common.Found:
        # Calling the inferencer would do the same behind a progress bar of its own.
        (batch,) = inferencer.preprocess([image])
        (sample,) = inferencer.forward(batch)
        prediction, text, top = common.describe(sample.pred_score, names)
        side = max(SMALLEST, min(image.shape[:2]))
        picture = visualizer.visualize_cls(
            image[..., ::-1], sample, classes=names, draw_gt=False, resize=side
        )
        return common.Found(picture[..., ::-1], prediction, text, shares=top)

    return find


def main() -> None:
    args = parse_args()
    cfg = common.read_config(args, 'mmpretrain')
    results = common.plan_results(args)
    common.run(results, make_find(build_inferencer(cfg, args), cfg, args))


if __name__ == '__main__':
    cli.run_tool(main)
