"""The set-up script, the pins, the Makefile and what a wheel contains."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

VERSION = sys.version_info[:2]
TAG = f'cp{VERSION[0]}{VERSION[1]}'
FITTING = f'mmcv-2.1.0-{TAG}-{TAG}-linux_{os.uname().machine}.whl'


def load_tool(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def setup_env(repo_root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in ('BASE_PYTHON', 'MMCV_WHEEL', 'FIND_LINKS', 'FORCE_CUDA', 'UNIFORMER_MM_CACHE'):
        monkeypatch.delenv(name, raising=False)
    return load_tool(repo_root / 'tools' / 'setup_env.py')


@pytest.fixture
def environment(setup_env: ModuleType, tmp_path: Path):
    """A finished environment, as far as the stamp can tell."""
    path = tmp_path / '.venv'
    (path / 'bin').mkdir(parents=True)
    (path / 'bin' / 'python').touch()
    (path / 'bin' / 'pip').write_text(f'#!{path}/bin/python\n')
    (path / 'pyvenv.cfg').write_text(f'home = /usr\nversion = {VERSION[0]}.{VERSION[1]}.9\n')
    environment = setup_env.Environment(path)
    environment.write_stamp()
    return environment


# ---------------------------------------------------------------- up to date or not


def test_finished_environment_is_current(environment):
    assert environment.is_current()
    assert not environment.stamp.with_suffix('.part').exists()


def test_new_pins_are_noticed(environment, setup_env, repo_root, tmp_path, monkeypatch):
    requirements = shutil.copytree(repo_root / 'requirements', tmp_path / 'requirements')
    monkeypatch.setattr(setup_env, 'REQUIREMENTS', requirements)
    assert environment.is_current()
    with (requirements / 'constraints.txt').open('a') as file:
        file.write('another==1.0\n')
    assert not environment.is_current()


def test_moved_checkout_is_noticed(environment, setup_env, monkeypatch):
    monkeypatch.setattr(setup_env, 'ROOT', Path('/elsewhere'))
    assert not environment.is_current()


def test_interruption_and_damage_are_noticed(environment):
    environment.unfinished.touch()
    assert not environment.is_current()
    environment.unfinished.unlink()
    assert environment.is_current()
    environment.stamp.write_text('{"inputs":')
    assert not environment.is_current()
    environment.write_stamp()
    environment.python.unlink()
    assert not environment.is_current()


def test_other_base_python_is_noticed(environment, monkeypatch):
    monkeypatch.setenv('BASE_PYTHON', sys.executable)
    assert environment.is_current()
    (environment.path / 'pyvenv.cfg').write_text('version = 3.9.1\n')
    stamp = json.loads(environment.stamp.read_text())
    environment.stamp.write_text(json.dumps({**stamp, 'python': [3, 9]}))
    assert not environment.is_current()
    monkeypatch.delenv('BASE_PYTHON')
    assert environment.is_current()


def test_given_wheel_is_noticed_once(environment, tmp_path, monkeypatch):
    wheel = tmp_path / FITTING
    wheel.touch()
    monkeypatch.setenv('MMCV_WHEEL', str(wheel))
    assert not environment.is_current()
    environment.write_stamp()
    assert environment.is_current()
    wheel.unlink()
    assert not environment.is_current()
    monkeypatch.delenv('MMCV_WHEEL')
    assert environment.is_current()


def test_half_installed_environment_is_made_anew(environment, setup_env, monkeypatch, tmp_path):
    created = []
    monkeypatch.setattr(setup_env, 'run', lambda command, *args, **kwargs: created.append(command))
    environment.create(lock=-1)
    assert created == []
    assert not environment.is_current()  # until all steps are done again
    environment.unfinished.touch()
    (environment.path / 'leftover').touch()
    environment.create(lock=-1)
    assert created == [[sys.executable, '-m', 'venv', str(environment.path)]]
    assert not (environment.path / 'leftover').exists()
    assert not environment.unfinished.exists()


# ---------------------------------------------------------------- wheels


@pytest.mark.parametrize(
    ('version', 'python', 'cuda', 'expected'),
    [
        ('2.11.0+cu130', (3, 11), None, 'torch2.11.0-cp311-cpu'),
        ('2.11.0', (3, 11), '13.0', 'torch2.11.0-cp311-cu130'),
        ('2.4.1+cpu', (3, 10), None, 'torch2.4.1-cp310-cpu'),
    ],
)
def test_cache_key_names_all_that_a_wheel_depends_on(setup_env, version, python, cuda, expected):
    assert setup_env.cache_key(version, python, cuda) == expected


def test_cuda_only_where_it_can_be_compiled(setup_env, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CUDA_HOME', raising=False)
    assert setup_env.cuda_to_compile_for('13.0', gpu_visible=True) is None
    (tmp_path / 'nvcc').touch(mode=0o755)
    assert setup_env.cuda_to_compile_for('13.0', gpu_visible=True) == '13.0'
    assert setup_env.cuda_to_compile_for('13.0', gpu_visible=False) is None
    assert setup_env.cuda_to_compile_for(None, gpu_visible=False) is None
    monkeypatch.setenv('FORCE_CUDA', '1')
    assert setup_env.cuda_to_compile_for('13.0', gpu_visible=False) == '13.0'


def test_cache_lies_outside_the_checkout(setup_env, monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
    assert setup_env.cache_root() == tmp_path / 'xdg' / 'uniformer_mm'
    monkeypatch.setenv('UNIFORMER_MM_CACHE', str(tmp_path / 'own'))
    assert setup_env.cache_root() == tmp_path / 'own'


@pytest.mark.parametrize(
    ('name', 'complaint'),
    [
        (FITTING, None),
        (FITTING.replace('2.1.0', '2.1.0+cpu'), None),
        (FITTING.replace('2.1.0', '2.2.0'), 'version 2.2.0; 2.1.0 is needed'),
        (FITTING.replace(TAG, 'cp38'), 'built for cp38'),
        (FITTING.replace('mmcv', 'mmdet'), 'a wheel of mmdet'),
        (FITTING.replace('linux', 'macosx'), 'built for macosx'),
        ('mmcv-2.1.0.tar.gz', 'not named like a wheel'),
    ],
)
def test_wheel_that_does_not_fit_is_refused(setup_env, tmp_path, monkeypatch, name, complaint):
    wheel = tmp_path / name
    wheel.touch()
    monkeypatch.setenv('MMCV_WHEEL', str(wheel))
    if complaint is None:
        assert setup_env.given_wheel('mmcv', VERSION) == wheel
        assert setup_env.given_wheel('xtcocotools', VERSION) is None
        return
    with pytest.raises(setup_env.SetupError, match=complaint):
        setup_env.given_wheel('mmcv', VERSION)


def test_wheel_that_is_not_there_is_an_error(setup_env, monkeypatch):
    monkeypatch.setenv('MMCV_WHEEL', '/nowhere/mmcv.whl')
    with pytest.raises(setup_env.SetupError, match='MMCV_WHEEL=/nowhere/mmcv.whl: no such file'):
        setup_env.given_wheel('mmcv', VERSION)


def test_folder_of_wheels(setup_env, tmp_path, monkeypatch):
    monkeypatch.setenv('FIND_LINKS', str(tmp_path))
    assert setup_env.given_wheel('mmcv', VERSION) is None
    (tmp_path / FITTING.replace(TAG, 'cp38')).touch()
    with pytest.raises(setup_env.SetupError, match='no wheel given fits'):
        setup_env.given_wheel('mmcv', VERSION)
    (tmp_path / FITTING).touch()
    assert setup_env.given_wheel('mmcv', VERSION).name == FITTING
    monkeypatch.setenv('FIND_LINKS', str(tmp_path / 'absent'))
    with pytest.raises(setup_env.SetupError, match='no such folder'):
        setup_env.given_wheel('mmcv', VERSION)


def test_wheel_that_does_not_work_is_removed_again(environment, setup_env, tmp_path, monkeypatch):
    wheel = tmp_path / FITTING
    wheel.touch()
    monkeypatch.setenv('MMCV_WHEEL', str(wheel))
    commands = []
    monkeypatch.setattr(setup_env, 'run', lambda command, *args, **kwargs: commands.append(command))
    monkeypatch.setattr(
        environment,
        'query',
        lambda code: subprocess.CompletedProcess([], 1, '', 'ImportError: undefined symbol: x'),
    )
    with pytest.raises(setup_env.SetupError, match='undefined symbol') as failure:
        setup_env.install_compiled(environment, 'mmcv', lock=-1)
    assert f'torch {setup_env.pinned("torch")}' in str(failure.value)
    assert commands[0][-1] == str(wheel)
    assert commands[-1][-3:] == ['uninstall', '-y', 'mmcv']


BUILDER = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location('setup_env', sys.argv[1])
setup_env = importlib.util.module_from_spec(spec)
spec.loader.exec_module(setup_env)
environment = setup_env.Environment(Path(sys.argv[2]))
print(setup_env.build_wheel(environment, 'mmcv', Path(sys.argv[3]), {'MAX_JOBS': '2'}))
"""
# Stands in for `python -m pip wheel ... -w folder ...`: half a wheel first, a whole one later.
COMPILER = """#!/bin/bash
while [ "$1" != -w ]; do shift; done
echo '[7/10] c++ -c file.cpp'
echo half > "$2/{wheel}"
if [ ! -e "{again}" ]; then touch "{again}"; echo $$ > "{pid}"; exec sleep 60; fi
echo whole > "$2/{wheel}"
"""


