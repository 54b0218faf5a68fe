"""What a wheel and a source archive carry, the lock files, and the check of the environment."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from own_data import TASKS, short_run, write_project
from packaging.requirements import Requirement

sys.path.insert(0, str(Path(__file__).parents[1] / 'tools'))
from check_env import EXTRAS, PROJECT, requirements  # noqa: E402

BUILD = 'import setuptools.build_meta as b; b.build_sdist({0!r}), b.build_wheel({0!r})'


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()}


def test_archives_carry_everything(repo_root, tmp_path):
    source = tmp_path / 'source'
    source.mkdir()
    folders = ('configs', 'docs', 'requirements', 'tests', 'tools')
    for folder in (*folders, 'uniformer_mm'):
        ignored = shutil.ignore_patterns('__pycache__', '.mim')
        shutil.copytree(repo_root / folder, source / folder, ignore=ignored)
    for path in repo_root.glob('[!.]*.*'):
        if path.is_file():
            shutil.copy(path, source)
    for name in ('LICENSE', 'Makefile'):
        shutil.copy(repo_root / name, source)
    files = {folder: files_below(source / folder) for folder in folders}
    code = files_below(source / 'uniformer_mm')
    subprocess.run([sys.executable, '-c', BUILD.format(str(tmp_path))], cwd=source, check=True)

    with zipfile.ZipFile(*tmp_path.glob('*-py3-none-any.whl')) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / 'site')
    mim = {name.removeprefix('uniformer_mm/.mim/') for name in names if '/.mim/' in name}
    expected = {f'{folder}/{name}' for folder in ('configs', 'tools') for name in files[folder]}
    assert mim - expected == {'model-index.yml', 'pyproject.toml', 'requirements/constraints.txt'}
    assert expected <= mim
    assert {f'uniformer_mm/{name}' for name in code} <= names
    assert {name.split('/')[0].split('-')[0] for name in names} == {'uniformer_mm'}
    assert not (source / 'uniformer_mm' / '.mim').exists()
    check_project_of_its_own(tmp_path)

    with tarfile.open(*tmp_path.glob('*.tar.gz')) as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
    assert {f'{folder}/{name}' for folder in files for name in files[folder]} <= names
    assert {'LICENSE', 'README.md', 'Makefile', 'setup.py', 'requirements/full.txt'} <= names


OWN = """
import runpy, sys
from uniformer_mm.home import home
options, sys.argv = sys.argv[1:], ['']
runpy.run_module('uniformer_mm', run_name='__main__')
sys.argv = [f'{home()}/tools/train.py', *options]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def check_project_of_its_own(folder: Path) -> None:
    """A config elsewhere trains with what is installed in ``site``, and not with the checkout."""
    project = folder / 'project'
    write_project(TASKS['flowers'], project)
    env = {**os.environ, 'PYTHONPATH': str(folder / 'site')}
    options = ('--amp', 'off', '--cfg-options', *short_run(TASKS['flowers']))
    command = [sys.executable, '-c', OWN, 'flowers.py', *options]
    done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(folder / 'site/uniformer_mm/.mim')
    assert (project / 'work_dirs/flowers/epoch_1.pth').is_file()


def read_pins(path: Path) -> list[Requirement]:
    lines = path.read_text().splitlines()
    return [Requirement(line.rstrip(' \\')) for line in lines if '==' in line]


@pytest.mark.parametrize('python', ['3.10.0', '3.11.0', '3.12.0'])
def test_locks_agree_with_the_declaration_and_each_other(repo_root, python):
    where = {'python_version': python[:4], 'python_full_version': python}
    pins = {}
    for lock in ('cls', 'full', 'constraints'):
        found = read_pins(repo_root / 'requirements' / f'{lock}.txt')
        found = [pin for pin in found if pin.marker is None or pin.marker.evaluate(where)]
        pins[lock] = {pin.name: pin for pin in found}
        assert len(pins[lock]) == len(found)
    core = PROJECT['dependencies']
    for lock, extras in {'cls': ('cls', 'lite', 'demo'), 'full': EXTRAS.keys() - {'lite'}}.items():
        wanted = requirements([*core, *(line for extra in extras for line in EXTRAS[extra])])
        for name, requirement in wanted.items():
            pin = pins[lock][name.replace('opencv-python', 'opencv-python-headless')]
            version = str(pin.specifier).removeprefix('==')
            assert requirement.specifier.contains(version), (lock, name)
            assert pins['constraints'][name].specifier == pin.specifier
    for name in pins['cls'].keys() - {'mmcv-lite'}:
        assert pins['cls'][name].specifier == pins['full'][name].specifier
    assert 'mmcv' not in pins['cls'] and 'mmcv-lite' not in pins['full']


def test_check_env_names_what_is_missing(repo_root, run_tool, tmp_path):
    (tmp_path / 'tools').mkdir()
    tool = shutil.copy(repo_root / 'tools' / 'check_env.py', tmp_path / 'tools')
    declaration = (repo_root / 'pyproject.toml').read_text()
    for package, status in (('scikit-learn', 0), ('no-such-package', 1)):
        text = declaration.replace("demo = ['scikit-learn", f"demo = ['{package}")
        (tmp_path / 'pyproject.toml').write_text(text)
        answer = run_tool(tool, '--quiet', '--tasks', 'cls', 'demo')
        assert answer.returncode == status, answer.stdout + answer.stderr
        assert bool(status) == (' install --no-build-isolation' in answer.stdout)
        assert ("'no-such-package>=1.3'" in answer.stdout) == bool(status)
