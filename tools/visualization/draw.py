"""Draw the predictions for many images or clips in one picture.

Reads what ``tools/test.py CONFIG CHECKPOINT --dump predictions.pkl`` wrote. The libraries' own
visualizers draw boxes, masks, regions and skeletons, on enlarged images, so that small ones stay
readable; classified images and clips bear the true and the predicted class.

Example:
    python tools/visualization/draw.py CONFIG predictions.pkl picture.png
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib import font_manager
from mmengine.config import Config
from mmengine.registry import DATASETS, VISUALIZERS, DefaultScope
from mmengine.structures import InstanceData, PixelData
from mmengine.visualization import Visualizer
from PIL import Image, ImageDraw, ImageFont

import uniformer_mm  # noqa: F401  registers what the config asks for
from uniformer_mm import cli
from uniformer_mm.checkpoints.plain import load_plain_pickle

GAP, THIN_GAP = 12, 4
RIGHT, WRONG = '#2e7d4f', '#c8322b'
FRAMES = 8  # of a clip
KEYPOINT_THR = 0.3


class Tile(NamedTuple):
    """An image of the picture, (H, W, 3) uint8 RGB, and what is written over it in which colour."""

    picture: np.ndarray
    caption: str = ''
    colour: str = RIGHT


class Answer(NamedTuple):
    """One classified sample, by its place in the dump."""

    index: int
    truth: int
    label: int
    confidence: float


def save_grid(
    tiles: list[Tile], out: Path, width: int, title: str = '', max_rows: int | None = None
) -> None:
    """Write tiles of equal height in centered rows, each as many as ``width`` pixels hold.

    Args:
        tiles: What to draw.
        out: File to write; its folder is made.
        width: Of the whole, in pixels.
        title: What to write above.
        max_rows: Leave out what comes after so many rows.
    """
    rows, used = [[]], 0
    for tile in tiles:
        if used + tile.picture.shape[1] > width and rows[-1]:
            rows, used = [*rows, []], 0
        rows[-1].append(tile)
        used += tile.picture.shape[1] + GAP
    rows = rows[:max_rows]
    caption = 20 if any(tile.caption for tile in tiles) else 0
    top = GAP + (36 if title else 0)
    step = caption + tiles[0].picture.shape[0] + GAP
    widths = [sum(tile.picture.shape[1] + GAP for tile in row) + GAP for row in rows]
    canvas = Image.new('RGB', (max(widths), top + step * len(rows)), 'white')
    font = font_manager.findfont('DejaVu Sans')
    pen = ImageDraw.Draw(canvas)
    middle = canvas.width // 2, GAP + 12
    pen.text(middle, title, 'black', ImageFont.truetype(font, 22), anchor='mm')
    for number, (row, row_width) in enumerate(zip(rows, widths, strict=True)):
        left, upper = GAP + (canvas.width - row_width) // 2, top + step * number
        for tile in row:
            place = left + tile.picture.shape[1] // 2, upper + caption - 4
            pen.text(place, tile.caption, tile.colour, ImageFont.truetype(font, 15), anchor='ms')
            canvas.paste(Image.fromarray(tile.picture), (left, upper + caption))
            left += tile.picture.shape[1] + GAP
    out.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(out)


def enlarge(image: Image.Image, height: int, resample: int = Image.Resampling.LANCZOS) -> Any:
    """The pixels of an image resized to ``height``, with its aspect."""
    return np.array(image.resize((round(image.width * height / image.height), height), resample))


def read_predictions(path: Path) -> list[dict]:
    """What a dump holds, which runs no code.

    Raises:
        UserError: If it is damaged, or no dump.
    """
    samples = load_plain_pickle(path)
    if not samples or not isinstance(samples, list) or not all(type(s) is dict for s in samples):
        raise cli.UserError(f'{path} holds no predictions: expected a dump of tools/test.py.')
    return samples


def build_visualizer(cfg: Config, **look: Any) -> tuple[Visualizer, dict]:
    """The config's visualizer, which writes no file, and what its test data know of classes."""
    visualizer = VISUALIZERS.build({**cfg.visualizer, 'name': 'draw', 'vis_backends': None, **look})
    return visualizer, build_dataset(cfg, pipeline=[], lazy_init=True).metainfo


