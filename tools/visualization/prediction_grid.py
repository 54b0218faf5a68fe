"""Draw classified images with their predicted and true labels.

Reads what ``tools/test.py CONFIG CHECKPOINT --dump predictions.pkl`` wrote. Every column is a
class, its first images from top to bottom; the last rows show what the model got wrong, the surest
mistakes first, and, where there is room left, what it was least sure of.

Example:
    python tools/visualization/prediction_grid.py predictions.pkl predictions.png
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
import mmengine
from PIL import Image

RIGHT, WRONG = '#2e7d4f', '#c8322b'


class Prediction(NamedTuple):
    """One classified image."""

    path: str
    truth: int
    label: int
    confidence: float

    @property
    def is_right(self) -> bool:
        return self.label == self.truth


def read_predictions(file: Path) -> list[Prediction]:
    """The predictions in a dump of ``tools/test.py``."""
    return [
        Prediction(
            path=sample['img_path'],
            truth=int(sample['gt_label']),
            label=int(sample['pred_label']),
            confidence=float(sample['pred_score'].max()),
        )
        for sample in mmengine.load(str(file))
    ]


def draw(predictions: list[Prediction], out: Path, rows: int = 4, hard_rows: int = 2) -> None:
    """Write the picture: up to ten classes, ``rows`` images of each, ``hard_rows`` of hard ones."""
    classes = sorted({prediction.truth for prediction in predictions})[:10]
    by_class = [[p for p in predictions if p.truth == label] for label in classes]
    easy = [group[row] if row < len(group) else None for row in range(rows) for group in by_class]
    wrong = sorted((p for p in predictions if not p.is_right), key=lambda p: -p.confidence)
    unsure = sorted((p for p in predictions if p.is_right), key=lambda p: p.confidence)
    hard = [*wrong, *unsure][: hard_rows * len(classes)]

    width = len(classes)
    figure = plt.figure(figsize=(1.15 * width, 1.42 * (rows + hard_rows) + 1.1))
    top, bottom = figure.subfigures(2, 1, height_ratios=[rows + 0.45, hard_rows + 0.35])
    right = sum(p.is_right for p in predictions)
    total = len(predictions)
    top.suptitle(
        f'{right} of {total} held-out images right ({100 * right / total:.1f} %)',
        fontweight='bold',
    )
    bottom.suptitle(f'All {len(wrong)} mistakes' if len(wrong) <= len(hard) else 'Surest mistakes')
    if len(wrong) < len(hard):
        bottom.suptitle(
            f'{len(wrong)} mistakes (truth → prediction), then the least certain right answers'
        )
    for part, cells, count in ((top, easy, rows), (bottom, hard, hard_rows)):
        axes = part.subplots(count, width, squeeze=False).flat
        for axis in axes:
            axis.axis('off')
        for axis, prediction in zip(part.axes, cells, strict=False):
            if prediction is not None:
                _draw_cell(axis, prediction)
        part.subplots_adjust(left=0.01, right=0.99, bottom=0.02, top=0.87, hspace=0.3, wspace=0.06)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)
    plt.close(figure)


def _draw_cell(axis: plt.Axes, prediction: Prediction) -> None:
    colour = RIGHT if prediction.is_right else WRONG
    change = '' if prediction.is_right else f'{prediction.truth} → '
    axis.imshow(Image.open(prediction.path).convert('RGB'), interpolation='lanczos')
    axis.set_title(
        f'{change}{prediction.label}  {100 * prediction.confidence:.0f} %',
        color=colour,
        fontsize=10,
        pad=3,
    )
    axis.axis('on')
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=1 if prediction.is_right else 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('predictions', type=Path, help='dump of tools/test.py')
    parser.add_argument('out', type=Path, help='picture to write')
    args = parser.parse_args()
    if not args.predictions.is_file():
        sys.exit(f'error: there is no file {args.predictions}')
    draw(read_predictions(args.predictions), args.out)


if __name__ == '__main__':
    main()
