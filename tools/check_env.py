"""Prints what this Python has of what uniformer_mm needs, and the commands that mend the rest.

    python tools/check_env.py
    python tools/check_env.py --tasks cls video

Exits with status 1 if something that the tasks need is missing or has an unsupported version. The
supported ranges are those of ``requirements/*.txt``. Needs the standard library only.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TASKS = ('cls', 'det', 'seg', 'pose', 'video', 'dev')
OPS_TASKS = ('det', 'seg', 'pose')

# Distributions that provide the same module.
ALTERNATIVES = {
    'opencv-python': (
        'opencv-python-headless',
        'opencv-contrib-python',
        'opencv-contrib-python-headless',
    ),
    'mmcv-lite': ('mmcv',),
}
TORCH = ('numpy', 'torch', 'torchvision')
# Installed without their dependencies; tools/setup_env.py says why.
NO_DEPS = ('mmpretrain', 'mmdet', 'mmsegmentation', 'mmpose', 'mmaction2')
FROM_SOURCE = ('mmcv', 'xtcocotools')

PROBE_TORCH = """
import tempfile, numpy, torch
import torch.distributed as dist
torch.from_numpy(numpy.zeros(1))
def works(backend, device):
    with tempfile.TemporaryDirectory() as folder:
        try:
            dist.init_process_group(
                backend, init_method=f'file://{folder}/store', rank=0, world_size=1)
            dist.all_reduce(torch.ones(1, device=device))
            dist.destroy_process_group()
            return 'works'
        except Exception as error:
            return f'fails: {error}'.splitlines()[0]
cuda = torch.cuda.is_available()
gpus = torch.cuda.device_count() if cuda else 0
print('CUDA|' + (f'{torch.version.cuda}, {gpus} GPU, {torch.cuda.get_device_name(0)}' if cuda
    else f'no GPU (torch is built for {torch.version.cuda or "CPU"})'))
print('gloo|' + (works('gloo', 'cpu') if dist.is_available() and dist.is_gloo_available()
    else 'not in this torch'))
print('nccl|' + ('not in this torch' if not dist.is_available() or not dist.is_nccl_available()
    else works('nccl', 'cuda') if cuda else 'no GPU'))
"""
PROBE_OPS = """
import torch
from mmcv.ops import nms
def run(device):
    boxes = torch.tensor([[0., 0., 10., 10.], [1., 1., 11., 11.], [20., 20., 30., 30.]])
    _, keep = nms(boxes.to(device), torch.tensor([.9, .8, .7], device=device), iou_threshold=.5)
    assert keep.tolist() == [0, 2], f'nms kept {keep.tolist()} instead of [0, 2]'
run('cpu')
devices = 'CPU'
if torch.cuda.is_available():
    try:
        run('cuda')
        devices += ', CUDA'
    except RuntimeError:
        devices += ' only'