def build_dataset(cfg: Config, **changes: Any) -> Any:
    return DATASETS.build({**cfg.test_dataloader.dataset, **changes})


def read_detections(cfg: Config, samples: list[dict], args: argparse.Namespace) -> Iterator[Tile]:
    """Boxes and masks of mmdet."""
    from mmdet.structures import DetDataSample
    from pycocotools import mask as rle

    white = (255, 255, 255)
    visualizer, visualizer.dataset_meta = build_visualizer(
        cfg, line_width=2, alpha=0.6, text_color=white
    )
    for sample in samples[: args.number]:
        found = sample['pred_instances']
        keep = found['scores'] >= args.score_thr
        picture = enlarge(Image.open(sample['img_path']).convert('RGB'), args.height)
        instances = InstanceData(
            bboxes=found['bboxes'][keep] * (args.height / sample['ori_shape'][0]),
            labels=found['labels'][keep],
            scores=found['scores'][keep],
        )
        if 'masks' in found:
            masks = np.zeros((int(keep.sum()), *picture.shape[:2]), bool)
            for mask, index in zip(masks, np.flatnonzero(keep), strict=True):
                small = Image.fromarray(rle.decode(found['masks'][index]) * 255)
                mask[:] = enlarge(small, args.height, Image.Resampling.BICUBIC) > 127
            instances.masks = torch.from_numpy(masks)
        data = DetDataSample(pred_instances=instances)
        visualizer.add_datasample('', picture, data, draw_gt=False, pred_score_thr=args.score_thr)
        yield Tile(visualizer.get_image())


def read_segments(cfg: Config, samples: list[dict], args: argparse.Namespace) -> Iterator[Tile]:
    """Image, predicted regions of mmseg and, where they are known, the true ones, side by side."""
    from mmseg.structures import SegDataSample

    visualizer, meta = build_visualizer(cfg, alpha=0.7)
    visualizer.set_dataset_meta(meta['classes'], meta['palette'])
    for sample in samples[: args.number]:
        picture = enlarge(Image.open(sample['img_path']).convert('RGB'), args.height)
        parts = [picture]
        for key in ('pred_sem_seg', 'gt_sem_seg'):
            if key in sample:
                classes = Image.fromarray(np.asarray(sample[key]['data'][0], np.uint8))
                classes = enlarge(classes, args.height, Image.Resampling.NEAREST)
                data = SegDataSample(pred_sem_seg=PixelData(data=torch.from_numpy(classes)[None]))
                visualizer.add_datasample('', picture, data, draw_gt=False, with_labels=False)
                parts.append(visualizer.get_image())
        yield Tile(join(parts))


def read_poses(cfg: Config, samples: list[dict], args: argparse.Namespace) -> Iterator[Tile]:
    """Skeletons of mmpose: all people of an image whose boxes reach the score."""
    from mmpose.structures import PoseDataSample

    visualizer, meta = build_visualizer(cfg, radius=5, line_width=3)
    visualizer.set_dataset_meta(meta)
    people: dict[str, list[dict]] = {}
    for sample in samples:
        found = people.setdefault(sample['img_path'], [])
        if sample['pred_instances']['bbox_scores'].max() >= args.score_thr:
            found.append(sample['pred_instances'])
    for path, found in list(people.items())[: args.number]:
        image = Image.open(path).convert('RGB')
        picture, scale = enlarge(image, args.height), args.height / image.height
        if found:
            instances = InstanceData(
                # Pixel centers are integers.
                keypoints=np.concatenate([p['keypoints'] for p in found]) * scale + (scale - 1) / 2,
                keypoint_scores=np.concatenate([p['keypoint_scores'] for p in found]),
            )
            data = PoseDataSample(pred_instances=instances)
            picture = visualizer.add_datasample(
                '', picture, data, draw_gt=False, draw_bbox=False, kpt_thr=KEYPOINT_THR
            )
        yield Tile(picture)


def read_images(cfg: Config, samples: list[dict], args: argparse.Namespace) -> Iterator[Tile]:
    """Classified images of mmpretrain."""
    for answer in choose(read_answers(samples), args.number):
        picture = Image.open(samples[answer.index]['img_path']).convert('RGB')
        yield Tile(enlarge(picture, args.height), *describe(answer, args.classes))


