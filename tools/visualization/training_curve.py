"""Draw the loss, the learning rate and the validation scores of a training run.

Example:
    python tools/visualization/training_curve.py work_dirs/RUN curve.png --metrics coco/bbox_mAP=AP
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
import numpy as np

COLOURS = ('#1f6f8b', '#e07a3f', '#5b8c5a', '#8a5a9e')
GREY = '#8c8c8c'


def read_scalars(work_dir: Path) -> tuple[list[dict], list[dict]]:
    """Training and validation records of a run; a resumed run replaces what it repeats.

    Raises:
        FileNotFoundError: If there is no ``vis_data/scalars.json`` below ``work_dir``.
    """
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'no vis_data/scalars.json in the runs of {work_dir}')
    train, val = {}, {}
    for file in files:
        for line in file.read_text().splitlines():
            record = json.loads(line)
            (train if 'loss' in record else val)[record['step']] = record
    return [train[step] for step in sorted(train)], [val[step] for step in sorted(val)]


def draw(
    work_dir: Path, out: Path, metrics: dict[str, str] | None = None, target: float | None = None
) -> None:
    """Write the picture of a run.

    Args:
        work_dir: Work dir of the run.
        out: Picture to write.
        metrics: Validation scores to draw and what to call them; all whose name has a slash if
            None.
        target: Score to mark with a line.
    """
    train, val = read_scalars(work_dir)
    if metrics is None:
        metrics = {key: key for key in (val[-1] if val else {}) if '/' in key}
    plt.rcParams.update({'font.size': 11, 'axes.spines.top': False, 'axes.spines.right': False})
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout='constrained')

    steps = np.array([record['step'] for record in train])
    loss = np.array([record['loss'] for record in train])
    window = max(len(loss) // 20, 1)
    smooth = [loss[max(i - window, 0) : i + window + 1].mean() for i in range(len(loss))]
    left.plot(steps, loss, color=COLOURS[0], alpha=0.3, linewidth=1)
    left.plot(steps, smooth, color=COLOURS[0], linewidth=2)
    left.set(xlabel='iteration', title='Training', xlim=(0, None))
    left.set_ylabel('loss', color=COLOURS[0])
    rate = left.twinx()
    rate.plot(steps, [record['lr'] for record in train], color=GREY, linewidth=1, linestyle='--')
    rate.set_ylabel('learning rate', color=GREY)
    rate.ticklabel_format(axis='y', style='sci', scilimits=(0, 0))
    rate.set_ylim(0, None)

    for (key, label), colour in zip(metrics.items(), COLOURS, strict=False):
        points = [(record['step'], record[key]) for record in val if key in record]
        if points:
            label = f'{label}: {points[-1][1]:.3g}'
            right.plot(*zip(*points, strict=True), 'o-', color=colour, markersize=4, label=label)
    if target is not None:
        right.axhline(target, color=GREY, linewidth=1, linestyle=':', label=f'target {target:g}')
    unit = 'epoch' if any('epoch' in record for record in train) else 'iteration'
    right.set(xlabel=unit, title='Validation')
    right.xaxis.get_major_locator().set_params(integer=True)
    right.grid(axis='y', alpha=0.25)
    right.legend(frameon=False, loc='lower right')
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dir', type=Path, help='work dir of the run')
    parser.add_argument('out', type=Path, help='picture to write')
    parser.add_argument(
        '--metrics', nargs='+', metavar='KEY[=LABEL]', help='validation scores; default: all'
    )
    parser.add_argument('--target', type=float, help='score to mark with a line')
    args = parser.parse_args()
    try:
        pairs = [metric.partition('=') for metric in args.metrics or []]
        metrics = {key: label or key for key, _, label in pairs}
        draw(args.work_dir, args.out, metrics or None, args.target)
    except FileNotFoundError as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
