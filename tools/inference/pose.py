"""Estimate and draw the poses of people whose boxes are known, in an image or a folder of images.

mmpose's Pose2DInferencer does the work; its pictures go to DIR/vis. Boxes come from the command
line, from a file in COCO's results format, or from tools/inference/detect.py --save-predictions
with a detector whose first class is the person. Without any, the whole image is taken as a person.

Examples:
    python tools/inference/pose.py CONFIG CHECKPOINT street.jpg --box 40 20 160 310
    python tools/inference/pose.py CONFIG CHECKPOINT val2017 --boxes detections.json --box-thr 0.5
    python tools/inference/pose.py CONFIG CHECKPOINT folder --boxes found/preds
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
import numpy as np

import uniformer_mm  # noqa: F401  registers
from uniformer_mm import cli

if TYPE_CHECKING:
    from mmpose.apis import Pose2DInferencer

PERSON_CATEGORY, PERSON_LABEL = 1, 0


def parse_args() -> argparse.Namespace:
    parser = common.make_parser(
        __doc__,
        'a pose estimator',
        inputs='image, or folder of images',
        out_dir='work_dirs/poses',
        predictions='keypoints and their scores to DIR/preds/NAME.json',
    )
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument(
        '--box',
        type=float,
        nargs=4,
        action='append',
        metavar=('X1', 'Y1', 'X2', 'Y2'),
        help='a person in pixels; may be repeated; the same for every image',
    )
    boxes.add_argument(
        '--boxes',
        type=Path,
        metavar='PATH',
        help='COCO results (image_id is the number in the name of the image), or the preds folder '
        'of detect.py',
    )
    parser.add_argument(
        '--box-thr', type=float, default=0.3, help='use boxes from this score; default: %(default)s'
    )
    parser.add_argument(
        '--keypoint-thr',
        type=float,
        default=0.3,
        help='draw keypoints from this score; default: %(default)s',
    )
    return parser.parse_args()


def read_boxes(path: Path, images: list[Path], score_thr: float) -> dict[Path, list[list[float]]]:
    """People of every image as x1, y1, x2, y2 and score.

    Raises:
        UserError: If the file or folder is missing or holds something else.
    """
    by_image: dict[Path, list[list[float]]] = {}
    try:
        if path.is_dir():
            for image in images:
                found = json.loads((path / f'{image.stem}.json').read_text())
                rows = zip(found['bboxes'], found['labels'], found['scores'], strict=True)
                by_image[image] = [
                    to_person(*box, score) for box, label, score in rows if label == PERSON_LABEL
                ]
        else:
            by_number: dict[int, list[list[float]]] = {}
            for found in json.loads(path.read_text()):
                x, y, width, height = found['bbox']
                if found['category_id'] == PERSON_CATEGORY:
                    person = to_person(x, y, x + width, y + height, found['score'])
                    by_number.setdefault(found['image_id'], []).append(person)
            by_image = {image: by_number.get(int(image.stem), []) for image in images}
    except FileNotFoundError as error:
        raise cli.UserError(f'There is no file of boxes {error.filename}.') from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise cli.UserError(
            f'--boxes {path}: expected COCO results, a list of image_id, category_id, bbox (x, y, '
            'width, height) and score, for images whose names are numbers, or the preds folder of '
            f'tools/inference/detect.py ({type(error).__name__}: {error}).'
        ) from error
    sure = {
        image: [box for box in boxes if box[4] >= score_thr] for image, boxes in by_image.items()
    }
    people = {image: list(filter(has_area, boxes)) for image, boxes in sure.items()}
    flat = sum(map(len, sure.values())) - sum(map(len, people.values()))
    if flat:
        print(f'{path}: {flat} boxes without an area are left out.', file=sys.stderr)
    return people


def to_person(*values: float) -> list[float]:
    """x1, y1, x2, y2 and score.

    Raises:
        ValueError: If one of them is no finite number, or there are not five.
    """
    person = [float(value) for value in values]
    if len(person) != 5 or not np.isfinite(person).all():
        raise ValueError(f'no box and score: {values}')
    return person


def has_area(box: list[float]) -> bool:
    """Whether x1, y1, x2, y2 enclose anything."""
    return box[0] < box[2] and box[1] < box[3]


def with_boxes(inferencer: 'type[Pose2DInferencer]') -> 'type[Pose2DInferencer]':
    """mmpose's inferencer, but a top-down model estimates the poses of the people it is given.

    That of mmpose 1.3.2 has an argument ``bboxes`` too, which it overwrites with what a detector
    finds or, without one, with the whole image. Here that happens only if no box is given.
    """

    class BoxInferencer(inferencer):
        def preprocess_single(
            self, input: str, index: int, *args: Any, bboxes: Sequence = (), **kwargs: Any
        ) -> list[dict]:
            """What the model takes for each box x1, y1, x2, y2 and perhaps score of an image."""
            if len(bboxes) == 0:
                return super().preprocess_single(input, index, *args, **kwargs)
            boxes = np.asarray(bboxes, np.float32)
            scores = boxes[:, 4:] if boxes.shape[1] == 5 else np.ones_like(boxes[:, :1])
            image = {'img_path': input, **self.model.dataset_meta}
            return [
                self.pipeline({**image, 'bbox': box[None], 'bbox_score': score})
                for box, score in zip(boxes[:, :4], scores, strict=True)
            ]

    return BoxInferencer


def main() -> None:
    args = parse_args()
    cfg = common.read_config(args, 'mmpose')
    if cfg.get('data_mode') != 'topdown':
        raise cli.UserError(f'{args.config} is no top-down model: it takes no boxes.')
    images = common.find_files(args.input)
    pictures = args.out_dir / 'vis'
    results = {image: [pictures / image.name] for image in images}
    if args.save_predictions:
        for image, files in results.items():
            files.append(args.out_dir / 'preds' / f'{image.stem}.json')
    common.refuse_to_overwrite(results, args.overwrite)
    for box in args.box or []:
        if not has_area(box):
            raise cli.UserError(f'--box {box}: expected X1 < X2 and Y1 < Y2.')
    people = dict.fromkeys(images, args.box or [])
    if args.boxes is not None:
        people = read_boxes(args.boxes, images, args.box_thr)

    from mmpose.apis import Pose2DInferencer

    inferencer = common.load(with_boxes(Pose2DInferencer), cfg, args, det_model='whole_image')
    common.make_folders(results)
    outputs = dict(vis_out_dir=str(pictures))
    if args.save_predictions:
        outputs['pred_out_dir'] = str(args.out_dir / 'preds')

    def estimate(image: Path) -> str:
        if args.boxes is not None and not people[image]:
            return f'{image}: no person, no picture'
        common.read_image(image)
        (result,) = inferencer(
            str(image),
            bboxes=[people[image]],
            kpt_thr=args.keypoint_thr,
            draw_bbox=True,
            **outputs,
        )
        return f'{pictures / image.name}: poses of {len(result["predictions"][0])} people'

    common.run_each(results, estimate)


if __name__ == '__main__':
    cli.run_tool(main)
