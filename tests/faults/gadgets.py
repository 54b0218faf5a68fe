"""Files with a pickle that calls something: nothing of the process may be within their reach.

36 functions of the standard library and of what is installed beside it, each called by the four
opcodes that can call, and the attacks on the names that the reader itself knows, zipped and in the
format before torch 1.6. All are read as by torch 2.6 and as by older ones. What loads, or leaves a
file, is harm.
"""

from __future__ import annotations

import itertools
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import torch
from pickle_attacks import ATTACKS, rewrite
from table import Outcome

from uniformer_mm.checkpoints import CheckpointError, load_file, safe

MARKER = 'marker'
SHELL, PROGRAM = f'touch {MARKER}', f'open("{MARKER}", "w")'
# Each with the one argument that it is called with.
FUNCTIONS = {
    **dict.fromkeys(
        (
            *('os system', 'os popen', 'posix system', 'subprocess getoutput', 'pty spawn'),
            *('subprocess Popen', 'subprocess run', 'subprocess check_output', 'os execlp'),
            *('shutil os.system', 'asyncio create_subprocess_shell', 'commands getoutput'),
        ),
        SHELL,
    ),
    **dict.fromkeys(
        (
            *(
                'builtins eval',
                'builtins exec',
                'builtins compile',
                'timeit timeit',
                'cProfile run',
            ),
            *('profile run', 'pdb run', 'bdb Bdb.run', 'code interact', 'runpy run_path'),
            *('numpy.testing runstring', 'torch.jit CompilationUnit', 'builtins __import__'),
            *('mmengine.config Config.fromstring', 'mmengine.config Config.fromfile'),
        ),
        PROGRAM,
    ),
    **dict.fromkeys(
        (
            *('os mkdir', 'pathlib Path', 'shutil rmtree', 'builtins open', 'pickle loads'),
            *('torch load', 'torch.hub load', 'numpy load', 'ctypes CDLL'),
        ),
        MARKER,
    ),
}
OPCODES = {
    'reduce': 'c{}\n{}\n(V{}\ntR',
    'newobj': 'c{}\n{}\n(V{}\nt\x81',
    'obj': '(c{}\n{}\nV{}\no',
    'inst': '(V{2}\ni{0}\n{1}\n',
}


def write(attack: str, path: Path) -> Path:
    """Write the file of an attack, and give its path."""
    kind, name = attack.split(': ', 1)
    if kind in OPCODES:
        code = OPCODES[kind].format(*name.split(), FUNCTIONS[name])
        torch.save({}, path)
        return rewrite(path, lambda _: b'\x80\x02' + code.encode('latin1') + b'.')
    torch.save({'deep': (ATTACKS[name],)}, path, _use_new_zipfile_serialization=kind == 'zip')
    return path


def read(attack: str, new: bool, folder: Path) -> tuple[str, str]:
    """Read the file of an attack; gives the verdict and what was said."""
    path = write(attack, folder / 'a.pth')
    try:
        with mock.patch.object(safe, 'torch_takes_names', lambda: new):
            load_file(path)
    except CheckpointError as error:
        verdict = 'one line', str(error)
    except BaseException as error:
        verdict = 'traceback', repr(error)
    else:
        verdict = 'harm', 'it loads'
    return ('harm', 'it ran') if (folder / MARKER).exists() else verdict


def run(count: int | None, seed: int) -> Iterator[Outcome]:
    """Read ``count`` files, drawn at random, or all."""
    attacks = [f'{kind}: {name}' for kind, name in itertools.product(OPCODES, FUNCTIONS)]
    attacks += [f'{kind}: {name}' for kind, name in itertools.product(('zip', 'old'), ATTACKS)]
    trials = list(itertools.product(attacks, (True, False)))
    before = Path.cwd()
    for attack, new in trials if count is None else random.Random(seed).sample(trials, count):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            found = read(attack, new, Path(folder))
            os.chdir(before)
        yield Outcome('gadgets', f'{attack} ({"" if new else "older "}torch)', *found)
