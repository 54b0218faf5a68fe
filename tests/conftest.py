"""Fixtures shared by all tests."""

import gc
import logging
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

import uniformer_mm  # noqa: F401  (registers everything and repairs third-party packages)

# For each base of a library's, mmengine reads all metafiles of that library.
Config._get_cfg_path = staticmethod(cache(Config._get_cfg_path))

REPO = Path(__file__).resolve().parents[1]
HELPERS = Path(__file__).resolve().parent / 'helpers'
sys.path[:0] = [
    str(HELPERS),
    *(str(REPO / 'tools' / name) for name in ('demo', 'inference', 'visualization')),
]


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """The checkout."""
    return REPO


@pytest.fixture(scope='session')
def golden_imagenet() -> dict:
    """Outputs of the original classification networks on seeded weights."""
    from golden import read_golden

    return read_golden('imagenet')


@pytest.fixture(scope='session')
def golden_dense() -> dict:
    """Outputs of the original dense backbones on seeded weights."""
    from golden import read_golden

    return read_golden('dense')


@pytest.fixture(scope='session')
def golden_video() -> dict:
    """Outputs of the original video networks on seeded weights, and their sampling rules."""
    from golden import read_golden

    return read_golden('video')


@pytest.fixture(scope='session')
def run_tool() -> Callable[..., subprocess.CompletedProcess]:
    """Run a script of the checkout in a process of its own: ``run_tool('tools/train.py', ...)``."""
    from forked import run_forked

    def run(script: str, *args: object, **kwargs) -> subprocess.CompletedProcess:
        return run_forked(REPO / script, *args, **kwargs)

    return run


@pytest.fixture
def log(caplog):
    """What was logged, MMEngine's logger included."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, logger=logger.name)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture
def run_main(monkeypatch, repo_root) -> Callable[..., object]:
    """Run a tool inside this process, which saves the imports; returns what it exits with."""
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')

    def run(script: str, *args: object) -> object:
        monkeypatch.setattr(sys, 'argv', [script, *map(str, args)])
        try:
            runpy.run_path(str(repo_root / script), run_name='__main__')
        except SystemExit as stop:
            return stop.code
        return 0

    return run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let no long file come last, where it would leave the other processes idle."""
    folders = ('tests/tools/', 'tests/configs/', 'tests/models/')
    items.sort(key=lambda item: [folder not in item.nodeid for folder in folders])


@pytest.fixture(autouse=True, scope='module')
def imports_are_no_garbage() -> None:
    """MMEngine collects garbage for each data set: not among a million objects of the libraries."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def plain_config_text(monkeypatch) -> None:
    """MMEngine formats the config of a run for its log, which takes longer than most tests."""
    monkeypatch.setattr(Config, 'pretty_text', property(lambda self: '# left out'))


@pytest.fixture(autouse=True)
def fresh_state() -> Iterator[None]:
    """The same random numbers and no default scope in every test, whatever ran before."""
    torch.manual_seed(0)
    yield
    DefaultScope._instance_dict.clear()  # runners leave theirs behind
