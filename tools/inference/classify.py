"""Classify images, and the frames of videos one by one, and write the likeliest class on them.

mmpretrain's ImageClassificationInferencer does the work. Pictures go to DIR/vis; videos become mp4.
A camera is filmed until Ctrl-C.

Examples:
    python tools/inference/classify.py CONFIG CHECKPOINT flower.jpg
    python tools/inference/classify.py CONFIG CHECKPOINT folder --classes names.txt
"""

import argparse
from pathlib import Path

import common
import numpy as np

import uniformer_mm  # noqa: F401  registers
from uniformer_mm import cli
from uniformer_mm.engine import fold_backbone

SMALLEST = 320  # short side of a picture in pixels, for the text on it to be read


def parse_args() -> argparse.Namespace:
    parser = common.make_parser(
        __doc__,
        'an image classifier',
        out_dir='work_dirs/classifications',
        predictions='the class and the probabilities of all classes',
    )
    cli.add_classes_option(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = common.read_config(args, 'mmpretrain')
    results = common.plan_results(args)

    from mmpretrain import ImageClassificationInferencer
    from mmpretrain.visualization import UniversalVisualizer

    model = cli.build_trained(cfg, args.checkpoint, args.device)
    names = cli.class_names(args.classes, cfg.model.head.num_classes, cfg, model.dataset_meta)
    model._config = cfg  # where the inferencer finds the steps of the test
    inferencer, visualizer = ImageClassificationInferencer(model), UniversalVisualizer()
    if args.fast is not None:
        fold_backbone(model, **args.fast)

    def find(image: np.ndarray, path: Path) -> common.Found:
        # Calling the inferencer would do the same behind a progress bar of its own.
        (batch,) = inferencer.preprocess([image])
        (sample,) = inferencer.forward(batch)
        prediction, text = common.describe(sample.pred_score, names)
        side = max(SMALLEST, min(image.shape[:2]))
        picture = visualizer.visualize_cls(
            image[..., ::-1], sample, classes=names, draw_gt=False, resize=side
        )
        return common.Found(picture[..., ::-1], prediction, text)

    common.run(results, find)


if __name__ == '__main__':
    cli.run_tool(main)
