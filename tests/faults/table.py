"""Runs the campaigns of faults and prints what became of each trial.

    python tests/faults/table.py                     # all campaigns; what `make faults` runs
    python tests/faults/table.py settings --count 40 --seed 7

A campaign is a module of this folder with ``run(count, seed)``, which yields an :class:`Outcome`
for each trial. The table counts the verdicts; trials that ended otherwise than they should are
listed below it, and make the exit status 1.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.with_name('helpers')), str(HERE)]
CAMPAIGNS = tuple(sorted(p.stem for p in HERE.glob('*.py') if p.stem not in ('__init__', 'table')))
VERDICTS = ('fine', 'one line', 'vague', 'traceback', 'crash', 'harm')
GOOD = VERDICTS[:2]


class Outcome(NamedTuple):
    """What became of one trial.

    Attributes:
        campaign: Name of the module.
        trial: What was done.
        verdict: ``fine``: survived, or rightly accepted; ``one line``: refused in one clear line;
            ``vague``: in one that does not name what to mend; ``traceback``; ``crash``: ended by a
            signal; ``harm``: accepted to harm, lost something or hung.
        detail: What it said.
    """

    campaign: str
    trial: str
    verdict: str
    detail: str = ''


def judge(run: subprocess.CompletedProcess) -> tuple[str, str]:
    """The verdict on a tool that has ended, and its last words."""
    lines = run.stderr.strip().splitlines()
    last = lines[-1] if lines else ''
    if run.returncode < 0 or run.returncode > 128:
        return 'crash', f'status {run.returncode}: {last}'
    if 'Traceback (most recent call last)' in run.stderr:
        return 'traceback', last
    if run.returncode == 0:
        return 'fine', ''
    said = [line for line in lines if line.startswith('error: ') or ': error: ' in line]
    return ('one line', said[-1]) if said else ('harm', f'status {run.returncode}: {last}')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('campaigns', nargs='*', default=CAMPAIGNS, help=', '.join(CAMPAIGNS))
    parser.add_argument('--count', type=int, help='trials of each; all by default')
    parser.add_argument('--seed', type=int, default=0, help='seed of those that are drawn')
    args = parser.parse_args()
    if unknown := set(args.campaigns) - set(CAMPAIGNS):
        parser.error(f'no campaign {", ".join(sorted(unknown))}; there are {", ".join(CAMPAIGNS)}')

    failed = []
    print(f'{"":10}{"trials":>10}' + ''.join(f'{verdict:>10}' for verdict in VERDICTS), flush=True)
    for name in args.campaigns:
        start, counts = time.monotonic(), Counter()
        for outcome in importlib.import_module(name).run(args.count, args.seed):
            counts[outcome.verdict] += 1
            if outcome.verdict not in GOOD:
                failed.append(outcome)
        numbers = ''.join(f'{counts[verdict]:10}' for verdict in VERDICTS)
        print(
            f'{name:10}{counts.total():10}{numbers}   {time.monotonic() - start:.0f} s', flush=True
        )
    for outcome in failed:
        print(f'{outcome.verdict}: {outcome.campaign}: {outcome.trial}: {outcome.detail[:300]}')
    sys.exit(bool(failed))


if __name__ == '__main__':
    main()
