"""The commands that README, docs and the READMEs of the configs tell to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PAGES = sorted([*REPO.glob('*.md'), *REPO.glob('docs/**/*.md'), *REPO.glob('configs/*/*.md')])
BLOCK = re.compile(r'^```bash\n(.*?)^```$', re.MULTILINE | re.DOTALL)
# What is typed in place of these is the reader's.
OPTIONAL = re.compile(r' \[arguments of \w+\.py\]')
LAUNCHERS = {
    'dist_train.sh': lambda config, gpus, *rest: ('tools/train.py', config, *rest),
    'dist_test.sh': lambda config, weights, gpus, *rest: ('tools/test.py', config, weights, *rest),
    'slurm_train.sh': lambda partition, job, config, work_dir, *rest: (
        *('tools/train.py', config, '--work-dir', work_dir),
        *rest,
    ),
    'slurm_test.sh': lambda partition, job, *rest: ('tools/test.py', *rest),
}


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command of a page, without variables that are set before it."""
    for block in BLOCK.findall(page.read_text()):
        lines = OPTIONAL.sub('', block).replace('\\\n', ' ').splitlines()
        for line in ' && '.join(line.partition('# ')[0] for line in lines).split('&&'):
            words = shlex.split(line.replace('$U/', ''), comments=True)
            while words and re.match(r'[A-Z_]+=', words[0]):
                del words[0]
            if words:
                yield words


def as_python(words: list[str]) -> tuple[str, ...] | None:
    """The tool of this project and the arguments that a command starts; None if it is no such."""
    if words[1:3] == ['-m', 'uniformer_mm']:
        return 'uniformer_mm/__main__.py', *words[3:]
    if len(words) < 2 or not words[1].startswith('tools/'):
        return None
    _, tool, *args = words
    if tool.endswith('.py'):
        return tool, *args
    while args[0].startswith('--'):  # of torchrun
        del args[0]
    return LAUNCHERS[Path(tool).name](*args)
