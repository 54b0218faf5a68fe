"""Classify a video, or every video of a folder, and draw its frames with the likeliest classes.

mmaction2's inferencer does the work, with the clips of the config's test and its center crop.
Pictures go to DIR/vis.

Examples:
    python tools/inference/classify_video.py CONFIG CHECKPOINT dance.mp4 --classes label_map.txt
    python tools/inference/classify_video.py CONFIG CHECKPOINT folder --out-dir classified
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import common
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmengine.config import Config

import uniformer_mm  # noqa: F401  registers
from uniformer_mm import cli

if TYPE_CHECKING:
    from mmaction.apis.inferencers import ActionRecogInferencer

FRAMES = 8


def parse_args(args: Sequence[str] | None = None, files: bool = True) -> argparse.Namespace:
    parser = common.make_parser(
        __doc__,
        'a recognizer',
        out_dir='work_dirs/classifications',
        predictions='the class and the probabilities of all classes',
        inputs='video, or folder of videos',
        files=files,
    )
    cli.add_classes_option(parser)
    return parser.parse_args(args)


def build_inferencer(cfg: Config, args: argparse.Namespace) -> 'ActionRecogInferencer':
    """mmaction2's inferencer, as ``common.load`` gives it."""
    from mmaction.apis.inferencers import ActionRecogInferencer

    return common.load(ActionRecogInferencer, cfg, args)


def sample_frames(inferencer: 'ActionRecogInferencer', video: Path) -> list[np.ndarray]:
    """Some of the frames that the model gets, (H, W, 3) uint8 RGB, as they are in the video."""
    data = str(video)
    for transform in inferencer.pipeline.transforms:
        data = transform(data)
        if 'imgs' in data:
            break
    frames = data['imgs']
    return [frames[i] for i in np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)]


def draw(frames: list[np.ndarray], found: Mapping[str, float], title: str) -> np.ndarray:
    """A picture, (H, W, 3) uint8 BGR, of the frames, and of names and probabilities below them."""
    figure = Figure(figsize=(12, 3.6), dpi=100, layout='constrained')
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1])
    top.suptitle(title)
    for axis, frame in zip(top.subplots(1, len(frames)), frames, strict=True):
        axis.imshow(frame)
        axis.axis('off')
    axis = bottom.subplots()
    bars = axis.barh([*found], [100 * share for share in found.values()])
    axis.bar_label(bars, fmt='%.1f %%', padding=3)
    axis.invert_yaxis()
    axis.set(xlim=(0, 108), xticks=[])
    axis.spines[['top', 'right', 'bottom']].set_visible(False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 2::-1]


def make_find(
    inferencer: 'ActionRecogInferencer', cfg: Config, args: argparse.Namespace
) -> common.Look:
    """What classifies a video and draws some of its frames."""
    meta = getattr(inferencer.model, 'dataset_meta', {})
    names = cli.class_names(args.classes, cfg.model.cls_head.num_classes, cfg, meta)

    def look(video: Path) -> common.Found:
        common.check_file(video)
        frames = sample_frames(inferencer, video)
        (sample,) = inferencer(str(video), return_datasamples=True)['predictions']
        prediction, text, top = common.describe(sample.pred_score, names)
        return common.Found(draw(frames, top, video.name), prediction, text, shares=top)

    return look


def main() -> None:
    args = parse_args()
    cfg = common.read_config(args, 'mmaction')
    results = common.plan_results(args, films=False)
    look = make_find(build_inferencer(cfg, args), cfg, args)

    def run_one(video: Path, *_: object) -> str:
        return common.write_picture(video, *results[video], look=look)

    common.run_each(results, run_one)


if __name__ == '__main__':
    cli.run_tool(main)