def read_clips(cfg: Config, samples: list[dict], args: argparse.Namespace) -> Iterator[Tile]:
    """Frames of clips that mmaction2 classified."""
    dataset = build_dataset(cfg)
    for answer in choose(read_answers(samples), args.number):
        data = dataset.read(answer.index)
        frames = data['imgs'][: data['clip_len']]
        frames = frames[:: -(-len(frames) // FRAMES)]
        parts = [enlarge(Image.fromarray(frame), args.height) for frame in frames]
        yield Tile(join(parts), *describe(answer, args.classes))


def join(parts: list[np.ndarray]) -> np.ndarray:
    """Pictures of equal height side by side, with white between them."""
    gap = np.full((parts[0].shape[0], THIN_GAP, 3), 255, np.uint8)
    return np.concatenate([x for part in parts for x in (part, gap)][:-1], axis=1)


def read_answers(samples: list[dict]) -> list[Answer]:
    """The answers in a dump of a classifier."""
    answers = []
    for index, sample in enumerate(samples):
        labels = int(sample['gt_label']), int(sample['pred_label'])
        answers.append(Answer(index, *labels, float(torch.as_tensor(sample['pred_score']).max())))
    return answers


def choose(answers: list[Answer], number: int) -> list[Answer]:
    """Right answers of each class in turn, then mistakes, up to a third, the surest first."""
    wrong = sorted((a for a in answers if a.label != a.truth), key=lambda a: -a.confidence)
    wrong = wrong[: number // 3]
    groups = [
        [a for a in answers if a.label == a.truth == label]
        for label in sorted({a.truth for a in answers})
    ]
    turns = [group[turn] for turn in range(number) for group in groups if turn < len(group)]
    return turns[: number - len(wrong)] + wrong


def describe(answer: Answer, names: list[str] | None) -> tuple[str, str]:
    """What to write over a classified sample, and in which colour."""
    truth, label = (str(n) if names is None else names[n] for n in (answer.truth, answer.label))
    text = f'{label}  {100 * answer.confidence:.0f} %'
    return (text, RIGHT) if answer.label == answer.truth else (f'{truth} → {text}', WRONG)


# Reader, number of tiles and their height by the config's default_scope.
KINDS = dict(
    mmpretrain=(read_images, 60, 156),
    mmdet=(read_detections, 13, 320),
    mmseg=(read_segments, 10, 208),
    mmpose=(read_poses, 13, 320),
    mmaction=(read_clips, 16, 96),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config the predictions were made with')
    parser.add_argument('predictions', type=Path, help='dump of tools/test.py')
    parser.add_argument('out', type=Path, help='picture to write')
    parser.add_argument('--number', type=int, help='images or clips')
    parser.add_argument('--height', type=int, help='of an image in pixels')
    parser.add_argument(
        '--width', type=int, default=1700, help='of the whole; default: %(default)s'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.5, help='draw boxes and people from this score'
    )
    parser.add_argument('--classes', type=Path, help='file with the name of a class in each line')
    parser.add_argument('--first-row', type=Path, help='picture of the first row alone to write')
    args = parser.parse_args()
    for file in filter(None, (args.predictions, args.classes)):
        if not file.is_file():
            raise cli.UserError(f'There is no file {file}.')
    cfg, _ = cli.load_config(args.config)
    if cfg.get('default_scope') not in KINDS:
        raise cli.UserError(f'{args.config} is for none of {", ".join(KINDS)}.')
    read, number, height = KINDS[cfg.default_scope]
    args.number, args.height = args.number or number, args.height or height
    args.classes = args.classes and args.classes.read_text().splitlines()
    DefaultScope.get_instance('draw', scope_name=cfg.default_scope)
    samples = read_predictions(args.predictions)
    try:
        tiles, title = list(read(cfg, samples, args)), ''
        if 'pred_label' in samples[0]:
            right = sum(int(s['gt_label']) == int(s['pred_label']) for s in samples)
            title = f'{right} of {len(samples)} right ({100 * right / len(samples):.1f} %)'
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise cli.UserError(
            f'{args.predictions} does not fit {args.config}, or is damaged '
            f'({type(error).__name__}: {error}): expected what tools/test.py --dump wrote with it.'
        ) from error
    save_grid(tiles, args.out, args.width, title)
    if args.first_row:
        save_grid(tiles, args.first_row, args.width, max_rows=1)


if __name__ == '__main__':
    cli.run_tool(main)
