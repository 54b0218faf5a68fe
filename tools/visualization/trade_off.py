"""Draw published scores against cost, from the metafiles of ``configs/``.

A series is a result table of the READMEs, by its name in ``tools/analysis/make_tables.py``. Each
data set has a panel. Cost is our own count of multiply-adds, of all views of a video.

Example:
    python tools/visualization/trade_off.py picture.png imagenet=UniFormer imagenet-light=efficient
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from plots import new_figure, save

from uniformer_mm import cli

sys.path.append(str(Path(__file__).resolve().parents[1] / 'analysis'))
from make_tables import COLUMNS, TABLES, Table  # noqa: E402


class Point(NamedTuple):
    """A model: multiply-adds in G, its score and its name."""

    cost: float
    score: float
    name: str


def read_points(table: str, score: str) -> dict[str, list[Point]]:
    """The models of a table by the data that they are scored on.

    Raises:
        UserError: If there is no such table, or it has no such score.
    """
    known = [n for n, t in TABLES.items() if isinstance(t, Table) and score in t.columns]
    if table not in known:
        raise cli.UserError(
            f'No table {table} has a column {score}; these have: {", ".join(known) or "none"}.'
        )
    points: dict[str, list[Point]] = {}
    for model in TABLES[table].models():
        about, cell = model['Metadata'], COLUMNS[score](model)
        if not cell:
            print(f'left out, as there is no published {score}: {model["Name"]}', file=sys.stderr)
            continue
        try:
            point = Point(about['FLOPs'] / 1e9, float(cell), about['Model'])
        except ValueError as error:
            raise cli.UserError(
                f'{score} of {model["Name"]} is {cell!r}: expected one number.'
            ) from error
        points.setdefault(about['Training Data'], []).append(point)
    return points


def best(points: list[Point]) -> list[Point]:
    """Those that score higher than all that cost no more."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.score)):
        if not found or point.score > found[-1].score:
            found.append(point)
    return found


def draw(series: list[tuple[str, dict[str, list[Point]]]], score: str) -> Figure:
    """Draw what :func:`read_points` found, each with its label, in a panel for each data set.

    Those that are best at their cost are named and joined, the others pale. The names of the first
    series stand below its line, so that they do not meet those of the next.
    """
    panels = list(dict.fromkeys(data for _, points in series for data in points))
    figure, axes = new_figure(len(panels))
    for data, axis in zip(panels, axes, strict=True):
        for number, (label, found) in enumerate(series):
            if data not in found:
                continue
            costs, scores, _ = zip(*found[data], strict=True)
            (pale,) = axis.plot(costs, scores, 'o', alpha=0.3)
            costs, scores, names = zip(*best(found[data]), strict=True)
            axis.plot(costs, scores, 'o-', color=pale.get_color(), label=label)
            for cost, value, name in zip(costs, scores, names, strict=True):
                shift, side = ((-4, 5), 'right') if number else ((4, -11), 'left')
                look = dict(color=pale.get_color(), fontsize=9, ha=side)
                axis.annotate(name, (cost, value), shift, textcoords='offset points', **look)
        axis.set(xscale='log', xlabel='multiply-adds (G)', ylabel=f'published {score}', title=data)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter('{x:g}')
        axis.minorticks_off()
        axis.grid(alpha=0.25)
        axis.margins(0.1)
        axis.legend(frameon=False, loc='lower right')
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('out', type=Path, help='picture to write')
    parser.add_argument('tables', nargs='+', metavar='TABLE[=LABEL]', help='what to draw')
    parser.add_argument('--score', default='top-1', help='column to draw; default: %(default)s')
    args = parser.parse_args()
    pairs = [table.partition('=') for table in args.tables]
    series = [(label or name, read_points(name, args.score)) for name, _, label in pairs]
    save(draw(series, args.score), args.out)


if __name__ == '__main__':
    cli.run_tool(main)
