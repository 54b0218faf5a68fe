"""Draw the cost of an image network against the side of its input, for all styles of stage 3.

Multiply-adds are those of a forward pass. Peak memory of a pass is measured as by
``tools/analysis/benchmark.py``, with and without fused attention.

Example:
    python tools/visualization/resolution.py picture.png --arch small --sides 224 448 672 --train
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure
from plots import new_figure, save

from uniformer_mm import UniFormer
from uniformer_mm.analysis.complexity import count_complexity
from uniformer_mm.models.layers import STYLES

sys.path.append(str(Path(__file__).resolve().parents[1] / 'analysis'))
import benchmark  # noqa: E402

WAYS = {'plain': '--', 'fused': '-'}  # and how they are drawn


def measure(args: argparse.Namespace, style: str, side: int) -> tuple[float, dict[str, float]]:
    """Multiply-adds in G, and the peak memory of a pass in MiB, attention run in each way."""
    network = UniFormer(args.arch, stage3_style=style, window_size=args.window_size)
    image = torch.zeros(1, 3, side, side, device='meta')
    macs = count_complexity(network, lambda model: model(image)).macs
    options = argparse.Namespace(**vars(args), style=style, shape=(side, side), batch=1)
    peaks = {}
    for way in WAYS:
        run = benchmark.build(options, args.arch, way)
        if args.device != 'cpu':
            run()  # a warm-up; on the CPU a fresh process makes the pass
        peaks[way] = benchmark.peak_memory(options, (args.arch, way), run)
    return macs / 1e9, peaks


def draw(
    sides: list[int], found: dict[str, list[tuple[float, dict[str, float]]]], title: str
) -> Figure:
    """Draw what :func:`measure` found for each style and side."""
    figure, (left, right) = new_figure(2)
    figure.suptitle(title)
    for number, (style, values) in enumerate(found.items()):
        # Lines that coincide are seen one on the other.
        look = dict(color=f'C{number}', marker='o', linewidth=3.5 - number)
        look['markersize'] = 8 - 2 * number
        left.plot(sides, [macs for macs, _ in values], label=style, **look)
        for way, line in WAYS.items():
            peaks = [peak[way] for _, peak in values]
            right.plot(sides, peaks, line, label=f'{style}, {way}', **look)
    left.set(ylabel='multiply-adds (G)', title='Computation')
    right.set(ylabel='peak memory (MiB)', title='Memory')
    for axis in (left, right):
        axis.set(xlabel='side of the image (pixels)', xticks=sides, ylim=(0, None))
        axis.grid(alpha=0.25)
        axis.legend(frameon=False, loc='upper left')
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('out', type=Path, help='picture to write')
    parser.add_argument('--arch', default='small', choices=UniFormer.arch_zoo)
    parser.add_argument('--window-size', type=int, default=14, help='default: %(default)s')
    parser.add_argument(
        '--sides',
        type=int,
        nargs='+',
        default=[224, 448, 672, 896],
        metavar='SIDE',
        help='of square images; default: %(default)s',
    )
    parser.add_argument('--train', action='store_true', help='memory of forward and backward')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    args = parser.parse_args()
    if min(args.sides) < 32:
        parser.error(f'--sides must be at least 32 pixels, got {min(args.sides)}')
    if args.window_size < 1:
        parser.error(f'--window-size must be positive, got {args.window_size}')
    found = {}
    for style in STYLES:
        found[style] = [measure(args, style, side) for side in args.sides]
        for side, (macs, peaks) in zip(args.sides, found[style], strict=True):
            memory = ', '.join(f'{way} {peak:.0f} MiB' for way, peak in peaks.items())
            print(f'{style} {side}: {macs:.3f} G, {memory}', flush=True)
    passes = 'forward + backward' if args.train else 'forward'
    title = f'UniFormer {args.arch}, windows of {args.window_size}, {passes}, {args.device}'
    save(draw(args.sides, found, title), args.out)


if __name__ == '__main__':
    main()
