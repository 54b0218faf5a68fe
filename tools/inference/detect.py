"""Find objects in an image, or in every image of a folder, and draw what was found.

mmdet's DetInferencer does the work; its pictures go to DIR/vis.

Examples:
    python tools/inference/detect.py CONFIG CHECKPOINT street.jpg --out-dir found
    python tools/inference/detect.py CONFIG CHECKPOINT folder --score-thr 0.5 --save-predictions
"""

import argparse
from pathlib import Path

import common

import uniformer_mm  # noqa: F401  registers
from uniformer_mm import cli


def parse_args() -> argparse.Namespace:
    parser = common.make_parser(
        __doc__,
        'a detector',
        inputs='image, or folder of images',
        out_dir='work_dirs/detections',
        predictions='boxes, classes, scores and masks to DIR/preds/NAME.json',
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='draw from this score; default: %(default)s'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = common.read_config(args, 'mmdet')
    images = common.find_files(args.input)
    pictures = args.out_dir / 'vis'
    results = {image: [pictures / image.name] for image in images}
    if args.save_predictions:
        for image, files in results.items():
            files.append(args.out_dir / 'preds' / f'{image.stem}.json')
    common.refuse_to_overwrite(results, args.overwrite)

    from mmdet.apis import DetInferencer

    inferencer = common.load(DetInferencer, cfg, args)
    common.make_folders(results)

    def detect(image: Path) -> str:
        common.read_image(image)
        result = inferencer(
            str(image),
            out_dir=str(args.out_dir),
            pred_score_thr=args.score_thr,
            no_save_pred=not args.save_predictions,
        )
        scores = result['predictions'][0]['scores']
        found = sum(score >= args.score_thr for score in scores)
        return f'{pictures / image.name}: {found} found'

    common.run_each(results, detect)


if __name__ == '__main__':
    cli.run_tool(main)
