"""Draw the accuracy of a recognizer against the number of clips and crops it looks at.

One test of all views is enough. It must dump the scores of every view instead of their average:

    python tools/test.py CONFIG CHECKPOINT --dump views.pkl --cfg-options \\
        model.cls_head.average_clips=None test_evaluator=[] \\
        test_dataloader.dataset.pipeline.1.num_clips=10 \\
        test_dataloader.dataset.pipeline.4.type=ThreeCrop
    python tools/visualization/views.py views.pkl picture.png --crops 3

Of fewer clips those are taken that are spread evenly over the dumped ones, of one crop the middle.
The authors' one crop of Something-Something is the first, on the left: --single first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from draw import read_predictions
from matplotlib.figure import Figure
from plots import new_figure, save
from torch import Tensor

from uniformer_mm import cli

# Places in mmaction2's ThreeCrop: left or top, right or bottom, middle.
SINGLE = {'middle': -1, 'first': 0}


def read_views(path: Path, crops: int) -> tuple[Tensor, Tensor]:
    """Logits (videos, crops, clips, classes) and labels (videos,) of a dump of all views.

    Raises:
        UserError: If it is no such dump, or has another number of crops.
    """
    try:
        samples = read_predictions(path)
        logits = torch.stack([torch.as_tensor(sample['pred_score']) for sample in samples])
        labels = torch.tensor([int(sample['gt_label']) for sample in samples])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise cli.UserError(
            f'{path} holds no scores of a recognizer ({type(error).__name__}: {error}).'
        ) from error
    if logits.ndim != 3:
        raise cli.UserError(
            f'{path} holds averages over the views: add --cfg-options '
            'model.cls_head.average_clips=None test_evaluator=[] to the test.'
        )
    if logits.shape[1] % crops:
        raise cli.UserError(
            f'{path} holds {logits.shape[1]} views of each video, which are not --crops {crops} '
            'times a number of clips.'
        )
    return logits.unflatten(1, (crops, -1)), labels  # crop by crop, as ThreeCrop puts them


def accuracy(logits: Tensor, labels: Tensor, clips: int, average: str) -> float:
    """Top-1 accuracy in per cent from the mean over all crops and some of the clips.

    Args:
        logits: (videos, crops, clips, classes).
        labels: (videos,).
        clips: How many clips to take.
        average: ``'score'`` averages logits, ``'prob'`` probabilities.
    """
    total = logits.shape[2]
    chosen = [(2 * i + 1) * total // (2 * clips) for i in range(clips)]
    views = logits[:, :, chosen]
    views = views if average == 'score' else views.softmax(-1)
    return 100 * (views.mean((1, 2)).argmax(-1) == labels).double().mean().item()


def curves(
    logits: Tensor, labels: Tensor, average: str, single: str = 'middle'
) -> dict[int, list[float]]:
    """Accuracies with 1, 2... clips, by the number of crops: one, and as many as there are."""
    by_crops = {1: logits[:, [SINGLE[single]]], logits.shape[1]: logits}
    numbers = range(1, logits.shape[2] + 1)
    return {
        crops: [accuracy(views, labels, clips, average) for clips in numbers]
        for crops, views in by_crops.items()
    }


def draw(found: dict[int, list[float]], title: str) -> Figure:
    """Draw what :func:`curves` found."""
    figure, (axis,) = new_figure()
    for crops, values in found.items():
        label = f'{crops} crop{"s" if crops > 1 else ""}: {values[-1]:.1f}'
        axis.plot(range(1, len(values) + 1), values, 'o-', label=label)
    axis.set(xlabel='clips of a video', ylabel='top-1 accuracy (%)', title=title)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.25)
    axis.legend(frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('predictions', type=Path, help='dump of tools/test.py of all views')
    parser.add_argument('out', type=Path, help='picture to write')
    parser.add_argument(
        '--crops', type=int, choices=(1, 3), default=1, help='of each clip; default: %(default)s'
    )
    parser.add_argument(
        '--single', choices=SINGLE, default='middle', help='which crop is one; default: %(default)s'
    )
    parser.add_argument(
        '--average',
        choices=('score', 'prob'),
        default='score',
        help="the head's average_clips; default: %(default)s",
    )
    parser.add_argument('--title', default='', help='what to write above')
    args = parser.parse_args()
    if not args.predictions.is_file():
        raise cli.UserError(f'There is no file {args.predictions}.')
    logits, labels = read_views(args.predictions, args.crops)
    found = curves(logits, labels, args.average, args.single)
    for crops, values in found.items():
        for clips, value in enumerate(values, 1):
            print(f'{clips} x {crops}: {value:.2f}')
    save(draw(found, args.title), args.out)


if __name__ == '__main__':
    cli.run_tool(main)
