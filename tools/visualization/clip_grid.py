"""Draw the frames of many clips with their predicted and true classes.

Reads what ``tools/test.py CONFIG CHECKPOINT --dump predictions.pkl`` wrote. Mistakes come first,
the surest of them above; the other clips take turns among the classes.

Example:
    python tools/visualization/clip_grid.py CONFIG predictions.pkl clips.png --classes labels.txt
"""

from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
import mmengine
import numpy as np
import torch
from grid import check_files, make_parser
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from prediction_grid import RIGHT, WRONG
from torch.utils.data import Dataset

import uniformer_mm  # noqa: F401  registers what the config asks for

GAP = 3


class Clip(NamedTuple):
    """One classified clip, by its place in the data set."""

    index: int
    truth: int
    label: int
    confidence: float


def read_clips(file: Path, average: str) -> list[Clip]:
    """The predictions in a dump of ``tools/test.py``; ``average`` as in the config's head."""
    clips = []
    for index, sample in enumerate(mmengine.load(str(file))):
        scores = torch.as_tensor(sample['pred_score'])
        if average == 'score':  # averaged before the softmax
            scores = scores.softmax(0)
        label = int(sample['pred_label'])
        clips.append(Clip(index, int(sample['gt_label']), label, float(scores[label])))
    return clips


def choose(clips: list[Clip], number: int) -> list[Clip]:
    """Mistakes, up to half of ``number``, and right answers of each class in turn."""
    wrong = sorted((c for c in clips if c.label != c.truth), key=lambda c: -c.confidence)
    right = [
        [c for c in clips if c.label == c.truth == k] for k in sorted({c.truth for c in clips})
    ]
    turns = [group[turn] for turn in range(number) for group in right if turn < len(group)]
    wrong = wrong[: number // 2]
    return [*wrong, *turns[: number - len(wrong)]]


def read_frames(dataset: Dataset, index: int, most: int) -> np.ndarray:
    """At most ``most`` frames of the first clip of a sample, side by side: (H, W, 3) uint8."""
    data = dataset.read(index)
    frames = data['imgs'][: data['clip_len']]
    frames = frames[:: -(-len(frames) // most)]
    gap = np.full((frames[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([part for frame in frames for part in (frame, gap)][:-1], axis=1)


def draw(dataset: Dataset, clips: list[Clip], names: list[str], out: Path, number: int) -> None:
    """Write the picture of ``number`` clips in two columns."""
    chosen = choose(clips, number)
    rows = -(-len(chosen) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(15, 1.3 * rows + 0.6), squeeze=False)
    right = sum(clip.label == clip.truth for clip in clips)
    figure.suptitle(
        f'{right} of {len(clips)} held-out clips right ({100 * right / len(clips):.1f} %)',
        fontweight='bold',
    )
    for axis in axes.flat:
        axis.axis('off')
    for axis, clip in zip(axes.flat, chosen, strict=False):
        is_right = clip.label == clip.truth
        change = '' if is_right else f'{names[clip.truth]} → '
        axis.imshow(read_frames(dataset, clip.index, most=8), interpolation='lanczos')
        axis.set_title(
            f'{change}{names[clip.label]}  {100 * clip.confidence:.0f} %',
            color=RIGHT if is_right else WRONG,
            fontsize=11,
            pad=3,
        )
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=90)
    plt.close(figure)


def main() -> None:
    parser = make_parser(__doc__, number=16)
    parser.add_argument('--classes', type=Path, help='file with the name of a class in each line')
    args = parser.parse_args()
    check_files(args.config, args.predictions, *filter(None, [args.classes]))
    cfg = Config.fromfile(args.config)
    DefaultScope.get_instance('clip_grid', scope_name='mmaction')
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    head = cfg.model.cls_head
    names = [str(number) for number in range(head.num_classes)]
    if args.classes:
        names = args.classes.read_text().splitlines()
    clips = read_clips(args.predictions, head.get('average_clips'))
    draw(dataset, clips, names, args.out, args.number)


if __name__ == '__main__':
    main()