def cmdline(pid: Path) -> bytes:
    """Command line of a process; empty when it has ended, even if nobody has waited for it."""
    try:
        return Path('/proc', pid.read_text().strip(), 'cmdline').read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b''


def test_killed_compilation_leaves_nothing_behind(repo_root, tmp_path):
    folder, again, pid = tmp_path / 'cache', tmp_path / 'again', tmp_path / 'pid'
    folder.mkdir()
    compiler = tmp_path / 'venv' / 'bin' / 'python'
    compiler.parent.mkdir(parents=True)
    compiler.write_text(COMPILER.format(wheel=FITTING, again=again, pid=pid))
    compiler.chmod(0o755)
    tool = repo_root / 'tools' / 'setup_env.py'
    command = [sys.executable, '-c', BUILDER, tool, tmp_path / 'venv', folder]

    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text().strip()):
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.05)
    first.kill()
    first.wait()
    assert list(folder.glob('*.whl')) == []
    while cmdline(pid):
        assert time.monotonic() < deadline, 'the compiler outlives the set-up'
        time.sleep(0.05)

    second = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert second.returncode == 0, second.stderr
    assert 'compiling mmcv 2.1.0 with its ops' in second.stdout
    assert '7 of 10 files' in second.stdout
    assert (folder / FITTING).read_text() == 'whole\n'
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []

    third = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert 'already compiled' in third.stdout


