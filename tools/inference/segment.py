"""Colour an image, every image of a folder, or a video by the class of each pixel.

mmseg's MMSegInferencer finds the classes and its visualizer draws them, in the colours of the data
set: ADE20K's, for a config on ADE20K. Results keep the names of the inputs; videos become mp4.

Examples:
    python tools/inference/segment.py CONFIG CHECKPOINT room.jpg --out-dir coloured
    python tools/inference/segment.py CONFIG CHECKPOINT folder --opacity 1 --save-predictions
    python tools/inference/segment.py CONFIG CHECKPOINT street.mp4
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from common import (
    IMAGES,
    VIDEOS,
    find_files,
    make_parser,
    read_config,
    refuse_to_overwrite,
    report_skipped,
    strict,
)
from mmengine.config import Config
from PIL import Image

import uniformer_mm  # noqa: F401  registers, and mends what is broken in the libraries
from uniformer_mm import cli

if TYPE_CHECKING:
    from mmseg.apis import MMSegInferencer
    from mmseg.structures import SegDataSample


def parse_args() -> argparse.Namespace:
    parser = make_parser(
        __doc__,
        'a segmentor',
        inputs='image, video, or folder of images and videos',
        out_dir='work_dirs/segmentations',
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
    parser.add_argument(
        '--save-predictions',
        action='store_true',
        help='also write the class of each pixel of an image, from 0, to DIR/preds/NAME.png',
    )
    args = parser.parse_args()
    if not 0 <= args.opacity <= 1:
        parser.error(f'--opacity: expected a number from 0 to 1, got {args.opacity}')
    return args


def build_inferencer(cfg: Config, checkpoint: str, device: str | None) -> 'MMSegInferencer':
    """mmseg's inferencer with the classes and colours of the config's data set.

    Files of mmseg 0.x often name no classes, and mmseg then takes those of Cityscapes.

    Raises:
        UserError: If the data set has another number of classes than the model.
    """
    from mmseg.apis import MMSegInferencer
    from mmseg.registry import DATASETS

    cfg.visualizer.vis_backends = None  # this tool writes the pictures
    dataset = DATASETS.build({**cfg.test_dataloader.dataset, 'pipeline': [], 'lazy_init': True})
    inferencer = strict(MMSegInferencer, checkpoint)(cfg, checkpoint, device=device)
    inferencer.show_progress = False
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


class Segmenter:
    """Draws what an inferencer finds.

    Args:
        inferencer: mmseg's inferencer.
        opacity: Of the colours.
        with_names: Whether to write names of classes.
    """

    def __init__(self, inferencer: 'MMSegInferencer', opacity: float, with_names: bool) -> None:
        self.inferencer = inferencer
        self.with_names = with_names
        inferencer.visualizer.alpha = opacity

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Picture (H, W, 3) and classes (H, W) of an image (H, W, 3), both pictures uint8 BGR."""
        sample: SegDataSample = self.inferencer(image, return_datasamples=True)
        visualizer = self.inferencer.visualizer
        visualizer.add_datasample(
            '', image[..., ::-1], sample, draw_gt=False, with_labels=self.with_names
        )
        classes = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
        return visualizer.get_image()[..., ::-1], classes


def read_frames(video: Path) -> Iterator[np.ndarray]:
    """Frames of a video, (H, W, 3) uint8 BGR.

    Raises:
        OSError: If it has none.
    """
    capture = cv2.VideoCapture(str(video))
    is_empty = True
    try:
        while True:
            found, frame = capture.read()
            if not found:
                break
            is_empty = False
            yield frame
    finally:
        capture.release()
    if is_empty:
        raise OSError('no frame can be read')


def segment_video(video: Path, target: Path, segment: Segmenter) -> str:
    """Write the coloured video; returns what there is to say about it."""
    capture = cv2.VideoCapture(str(video))
    fps = capture.get(cv2.CAP_PROP_FPS) or 25
    capture.release()
    # Complete or not there: a name of its own until the last frame is written.
    unfinished = target.with_name(f'.{target.name}')
    writer, count = None, 0
    try:
        for frame in read_frames(video):
            picture, _ = segment(frame)
            if writer is None:
                size = picture.shape[1::-1]
                codec = cv2.VideoWriter.fourcc(*'mp4v')
                writer = cv2.VideoWriter(str(unfinished), codec, fps, size)
            writer.write(picture)
            count += 1
        writer.release()
        unfinished.replace(target)
    finally:
        if writer is not None:
            writer.release()
        unfinished.unlink(missing_ok=True)
    return f'{count} frames'


def segment_image(
    image: Path, target: Path, segment: Segmenter, names: tuple[str, ...], prediction: Path | None
) -> str:
    """Write the coloured image; returns the names of its largest classes."""
    pixels = cv2.imread(str(image))
    if pixels is None:
        raise OSError('damaged, or no image')
    picture, classes = segment(pixels)
    cv2.imwrite(str(target), picture)
    if prediction is not None:
        Image.fromarray(classes).save(prediction)
    found, counts = np.unique(classes, return_counts=True)
    largest = [names[found[i]] for i in np.argsort(-counts)]
    return ', '.join(largest[:5]) + (', ...' if len(largest) > 5 else '')


def main() -> None:
    args = parse_args()
    cfg = read_config(args, 'mmseg')
    inputs = find_files(args.input, (*IMAGES, *VIDEOS), 'image or video')
    is_video = [file.suffix.lower() in VIDEOS for file in inputs]
    pictures, classes = args.out_dir / 'vis', args.out_dir / 'preds'
    targets = [
        pictures / (f'{file.stem}.mp4' if video else file.name)
        for file, video in zip(inputs, is_video, strict=True)
    ]
    predictions = [
        classes / f'{file.stem}.png' if args.save_predictions and not video else None
        for file, video in zip(inputs, is_video, strict=True)
    ]
    refuse_to_overwrite([*targets, *filter(None, predictions)], args.overwrite)

    inferencer = build_inferencer(cfg, args.checkpoint, args.device)
    segment = Segmenter(inferencer, args.opacity, args.names)
    names = inferencer.model.dataset_meta['classes']
    pictures.mkdir(parents=True, exist_ok=True)
    if args.save_predictions:
        classes.mkdir(exist_ok=True)
    unreadable = []
    for file, video, target, prediction in zip(inputs, is_video, targets, predictions, strict=True):
        try:
            if video:
                summary = segment_video(file, target, segment)
            else:
                summary = segment_image(file, target, segment, names, prediction)
        except (OSError, cv2.error) as error:
            unreadable.append(f'{file}: {error}')
            continue
        print(f'{target}: {summary}', flush=True)
    report_skipped(unreadable, len(inputs), 'inputs')


if __name__ == '__main__':
    cli.run_tool(main)
