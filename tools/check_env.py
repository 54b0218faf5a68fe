"""Prints what this Python has of what uniformer_mm needs, and the commands that mend the rest.

    python tools/check_env.py
    python tools/check_env.py --tasks cls video

Exits with status 1 if something that the tasks need is missing, unsupported or does not run.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

try:
    import tomllib
    from packaging.requirements import Requirement
except ImportError:  # Python 3.10, or nothing is installed yet but pip
    from pip._vendor import tomli as tomllib
    from pip._vendor.packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
EXTRAS = PROJECT['optional-dependencies']
SAME = {'opencv-python': 'opencv-python-headless', 'mmcv-lite': 'mmcv'}
MODULES = {'mmsegmentation': 'mmseg', 'mmaction2': 'mmaction', 'mmcv-lite': 'mmcv'}


def requirements(lines: list[str]) -> dict[str, Requirement]:
    """What the lines ask for, by name; an extra of this project stands for its own lines."""
    found = {}
    for requirement in map(Requirement, lines):
        for extra in requirement.extras:
            found |= requirements(EXTRAS[extra])
        if requirement.name != PROJECT['name']:
            found[requirement.name] = requirement
    return found


def find(requirement: Requirement) -> str:
    """The version that is there; a library that is built for another has to be importable too."""
    names = [requirement.name, SAME.get(requirement.name, requirement.name)]
    for name in names:
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        assert requirement.specifier.contains(found, prereleases=True), f'{found} is unsupported'
        if name.startswith(('torch', 'mm', 'xtcoco')):
            importlib.import_module(MODULES.get(name, name))
        return f'{found} ({name})' if name != names[0] else found
    raise PackageNotFoundError('missing')


def talk(backend: str, device: str) -> str:
    """One process sends itself a number."""
    import torch
    from torch import distributed

    with tempfile.TemporaryDirectory() as folder:
        store = f'file://{folder}/store'
        distributed.init_process_group(backend, init_method=store, rank=0, world_size=1)
        distributed.all_reduce(torch.ones(1, device=device))
        distributed.destroy_process_group()
    return 'works'


def run_ops(device: str) -> str:
    import torch
    from mmcv.ops import nms

    boxes = torch.tensor([[0.0, 0, 9, 9], [1, 1, 9, 9], [20, 20, 29, 29]], device=device)
    kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)[1].tolist()
    assert kept == [0, 2], f'nms kept {kept} instead of [0, 2]'
    return 'works'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tasks = [extra for extra in EXTRAS if extra not in ('lite', 'ops', 'all')]
    parser.add_argument('--tasks', nargs='+', choices=tasks, default=tasks, help='default: all')
    parser.add_argument('--quiet', action='store_true', help='print only if something is missing')
    args = parser.parse_args()
    wanted = requirements([*PROJECT['dependencies'], f'{PROJECT["name"]}[{",".join(args.tasks)}]'])
    if 'mmcv' not in wanted:
        wanted |= requirements(EXTRAS['lite'])
    lines, bad = [f'Python {sys.version.split()[0]} in {sys.prefix}'], []

    def probe(title: str, mends: str | None, function, *arguments) -> None:
        try:
            answer = function(*arguments)
        except Exception as error:
            answer = str(error).splitlines()[0]
            if mends and mends not in bad:
                bad.append(mends)
                answer += '   <--'
        lines.append(f'{title:<18}{answer}')

    for name, requirement in wanted.items():
        probe(name, name, find, requirement)
    if 'torch' not in bad:
        import torch

        lines.append(f'CUDA              {torch.version.cuda}, {torch.cuda.device_count()} GPUs')
        probe('gloo', None, talk, 'gloo', 'cpu')
        probe('mmcv ops, CPU', 'mmcv' if 'mmcv' in wanted else None, run_ops, 'cpu')
        if torch.cuda.is_available():
            probe('nccl', None, talk, 'nccl', 'cuda')
            probe('mmcv ops, CUDA', None, run_ops, 'cuda')
    if args.quiet and not bad:
        return 0
    print('\n'.join(lines))
    if not bad:
        print(f'Complete for: {" ".join(args.tasks)}')
        return 0

    pip = f"'{sys.executable}' -m pip"
    first = [name for name in ('torch', 'torchvision', 'numpy') if name in bad]
    print('To mend it:')
    if {'torch', 'mmcv', 'xtcocotools'} & set(bad):
        # What is compiled has to see the torch and the NumPy that it will run with.
        tested = f"-c '{ROOT}/requirements/constraints.txt' " if 'torch' in bad else ''
        print(f"  {pip} install {tested}{' '.join(first)} 'setuptools<81' wheel ninja cython")
        print(f'  {pip} uninstall -y mmcv-lite {" ".join({"mmcv", "xtcocotools"} & set(bad))}')
    rest = ' '.join(f"'{wanted[name]}'" for name in bad if name not in first)
    if rest:
        print(
            f'  MMCV_WITH_OPS=1 {pip} install --no-build-isolation --no-cache-dir'
            f' --no-binary mmcv,xtcocotools {rest}'
        )
    return 1


if __name__ == '__main__':
    sys.exit(main())