def test_failed_compilation_shows_the_log(environment, setup_env, tmp_path):
    environment.python.write_text('#!/bin/bash\necho fatal error: no such header\nexit 3\n')
    environment.python.chmod(0o755)
    with pytest.raises(setup_env.SetupError, match='did not compile') as failure:
        setup_env.build_wheel(environment, 'mmcv', tmp_path / 'cache', {'MAX_JOBS': '2'})
    assert 'no such header' in str(failure.value)
    log = tmp_path / 'cache' / 'mmcv.log'
    assert str(log) in str(failure.value)
    assert 'no such header' in log.read_text()


def test_missing_compiler_is_named_with_its_remedy(setup_env, tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CXX', raising=False)
    with pytest.raises(setup_env.SetupError, match='apt-get install build-essential'):
        setup_env.require_compiler()


# ---------------------------------------------------------------- pins


def test_every_requirement_is_pinned_within_its_range(repo_root):
    check_env = load_tool(repo_root / 'tools' / 'check_env.py')
    pins: dict[str, list[str]] = {}
    for line in (repo_root / 'requirements' / 'constraints.txt').read_text().splitlines():
        if line and not line.startswith('#'):
            name, version = line.split(';')[0].split('==')
            pins.setdefault(name, []).append(version.strip())
    for path in (repo_root / 'requirements').glob('*.txt'):
        if path.stem == 'constraints':
            continue
        for name, specifier in check_env.read_requirements(path.stem):
            assert name in pins, f'{name} of {path.name} is not pinned'
            for version in pins[name]:
                assert check_env.satisfies(version, specifier), (name, version, specifier)
    # These hold back setuptools, requests and rich.
    assert not {'openmim', 'openxlab', 'opendatalab'} & pins.keys()


# ---------------------------------------------------------------- make


def make(repo_root: Path, *arguments: str) -> subprocess.CompletedProcess:
    ours = ('MAKEFLAGS', 'MAKELEVEL', 'MFLAGS', 'PYTHON', 'VENV', 'BASE_PYTHON')
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    return subprocess.run(
        ['make', *arguments], capture_output=True, text=True, env=kept, cwd=repo_root
    )


def test_make_without_target_lists_the_targets(repo_root):
    answer = make(repo_root)
    assert answer.returncode == 0
    for target in ('make setup', 'make demo', 'make test', 'make wheel', 'make check-env'):
        assert target in answer.stdout


def test_make_refuses_an_unusable_interpreter(repo_root):
    answer = make(repo_root, 'environment', 'BASE_PYTHON=/bin/false')
    assert answer.returncode != 0
    assert '/bin/false is not a working Python 3.10 to 3.12' in answer.stderr
    assert 'apt-get install' in answer.stderr


@pytest.mark.parametrize('target', ['demo', 'test', 'test-fast', 'lint'])
def test_targets_check_the_environment_first(repo_root, target):
    assert 'tools/setup_env.py' in make(repo_root, '-n', target).stdout
    own = make(repo_root, '-n', target, 'VENV=/some/environment').stdout
    assert 'tools/setup_env.py' not in own
    assert own.startswith('"/some/environment/bin/python" tools/check_env.py --quiet')


# ---------------------------------------------------------------- wheel and source archive


@pytest.fixture(scope='module')
def source(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout as it is committed."""
    ignored = shutil.ignore_patterns(
        '.*', '__pycache__', '*.egg-info', 'build', 'dist', 'work_dirs'
    )
    copy = tmp_path_factory.mktemp('source') / 'uniformer_mm'
    copy.mkdir()
    for path in repo_root.iterdir():
        if path.is_file() and not path.name.startswith('.'):
            shutil.copy2(path, copy)
    for folder in ('configs', 'docs', 'requirements', 'tests', 'tools', 'uniformer_mm'):
        shutil.copytree(repo_root / folder, copy / folder, ignore=ignored)
    return copy


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()}


def test_wheel_carries_configs_tools_and_index(source, tmp_path):
    command = [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-index']
    command += ['--no-build-isolation', '--wheel-dir', str(tmp_path), str(source)]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob('uniformer_mm-*-py3-none-any.whl')
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(n for n in names if n.endswith('/METADATA'))).decode()

    mim = {name.removeprefix('uniformer_mm/.mim/') for name in names if '/.mim/' in name}
    expected = {'model-index.yml'}
    for folder in ('configs', 'requirements', 'tools'):
        expected |= {f'{folder}/{name}' for name in files_below(source / folder)}
    assert mim == expected
    code = {f'uniformer_mm/{name}' for name in files_below(source / 'uniformer_mm')}
    assert code <= names
    assert not (source / 'uniformer_mm' / '.mim').exists()
    assert {name.split('/')[0].split('-')[0] for name in names} == {'uniformer_mm'}

    for extra in ('lite', 'cls', 'det', 'seg', 'pose', 'video', 'all', 'dev'):
        assert f'Provides-Extra: {extra}\n' in metadata
    core = [line for line in metadata.splitlines() if line.startswith('Requires-Dist')]
    core = ' '.join(line for line in core if 'extra ==' not in line)
    assert 'torch>=' in core and 'mmengine' in core
    assert 'mmcv' not in core and 'mmpretrain' not in core


def test_source_archive_is_complete(source, tmp_path):
    code = f'import setuptools.build_meta as b; b.build_sdist({str(tmp_path)!r})'
    subprocess.run([sys.executable, '-c', code], cwd=source, check=True, capture_output=True)
    (archive,) = tmp_path.glob('*.tar.gz')
    with tarfile.open(archive) as tar:
        names = {name.partition('/')[2] for name in tar.getnames()}
    for folder in ('configs', 'requirements', 'tests', 'tools', 'uniformer_mm'):
        assert {f'{folder}/{name}' for name in files_below(source / folder)} <= names
    assert {'LICENSE', 'README.md', 'setup.py', 'pyproject.toml', 'model-index.yml'} <= names
