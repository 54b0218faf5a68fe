"""Find objects in images and videos, and draw what was found.

mmdet's DetInferencer does the work. Pictures go to DIR/vis; videos become mp4. A camera is filmed
until Ctrl-C.

Examples:
    python tools/inference/detect.py CONFIG CHECKPOINT street.jpg --out-dir found
    python tools/inference/detect.py CONFIG CHECKPOINT folder --score-thr 0.5 --save-predictions
    python tools/inference/detect.py CONFIG CHECKPOINT camera:0
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
    from mmdet.apis import DetInferencer


def parse_args(args: Sequence[str] | None = None, files: bool = True) -> argparse.Namespace:
    parser = common.make_parser(
        __doc__,
        'a detector',
        out_dir='work_dirs/detections',
        predictions='boxes, classes, scores and masks',
        files=files,
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='draw from this score; default: %(default)s'
    )
    return parser.parse_args(args)


def build_inferencer(cfg: Config, args: argparse.Namespace) -> 'DetInferencer':
    """mmdet's inferencer, as ``common.load`` gives it."""
    from mmdet.apis import DetInferencer

    return common.load(DetInferencer, cfg, args)


def make_find(inferencer: 'DetInferencer', cfg: Config, args: argparse.Namespace) -> common.Find:
    """What finds and draws the objects of an image."""

    def find(image: np.ndarray, path: Path) -> common.Found:
        (sample,) = inferencer(image, return_datasamples=True)['predictions']
        count = int((sample.pred_instances.scores >= args.score_thr).sum())
        picture = common.draw(inferencer, image, sample, pred_score_thr=args.score_thr)
        prediction = inferencer.pred2dict(sample) if args.save_predictions else None
        return common.Found(picture, prediction, f'{count} found')

    return find


def main() -> None:
    args = parse_args()
    cfg = common.read_config(args, 'mmdet')
    results = common.plan_results(args)
    common.run(results, make_find(build_inferencer(cfg, args), cfg, args))


if __name__ == '__main__':
    cli.run_tool(main)
