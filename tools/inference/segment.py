"""Colour an image, every image of a folder, or a video by the class of each pixel.

mmseg's MMSegInferencer finds the classes and its visualizer draws them, in the colours of the data
set: ADE20K's, for a config on ADE20K. Results keep the names of the inputs; videos become mp4.

Examples:
    python tools/inference/segment.py CONFIG CHECKPOINT room.jpg --out-dir coloured
    python tools/inference/segment.py CONFIG CHECKPOINT folder --opacity 1 --save-predictions
    python tools/inference/segment.py CONFIG CHECKPOINT street.mp4
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import common
import cv2
import numpy as np
from mmengine.config import Config
from PIL import Image

import uniformer_mm  # noqa: F401  registers
from uniformer_mm import cli

if TYPE_CHECKING:
    from mmseg.apis import MMSegInferencer
    from mmseg.structures import SegDataSample

# Picture and classes of an image.
Draw = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def parse_args() -> argparse.Namespace:
    parser = common.make_parser(
        __doc__,
        'a segmentor',
        inputs='image, video, or folder of images and videos',
        out_dir='work_dirs/segmentations',
        predictions='the class of each pixel of an image, from 0, to DIR/preds/NAME.png',
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
    args = parser.parse_args()
    if not 0 <= args.opacity <= 1:
        parser.error(f'--opacity: expected a number from 0 to 1, got {args.opacity}')
    return args


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


def segment(
    inferencer: 'MMSegInferencer', image: np.ndarray, with_names: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Picture (H, W, 3) and classes (H, W) of an image (H, W, 3), both pictures uint8 BGR."""
    sample: SegDataSample = inferencer(image, return_datasamples=True)
    visualizer = inferencer.visualizer
    visualizer.add_datasample('', image[..., ::-1], sample, draw_gt=False, with_labels=with_names)
    classes = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
    return visualizer.get_image()[..., ::-1], classes


def read_frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """Frames of a video, (H, W, 3) uint8 BGR.

    Raises:
        OSError: If it has none.
    """
    found, frame = capture.read()
    if not found:
        raise OSError('no frame can be read')
    while found:
        yield frame
        found, frame = capture.read()


def segment_video(video: Path, target: Path, draw: Draw) -> str:
    """Write the coloured video; returns what there is to say about it.

    Raises:
        OSError: If it has no frames, or frames of several sizes.
    """
    common.check_file(video)
    capture = cv2.VideoCapture(str(video))
    fps = capture.get(cv2.CAP_PROP_FPS) or 25
    expected = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    # Complete or not there: a name of its own until the last frame is written.
    unfinished = target.with_name(f'.{target.name}')
    writer, count, shape = cv2.VideoWriter(), 0, None
    try:
        for frame in read_frames(capture):
            picture, _ = draw(frame)
            if shape is None:
                codec, shape = cv2.VideoWriter.fourcc(*'mp4v'), picture.shape
                if not writer.open(str(unfinished), codec, fps, shape[1::-1]):
                    raise OSError(f'{target} cannot be written as a video')
            if picture.shape != shape:  # the writer would leave it out without a word
                raise OSError(f'frame {count} has another size than those before it')
            writer.write(picture)
            count += 1
        writer.release()
        unfinished.replace(target)
    finally:
        capture.release()
        writer.release()
        unfinished.unlink(missing_ok=True)
    missing = f' of the {expected} that it announces: cut off?' if count < expected else ''
    return f'{count} frames{missing}'


def segment_image(
    image: Path, target: Path, draw: Draw, names: Sequence[str], predictions: Sequence[Path]
) -> str:
    """Write the coloured image; returns the names of its largest classes."""
    picture, classes = draw(common.read_image(image))
    if not cv2.imwrite(str(target), picture):
        raise cli.UserError(f'{target} cannot be written.')
    for prediction in predictions:
        Image.fromarray(classes).save(prediction)
    found, counts = np.unique(classes, return_counts=True)
    largest = [names[found[i]] for i in np.argsort(-counts)]
    return ', '.join(largest[:5]) + (', ...' if len(largest) > 5 else '')


def main() -> None:
    args = parse_args()
    cfg = common.read_config(args, 'mmseg')
    inputs = common.find_files(args.input, (*common.IMAGES, *common.VIDEOS), 'image or video')
    folder, results = args.out_dir / 'vis', {}
    for file in inputs:
        is_video = file.suffix.lower() in common.VIDEOS
        results[file] = [folder / (f'{file.stem}.mp4' if is_video else file.name)]
        if args.save_predictions and not is_video:
            results[file].append(args.out_dir / 'preds' / f'{file.stem}.png')
    common.refuse_to_overwrite(results, args.overwrite)

    inferencer = build_inferencer(cfg, args)
    common.make_folders(results)
    inferencer.visualizer.alpha = args.opacity
    names = inferencer.model.dataset_meta['classes']
    draw = partial(segment, inferencer, with_names=args.names)

    def run(file: Path) -> str:
        target, *predictions = results[file]
        if file.suffix.lower() in common.VIDEOS:
            return f'{target}: {segment_video(file, target, draw)}'
        return f'{target}: {segment_image(file, target, draw, names, predictions)}'

    common.run_each(results, run, 'inputs')


if __name__ == '__main__':
    cli.run_tool(main)
