"""tools/check_env.py: the table, the verdict and the commands it gives."""

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def check_env(repo_root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location('check_env', repo_root / 'tools' / 'check_env.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def versions(check_env: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What seems to be installed, to be changed by the test; nothing is really imported."""
    pins = (check_env.ROOT / 'requirements' / 'constraints.txt').read_text().splitlines()
    found = dict(pin.split(' ;')[0].split('==') for pin in pins if '==' in pin)
    del found['mmcv-lite'], found['opencv-python-headless']
    found['uniformer-mm'] = '0.1.0'
    monkeypatch.setattr(check_env, 'installed_version', found.get)
    facts = 'CUDA|no GPU\ngloo|works\nnccl|no GPU'
    monkeypatch.setattr(check_env, 'probe', lambda code: (True, facts))
    return found


def bad_rows(check_env: ModuleType, *tasks: str) -> dict[str, str]:
    rows = check_env.collect(list(tasks))
    return {row.name: row.state for row in rows if row.required and row.state != 'ok'}


@pytest.mark.slow
def test_this_environment_is_complete(run_tool):
    answer = run_tool('tools/check_env.py')
    assert answer.returncode == 0, answer.stdout + answer.stderr
    rows = {line.split('  ')[0]: line for line in answer.stdout.splitlines()}
    assert f'{importlib.metadata.version("torch")} ' in rows['torch']
    assert 'nms works: CPU' in rows['mmcv ops']
    assert 'works' in rows['gloo']
    assert '>=3.10,<3.13' in rows['Python']
    for name in ('CUDA', 'nccl', 'mmdet', 'mmsegmentation', 'mmpose', 'mmaction2', 'pytest'):
        assert name in rows
    assert sys.executable in answer.stdout


def test_bare_interpreter_gets_the_commands(repo_root):
    tool = repo_root / 'tools' / 'check_env.py'
    answer = subprocess.run(
        [sys.executable, '-I', '-S', str(tool), '--tasks', 'det'], capture_output=True, text=True
    )
    assert answer.returncode == 1
    assert 'Traceback' not in answer.stderr
    assert f'{sys.executable} -m pip install' in answer.stdout
    assert 'MMCV_WITH_OPS=1' in answer.stdout
    assert 'mmdet>=3.3.0,<3.4' in answer.stdout
    assert 'mmaction2' not in answer.stdout


def test_only_the_chosen_tasks_count(check_env, versions):
    del versions['mmdet']
    assert bad_rows(check_env, 'cls', 'video') == {}
    assert bad_rows(check_env, 'cls', 'det') == {'mmdet': 'missing'}


def test_classification_accepts_either_mmcv_and_detection_needs_ops(check_env, versions):
    del versions['mmcv']
    assert bad_rows(check_env, 'cls') == {'mmcv-lite': 'missing'}
    versions['mmcv-lite'] = '2.1.0'
    assert bad_rows(check_env, 'cls') == {}
    assert bad_rows(check_env, 'det') == {'mmcv': 'missing'}
    commands = check_env.mending_commands(check_env.collect(['det']))
    assert commands[0].endswith('-m pip uninstall -y mmcv-lite')


def test_any_flavour_of_opencv_counts(check_env, versions):
    del versions['opencv-python']
    versions['opencv-python-headless'] = '5.0.0'
    assert bad_rows(check_env, 'cls') == {}


def test_wrong_version_and_its_remedy(check_env, versions):
    versions['mmcv'] = '2.2.0'
    versions['setuptools'] = '82.0.0'
    rows = check_env.collect(['seg'])
    assert bad_rows(check_env, 'seg') == {'mmcv': 'wrong', 'setuptools': 'wrong'}
    commands = check_env.mending_commands(rows)
    assert any("'setuptools<81'" in command for command in commands)
    assert commands[-1].startswith('MMCV_WITH_OPS=1') and "'mmcv>=2.0.0,<2.2'" in commands[-1]


def test_missing_torchvision_does_not_replace_torch(check_env, versions):
    versions['torch'] = '2.4.1'
    del versions['torchvision']
    (command,) = check_env.mending_commands(check_env.collect(['cls']))
    assert command.endswith("'torchvision==0.19.*'")


@pytest.mark.parametrize(
    ('version', 'specifier', 'expected'),
    [
        ('2.11.0+cpu', '>=2.1', True),
        ('2.0.1', '>=2.1', False),
        ('1.2', '>=1.2.0,<1.3', True),
        ('1.3.0', '>=1.2.0,<1.3', False),
        ('80.10.2', '<81', True),
        ('0.10.7', '>=0.10.7,<0.11', True),
        ('1.0', '', True),
    ],
)
def test_ranges(check_env, version, specifier, expected):
    assert check_env.satisfies(version, specifier) is expected
