"""The commands that README, docs and the READMEs of the configs tell to type."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PAGES = sorted([*REPO.glob('*.md'), *REPO.glob('docs/**/*.md'), *REPO.glob('configs/*/*.md')])
BLOCK = re.compile(r'^```bash\n(.*?)^```$', re.MULTILINE | re.DOTALL)
# What tools/docs/hooks.py cannot tell from the commands.
SAID = r'^<!-- needs: .* -->\n'
FENCED = re.compile(r'^```.*?^```$', re.MULTILINE | re.DOTALL)
INLINE = re.compile(r'`(python (?:tools/|-m uniformer_mm)[^`]*)`')
# What is typed in place of these is the reader's.
OPTIONAL = re.compile(r' \[arguments of \w+\.py\]')
# A variable that is set to what Python prints: the folder of a library's tools.
FOLDER = re.compile(r"^(\w+)=\$\(python -c '(.*)'\)(\S*)$", re.MULTILINE)
LAUNCHERS = {
    'dist_train.sh': lambda config, gpus, *rest: ('tools/train.py', config, *rest),
    'dist_test.sh': lambda config, weights, gpus, *rest: ('tools/test.py', config, weights, *rest),
    'slurm_train.sh': lambda partition, job, config, work_dir, *rest: (
        *('tools/train.py', config, '--work-dir', work_dir),
        *rest,
    ),
    'slurm_test.sh': lambda partition, job, *rest: ('tools/test.py', *rest),
}


def commands(page: Path, said: bool = True) -> Iterator[list[str]]:
    """The words of each command of a page, without variables that are set before it.

    Args:
        page: A Markdown file.
        said: Also those of blocks below a comment that says what they need. Defaults to True.
    """
    text = page.read_text()
    if not said:
        text = re.sub(SAID + BLOCK.pattern.removeprefix('^'), '', text, flags=BLOCK.flags)
    for block in BLOCK.findall(text):
        block = OPTIONAL.sub('', block).replace('\\\n', ' ')
        for name, code, below in FOLDER.findall(block):
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(code)
            block = FOLDER.sub('', block).replace(f'${name}', printed.getvalue().strip() + below)
        block = re.sub(r'\w+=\$\((.*?)\)$', r'\1', block, flags=re.MULTILINE).replace('$U/', '')
        for line in ' && '.join(line.partition('# ')[0] for line in block.splitlines()).split('&&'):
            words = shlex.split(line, comments=True)
            while words and re.match(r'[A-Z_]+=', words[0]):
                del words[0]
            if words:
                yield words
    yield from map(shlex.split, INLINE.findall(FENCED.sub('', text)))


def as_python(words: list[str]) -> tuple[str, ...] | None:
    """The tool and the arguments that a command starts; None if it is none of Python's."""
    if words[1:3] == ['-m', 'uniformer_mm']:
        return 'uniformer_mm/__main__.py', *words[3:]
    if len(words) < 2 or not words[1].startswith('tools/') and '/.mim/tools/' not in words[1]:
        return None
    _, tool, *args = words
    if tool.endswith('.py'):
        return tool, *args
    while args[0].startswith('--'):  # of torchrun
        del args[0]
    return LAUNCHERS[Path(tool).name](*args)
