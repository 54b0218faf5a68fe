"""Find objects in an image, or in every image of a folder, and draw what was found.

mmdet's DetInferencer does the work; its pictures go to DIR/vis.

Examples:
    python tools/inference/detect.py CONFIG CHECKPOINT street.jpg --out-dir found
    python tools/inference/detect.py CONFIG CHECKPOINT folder --score-thr 0.5 --save-predictions
"""

import argparse

import cv2
from common import find_files, make_parser, read_config, refuse_to_overwrite, report_skipped, strict

import uniformer_mm  # noqa: F401  registers, and mends what is broken in the libraries
from uniformer_mm import cli


def parse_args() -> argparse.Namespace:
    parser = make_parser(
        __doc__, 'a detector', inputs='image, or folder of images', out_dir='work_dirs/detections'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='draw from this score; default: %(default)s'
    )
    parser.add_argument(
        '--save-predictions',
        action='store_true',
        help='also write boxes, classes, scores and masks to DIR/preds/NAME.json',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = read_config(args, 'mmdet')
    images = find_files(args.input)
    pictures = [args.out_dir / 'vis' / image.name for image in images]
    refuse_to_overwrite(pictures, args.overwrite)

    from mmdet.apis import DetInferencer

    cfg.visualizer.vis_backends = None  # the inferencer writes the pictures
    inferencer = strict(DetInferencer, args.checkpoint)(
        cfg, args.checkpoint, device=args.device, show_progress=False
    )
    unreadable = []
    for image, picture in zip(images, pictures, strict=True):
        try:
            result = inferencer(
                str(image),
                out_dir=str(args.out_dir),
                pred_score_thr=args.score_thr,
                no_save_pred=not args.save_predictions,
            )
        except (AssertionError, OSError, ValueError, cv2.error) as error:
            unreadable.append(f'{image}: {error}')
            continue
        scores = result['predictions'][0]['scores']
        found = sum(score >= args.score_thr for score in scores)
        print(f'{picture}: {found} found', flush=True)
    report_skipped(unreadable, len(images))


if __name__ == '__main__':
    cli.run_tool(main)