print('nms works: ' + devices)
"""


class Row(NamedTuple):
    """One line of the table; ``required`` says whether a state other than ok is an error."""

    name: str
    found: str
    supported: str
    state: str
    purpose: str
    required: bool = True


def release(version: str) -> tuple[int, ...]:
    """Leading numbers of a version: ``2.11.0+cpu`` gives (2, 11, 0)."""
    match = re.match(r'\d+(\.\d+)*', version)
    return tuple(map(int, match.group().split('.'))) if match else (0,)


def satisfies(version: str, specifier: str) -> bool:
    """Whether a version lies in a range such as ``>=1.2,<1.3``."""
    for clause in filter(None, specifier.split(',')):
        operator, bound = re.match(r'\s*(>=|<=|==|!=|<|>)\s*(\S+)', clause).groups()
        found, limit = release(version), release(bound)
        width = max(len(found), len(limit))
        found += (0,) * (width - len(found))
        limit += (0,) * (width - len(limit))
        if not {
            '>=': found >= limit,
            '<=': found <= limit,
            '==': found == limit,
            '!=': found != limit,
            '<': found < limit,
            '>': found > limit,
        }[operator]:
            return False
    return True


def read_requirements(name: str) -> list[tuple[str, str]]:
    """(package, range) for each line of ``requirements/<name>.txt``."""
    pairs = []
    for line in (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines():
        if line.strip() and not line.startswith('#'):
            package, specifier = re.match(r'([\w.-]+)\s*(.*)', line.strip()).groups()
            pairs.append((package, specifier))
    return pairs


def installed_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def supported_python() -> str:
    """The range in pyproject.toml, or in the metadata if this file lies in an installed package."""
    project = ROOT / 'pyproject.toml'
    if project.is_file():
        return re.search(r"^requires-python\s*=\s*'(.+)'", project.read_text(), re.MULTILINE)[1]
    return importlib.metadata.metadata('uniformer-mm')['Requires-Python']


def package_row(package: str, specifier: str, purpose: str) -> Row:
    """Compares what is installed with a range; an alternative distribution counts as well."""
    for name in (package, *ALTERNATIVES.get(package, ())):
        version = installed_version(name)
        if version is not None:
            state = 'ok' if satisfies(version, specifier) else 'wrong'
            label = version if name == package else f'{version} ({name})'
            return Row(package, label, specifier or 'any', state, purpose)
    return Row(package, '-', specifier or 'any', 'missing', purpose)


def probe(code: str) -> tuple[bool, str]:
    """Runs code in a new interpreter; returns success and what it printed, or its last error."""
    try:
        answer = subprocess.run(
            [sys.executable, '-c', code], capture_output=True, text=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired:
        return False, 'no answer within 5 minutes'
    if answer.returncode:
        lines = answer.stderr.strip().splitlines()
        return False, lines[-1] if lines else f'exit status {answer.returncode}'
    return True, answer.stdout.strip()


def project_row() -> Row:
    found = installed_version('uniformer-mm')
    if found is None and importlib.util.find_spec('uniformer_mm') is not None:
        found = 'on PYTHONPATH'
    return Row('uniformer_mm', found or '-', 'any', 'ok' if found else 'missing', 'core')


def collect(tasks: list[str]) -> list[Row]:
    """All rows of the table for the chosen tasks."""
    python = platform.python_version()
    state = 'ok' if satisfies(python, supported_python()) else 'wrong'
    rows = [Row('Python', python, supported_python(), state, 'core'), project_row()]
    needs_ops = any(task in OPS_TASKS for task in tasks)
    seen = set()
    for task in ('core', *tasks):
        if task == 'cls' or (task in (*OPS_TASKS, 'video') and 'cls' not in seen):
            # Every task builds on mmpretrain and on one of the two flavours of mmcv.
            rows += [package_row(*pair, 'cls') for pair in read_requirements('cls')]
            (flavour,) = read_requirements('ops' if needs_ops else 'lite')
            rows.append(
                package_row(*flavour, ' '.join(t for t in tasks if t in OPS_TASKS) or 'cls')
            )
            seen.add('cls')
        if task != 'cls':
            rows += [package_row(*pair, task) for pair in read_requirements(task)]
    rows = merge(rows)

    if any(row.name == 'torch' and row.state == 'ok' for row in rows):
        works, output = probe(PROBE_TORCH)
        if works:
            facts = dict(line.split('|', 1) for line in output.splitlines() if '|' in line)
            for name, purpose in (
                ('CUDA', 'GPU'),
                ('gloo', 'several CPUs'),
                ('nccl', 'several GPUs'),
            ):
                fails = facts[name].startswith('fails')
                rows.append(Row(name, facts[name], '', 'wrong' if fails else 'ok', purpose, False))
        else:
            rows.append(Row('torch import', output, '', 'wrong', 'core'))
    if any(row.name.startswith('mmcv') and row.state == 'ok' for row in rows):
        works, output = probe(PROBE_OPS)
        state = 'ok' if works else ('wrong' if needs_ops else 'missing')
        rows.append(Row('mmcv ops', output, '', state, ' '.join(OPS_TASKS), needs_ops))
    compiler = shutil.which('c++')
    state = 'ok' if compiler else 'missing'
    rows.append(Row('C++ compiler', compiler or '-', '', state, 'building mmcv', False))
    return rows


def merge(rows: list[Row]) -> list[Row]:
    """One row for each package; the purposes of the tasks that share it are joined."""
    merged: dict[str, Row] = {}
    for row in rows:
        if row.name in merged:
            earlier = merged[row.name]
            purposes = dict.fromkeys((*earlier.purpose.split(), *row.purpose.split()))
            row = (row if row.state != 'ok' else earlier)._replace(purpose=' '.join(purposes))
        merged[row.name] = row
    return list(merged.values())


def format_table(rows: list[Row]) -> str:
    cells = [('package', 'found', 'supported', 'state', 'for')]
    cells += [row[:5] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    widths[1] = min(widths[1], 44)
    lines = [
        '  '.join([line[column].ljust(widths[column]) for column in range(4)] + [line[4]])
        for line in cells
    ]
    return '\n'.join([lines[0], '-' * max(map(len, lines)), *lines[1:]])


def mending_commands(rows: list[Row]) -> list[str]:
    """Commands for this very interpreter, in the order in which they have to run."""
    bad = {row.name: row for row in rows if row.required and row.state != 'ok'}
    if 'Python' in bad:
        return [f'make setup BASE_PYTHON=python3.11    # this Python is not {supported_python()}']
    install = f'{shlex.quote(sys.executable)} -m pip install'

    def command(options: str, names: list[str]) -> str:
        ranges = {row.name: '' if row.supported == 'any' else row.supported for row in rows}
        packages = ' '.join(shlex.quote(name + ranges.get(name, '')) for name in names)
        return ' '.join(filter(None, (install, options, packages)))

    commands = []
    if importlib.util.find_spec('pip') is None:
        commands.append(f'{shlex.quote(sys.executable)} -m ensurepip --upgrade')
    torch = [row.name for row in rows if row.name in TORCH]
    tested = f'-c {shlex.quote(str(ROOT / "requirements" / "constraints.txt"))}'
    if 'torch import' in bad:
        commands.append(command(f'--force-reinstall {tested}', torch))
    elif 'torch' in bad:
        commands.append(command(tested, torch))
    elif 'torchvision' in bad:  # torch 2.1 goes with torchvision 0.16, and so on
        minor = release(installed_version('torch'))[1]
        commands.append(f"{install} 'torchvision==0.{minor + 15}.*'")
    if 'numpy' in bad and 'torch' not in bad:
        commands.append(command('', ['numpy']))
    special = {*TORCH, *NO_DEPS, *FROM_SOURCE, 'uniformer_mm', 'torch import', 'mmcv ops'}
    ordinary = [name for name in bad if name not in special]
    if ordinary:
        commands.append(command('', ordinary))
    libraries = [name for name in NO_DEPS if name in bad]
    if libraries:
        commands.append(command('--no-deps', libraries))
    source = [name for name in FROM_SOURCE if name in bad]
    if 'mmcv ops' in bad and 'mmcv' not in bad:
        source.append('mmcv')
    if 'mmcv' in source and installed_version('mmcv-lite'):  # the same module: its files would go
        commands.append(f'{shlex.quote(sys.executable)} -m pip uninstall -y mmcv-lite')
    if source:
        commands.append(f"{install} 'setuptools>=64,<81' wheel ninja cython")
    for name in source:
        options = f'--no-build-isolation --no-deps --no-cache-dir --no-binary {name}'
        if name == 'mmcv':
            install_ops = command(f'-v --force-reinstall {options}', [name])
            commands.append(f'MMCV_WITH_OPS=1 {install_ops}')
        else:
            commands.append(command(options, [name]))
    if 'uniformer_mm' in bad:
        commands.append(f'{install} --no-deps --no-build-isolation -e {shlex.quote(str(ROOT))}')
    return commands


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--tasks', nargs='+', choices=TASKS, default=list(TASKS), help='default: all of them'
    )
    parser.add_argument('--quiet', action='store_true', help='print only if something is missing')
    args = parser.parse_args()

    rows = collect([task for task in TASKS if task in args.tasks])
    bad = [row.name for row in rows if row.required and row.state != 'ok']
    if args.quiet and not bad:
        return 0
    print(f'{sys.executable}\n\n{format_table(rows)}\n')
    if not bad:
        print(f'Complete for: {" ".join(args.tasks)}')
        return 0
    print(f'Missing or not supported: {", ".join(bad)}. To mend it, run:\n')
    print('\n'.join(f'  {command}' for command in mending_commands(rows)))
    return 1


if __name__ == '__main__':
    sys.exit(main())
