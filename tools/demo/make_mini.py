#!/usr/bin/env python
"""Make the built-in small data sets: real handwriting on real photographs, made offline in seconds.

The handwritten digits (UCI, 1,797 scans) and the two photographs come with scikit-learn. Training
and validation share neither a scan nor a part of a photograph. The same seed gives the same files.

    python tools/demo/make_mini.py                     # everything, under data/mini
    python tools/demo/make_mini.py imagenet --out DIR  # one data set, elsewhere
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from mini import DATA
from mini.drawing import Sketch

MARKER = '.made_by_make_mini.json'
VERSION = 1


class MiniDataError(RuntimeError):
    """The data cannot be made; the message says why and what to do."""


def make(name: str, out: Path, seed: int = 0, counts: dict[str, int] | None = None) -> Path:
    """Make data set ``name`` in ``out/name`` unless it is already there.

    The folder appears complete or not at all. A folder that this script made otherwise (another
    seed, another version) is replaced. ``counts`` are samples per split, by default the data set's.

    Raises:
        MiniDataError: If ``out/name`` exists and this script did not make it.
    """
    target = out / name
    write, usual = DATA[name]
    counts = counts or usual
    recipe = dict(data=name, seed=seed, version=VERSION, counts=counts)
    if target.exists():
        marker = target / MARKER
        if not marker.is_file():
            raise MiniDataError(
                f'{target} exists and was not made by this script, so it stays as it is: '
                'move it away or choose another folder with --out'
            )
        if json.loads(marker.read_text())['recipe'] == recipe:
            print(f'{target}: up to date')
            return target

    work = out / f'.{name}-{os.getpid()}'
    work.mkdir(parents=True)
    try:
        for index, (split, total) in enumerate(counts.items()):
            write(work, split, total, Sketch(split, np.random.default_rng([seed, index])))
        (work / MARKER).write_text(json.dumps(dict(recipe=recipe), indent=2) + '\n')
        if target.exists():
            shutil.rmtree(target)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f'{target}: made, ' + ', '.join(f'{count} {split}' for split, count in counts.items()))
    return target


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('names', nargs='*', metavar='NAME', help=f'{", ".join(DATA)}; default: all')
    parser.add_argument('--out', type=Path, default=Path('data/mini'), help='default: %(default)s')
    parser.add_argument('--seed', type=int, default=0, help='default: %(default)s')
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(DATA))
    if unknown:
        parser.error(f'unknown data set {", ".join(unknown)}: choose from {", ".join(DATA)}')
    try:
        for name in args.names or DATA:
            make(name, args.out, args.seed)
    except (MiniDataError, OSError) as error:
        print(f'make_mini: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
