"""Estimate and draw the poses of people in images and videos.

mmpose's Pose2DInferencer does the work. Where the people are is told by a detector, by boxes on the
command line or by a file; without any, the whole image is taken as a person. Pictures go to
DIR/vis; videos become mp4. A camera is filmed until Ctrl-C.

Examples:
    python tools/inference/pose.py CONFIG CHECKPOINT street.mp4 --detector CONFIG CHECKPOINT
    python tools/inference/pose.py CONFIG CHECKPOINT street.jpg --box 40 20 160 310
    python tools/inference/pose.py CONFIG CHECKPOINT val2017 --boxes detections.json --box-thr 0.5
    python tools/inference/pose.py CONFIG CHECKPOINT folder --boxes found/preds
"""

import argparse
import copy
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
import numpy as np
import torch
from mmengine.config import Config

import uniformer_mm  # noqa: F401  registers
from uniformer_mm import cli

if TYPE_CHECKING:
    from mmpose.apis import Pose2DInferencer

PERSON_CATEGORY = 1
# Of the people in an image, (H, W, 3) uint8 BGR, as x1, y1, x2, y2 and perhaps a score.
FindPeople = Callable[[np.ndarray], list[list[float]]]


def parse_args(args: Sequence[str] | None = None, files: bool = True) -> argparse.Namespace:
    parser = common.make_parser(
        __doc__,
        'a pose estimator',
        out_dir='work_dirs/poses',
        predictions='keypoints and their scores',
        files=files,
    )
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument(
        '--detector',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='mmdet config and weights that find the people in each image or frame',
    )
    boxes.add_argument(
        '--box',
        type=float,
        nargs=4,
        action='append',
        metavar=('X1', 'Y1', 'X2', 'Y2'),
        help='a person in pixels; may be repeated; the same for every image',
    )
    if files:
        boxes.add_argument(
            '--boxes',
            type=Path,
            metavar='PATH',
            help='COCO results of images (image_id is the number in the name of the image), or the '
            'preds folder of detect.py',
        )
    parser.add_argument(
        '--label',
        type=int,
        default=0,
        help="the people's class in --detector and the preds folder, from 0; default: %(default)s",
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
    return parser.parse_args(args)


def read_boxes(
    path: Path, images: Sequence[Path], label: int, score_thr: float
) -> dict[Path, list[list[float]]]:
    """People of every image as x1, y1, x2, y2 and score.

    Raises:
        UserError: If the file or folder is missing or holds something else, or for a video.
    """
    if films := [image for image in images if common.is_film(image)]:
        raise cli.UserError(f'--boxes is for images: let --detector find the people of {films[0]}.')
    by_image: dict[Path, list[list[float]]] = {}
    try:
        if path.is_dir():
            for image in images:
                found = json.loads((path / f'{image.stem}.json').read_text())
                rows = zip(found['bboxes'], found['labels'], found['scores'], strict=True)
                by_image[image] = [
                    to_person(*box, score) for box, kind, score in rows if kind == label
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
            self, input: np.ndarray, index: int, *args: Any, bboxes: Sequence = (), **kwargs: Any
        ) -> list[dict]:
            """What the model takes for each box x1, y1, x2, y2 and perhaps score of an image."""
            if len(bboxes) == 0:
                return super().preprocess_single(input, index, *args, **kwargs)
            boxes = np.asarray(bboxes, np.float32)
            scores = boxes[:, 4:] if boxes.shape[1] == 5 else np.ones_like(boxes[:, :1])
            image = {'img': input, 'img_path': f'{index}.jpg', **self.model.dataset_meta}
            return [
                self.pipeline({**image, 'bbox': box[None], 'bbox_score': score})
                for box, score in zip(boxes[:, :4], scores, strict=True)
            ]

    return BoxInferencer


def build_detector(args: argparse.Namespace) -> FindPeople:
    """What finds the people of an image by ``--detector``."""
    from mmdet.apis import DetInferencer

    args = copy.copy(args)
    (args.config, args.checkpoint), args.cfg_options = args.detector, {}
    detector = common.load(DetInferencer, common.read_config(args, 'mmdet'), args)
    classes = detector.model.dataset_meta['classes']
    if not 0 <= args.label < len(classes):
        raise cli.UserError(f'--label {args.label}: the detector has {len(classes)} classes.')

    def find_people(image: np.ndarray) -> list[list[float]]:
        (sample,) = detector(image, return_datasamples=True)['predictions']
        found = sample.pred_instances
        found = found[(found.labels == args.label) & (found.scores >= args.box_thr)]
        return torch.cat([found.bboxes, found.scores[:, None]], 1).tolist()

    return find_people


def build_inferencer(cfg: Config, args: argparse.Namespace) -> 'Pose2DInferencer':
    """mmpose's inferencer, as ``common.load`` gives it, for people in given boxes.

    Raises:
        UserError: If the model takes no boxes, or ``--box`` is none.
    """
    from mmpose.apis import Pose2DInferencer

    if cfg.get('data_mode') != 'topdown':
        raise cli.UserError(f'{args.config} is no top-down model: it takes no boxes.')
    for box in args.box or []:
        if not has_area(box):
            raise cli.UserError(f'--box {box}: expected X1 < X2 and Y1 < Y2.')
    return common.load(with_boxes(Pose2DInferencer), cfg, args, det_model='whole_image')


def make_find(
    inferencer: 'Pose2DInferencer',
    cfg: Config,
    args: argparse.Namespace,
    of_image: Mapping[Path, list[list[float]]] | None = None,
) -> common.Find:
    """What estimates and draws the poses of an image; of some the people may be known."""
    find_people = build_detector(args) if args.detector else None

    def find(image: np.ndarray, path: Path) -> common.Found:
        boxes = find_people(image) if find_people else (of_image or {}).get(path, args.box)
        if boxes == []:
            return common.Found(image, [], 'no person')
        (result,) = inferencer(
            image, bboxes=[boxes or []], kpt_thr=args.keypoint_thr, draw_bbox=True, return_vis=True
        )
        (picture,), (people,) = result['visualization'], result['predictions']
        text = 'pose of the whole image' if boxes is None else f'poses of {len(people)} people'
        return common.Found(picture[..., ::-1], people, text)

    return find


def main() -> None:
    args = parse_args()
    cfg = common.read_config(args, 'mmpose')
    results = common.plan_results(args)
    of_image = {}
    if args.boxes is not None:
        of_image = read_boxes(args.boxes, [*results], args.label, args.box_thr)
    common.run(results, make_find(build_inferencer(cfg, args), cfg, args, of_image))


if __name__ == '__main__':
    cli.run_tool(main)
