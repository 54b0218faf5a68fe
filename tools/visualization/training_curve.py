"""Draw the loss, the learning rate and the validation scores of a training run.

Example:
    python tools/visualization/training_curve.py work_dirs/RUN curve.png --metrics coco/bbox_mAP=AP
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from plots import GREY, new_figure, save


def read_scalars(work_dir: Path) -> tuple[list[dict], list[dict]]:
    """Training and validation records of a run; a resumed run replaces what it repeats.

    Lines that are no records, as a killed run leaves them, are counted on standard error.
    """
    train, val = {}, {}
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        broken = 0
        for line in file.read_text(errors='replace').splitlines():
            try:
                record = json.loads(line)
                (train if 'loss' in record else val)[record['step'] + 0] = record
            except (ValueError, TypeError, KeyError):
                broken += 1
        if broken:
            print(f'{file}: {broken} lines are no records, and are left out', file=sys.stderr)
    return [train[step] for step in sorted(train)], [val[step] for step in sorted(val)]


def draw(train: list[dict], val: list[dict], metrics: dict[str, str]) -> Figure:
    """Draw the records of a run; ``metrics`` are the scores to show and what to call them."""
    figure, (left, right) = new_figure(2)
    steps, loss = np.array([(record['step'], record['loss']) for record in train]).T
    window = max(len(loss) // 20, 1)
    smooth = [loss[max(i - window, 0) : i + window + 1].mean() for i in range(len(loss))]
    left.plot(steps, loss, alpha=0.3, linewidth=1)
    left.plot(steps, smooth, 'C0', linewidth=2)
    left.set(xlabel='iteration', ylabel='loss', title='Training', xlim=(0, None))
    rate = left.twinx()
    rate.plot(steps, [record['lr'] for record in train], color=GREY, linewidth=1, linestyle='--')
    rate.set_ylabel('learning rate', color=GREY)
    rate.ticklabel_format(axis='y', style='sci', scilimits=(0, 0))
    rate.set_ylim(0, None)

    for key, label in metrics.items():
        if points := [(record['step'], record[key]) for record in val if key in record]:
            label = f'{label}: {points[-1][1]:.3g}'
            right.plot(*zip(*points, strict=True), 'o-', markersize=4, label=label)
            right.legend(frameon=False, loc='lower right')
    unit = 'epoch' if any('epoch' in record for record in train) else 'iteration'
    right.set(xlabel=unit, title='Validation')
    right.xaxis.get_major_locator().set_params(integer=True)
    right.grid(axis='y', alpha=0.25)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dir', type=Path, help='work dir of the run')
    parser.add_argument('out', type=Path, help='picture to write')
    parser.add_argument(
        '--metrics', nargs='+', metavar='KEY[=LABEL]', help='validation scores; default: all'
    )
    args = parser.parse_args()
    train, val = read_scalars(args.work_dir)
    if not train:
        sys.exit(f'error: no vis_data/scalars.json with a loss in the runs of {args.work_dir}')
    known = [key for key in (val[-1] if val else {}) if '/' in key]
    pairs = [metric.partition('=') for metric in args.metrics or known]
    save(draw(train, val, {key: label or key for key, _, label in pairs}), args.out)


if __name__ == '__main__':
    main()
