"""Classify a video, or every video of a folder, and draw its frames with the likeliest classes.

mmaction2's inferencer does the work, with the clips of the config's test and its center crop.
Pictures go to DIR/vis.

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
import mmengine
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
        out_dir='work_dirs/classifications',
        predictions='the class and the probabilities of all classes',
        inputs='video, or folder of videos',
    )
    cli.add_classes_option(parser)
    return parser.parse_args()


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
    results = common.plan_results(args, films=False)

    from mmaction.apis.inferencers import ActionRecogInferencer

    inferencer = common.load(ActionRecogInferencer, cfg, args)
    meta = getattr(inferencer.model, 'dataset_meta', {})
    names = cli.class_names(args.classes, cfg.model.cls_head.num_classes, cfg, meta)

    def classify(video: Path, *_: object) -> str:
        common.check_file(video)
        frames = sample_frames(inferencer, video)
        (sample,) = inferencer(str(video), return_datasamples=True)['predictions']
        picture, *predictions = results[video]
        prediction, text = common.describe(sample.pred_score, names)
        shares, labels = sample.pred_score.topk(min(TOP, len(names)))
        top = [(names[i], share) for i, share in zip(labels.tolist(), shares.tolist(), strict=True)]
        draw(frames, top, video.name, picture)
        for file in predictions:
            mmengine.dump(prediction, file)
        return f'{picture}: {text}'

    common.run_each(results, classify)


if __name__ == '__main__':
    cli.run_tool(main)
