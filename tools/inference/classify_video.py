"""Classify a video, or every video of a folder, and draw its frames with the likeliest classes.

mmaction2's inferencer does the work, with the clips of the config's test and its center crop.

Examples:
    python tools/inference/classify_video.py CONFIG CHECKPOINT dance.mp4 --classes label_map.txt
    python tools/inference/classify_video.py CONFIG CHECKPOINT folder --out-dir classified
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use('Agg')
import common
import matplotlib.pyplot as plt
import numpy as np

import uniformer_mm  # noqa: F401  registers
from uniformer_mm import cli

if TYPE_CHECKING:
    from mmaction.apis.inferencers import ActionRecogInferencer

TOP = 5
FRAMES = 8


def parse_args() -> argparse.Namespace:
    parser = common.make_parser(
        __doc__,
        'a recognizer',
        inputs='video, or folder of videos',
        out_dir='work_dirs/classifications',
    )
    parser.add_argument('--classes', type=Path, help='file with the name of a class in each line')
    return parser.parse_args()


def read_names(file: Path | None, num_classes: int) -> list[str]:
    """Names of the classes; their numbers if there is no file.

    Raises:
        UserError: If the file is missing, or has another number of names.
    """
    if file is None:
        return [f'class {number}' for number in range(num_classes)]
    if not file.is_file():
        raise cli.UserError(f'There is no file {file}.')
    try:
        names = file.read_text().splitlines()
    except ValueError as error:
        raise cli.UserError(f'{file} is no text: {error}.') from error
    if len(names) != num_classes:
        raise cli.UserError(f'{file} has {len(names)} names; the model {num_classes} classes.')
    return names


def sample_frames(inferencer: 'ActionRecogInferencer', video: Path) -> list[np.ndarray]:
    """Some of the frames that the model gets, (H, W, 3) uint8 RGB, as they are in the video."""
    data = str(video)
    for transform in inferencer.pipeline.transforms:
        data = transform(data)
        if 'imgs' in data:
            break
    frames = data['imgs']
    return [frames[i] for i in np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)]


def draw(frames: list[np.ndarray], found: list[tuple[str, float]], title: str, out: Path) -> None:
    """Write a picture of the frames and of the names and probabilities below them."""
    figure = plt.figure(figsize=(12, 3.6), layout='constrained')
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1])
    top.suptitle(title)
    for axis, frame in zip(top.subplots(1, len(frames)), frames, strict=True):
        axis.imshow(frame)
        axis.axis('off')
    axis = bottom.subplots()
    names, shares = zip(*found, strict=True)
    bars = axis.barh(names, [100 * share for share in shares])
    axis.bar_label(bars, fmt='%.1f %%', padding=3)
    axis.invert_yaxis()
    axis.set(xlim=(0, 108), xticks=[])
    axis.spines[['top', 'right', 'bottom']].set_visible(False)
    figure.savefig(out, dpi=100)
    plt.close(figure)


def main() -> None:
    args = parse_args()
    cfg = common.read_config(args, 'mmaction')
    head = cfg.model.cls_head
    names = read_names(args.classes, head.num_classes)
    videos = common.find_files(args.input, common.VIDEOS, 'video')
    results = {video: [args.out_dir / f'{video.name}.png'] for video in videos}
    common.refuse_to_overwrite(results, args.overwrite)

    from mmaction.apis.inferencers import ActionRecogInferencer

    inferencer = common.load(ActionRecogInferencer, cfg, args)
    common.make_folders(results)

    def classify(video: Path) -> str:
        common.check_file(video)
        frames = sample_frames(inferencer, video)
        (sample,) = inferencer(str(video), return_datasamples=True)['predictions']
        scores = sample.pred_score
        if head.get('average_clips') == 'score':  # averaged before the softmax
            scores = scores.softmax(0)
        shares, labels = scores.topk(min(TOP, len(names)))
        found = [
            (names[i], share) for i, share in zip(labels.tolist(), shares.tolist(), strict=True)
        ]
        (picture,) = results[video]
        draw(frames, found, video.name, picture)
        return f'{picture}: {found[0][0]} ({found[0][1]:.1%})'

    common.run_each(results, classify, 'videos')


if __name__ == '__main__':
    cli.run_tool(main)
