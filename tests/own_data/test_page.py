"""What docs/own_data.md tells to write and type, on small sets of real photographs, elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from own_data import TASKS, Task, config_of, write_project


@pytest.fixture
def train(tmp_path, monkeypatch, run_main) -> Callable[..., object]:
    """Train in a folder of its own by the config of a section; gives what the tool exits with."""

    def run(task: Task, change: Callable[[str], str] = str) -> object:
        monkeypatch.chdir(tmp_path)
        options = write_project(task, tmp_path, change)
        return run_main('tools/train.py', f'{task.config}.py', *options)

    return run


@pytest.mark.parametrize('task', TASKS.values(), ids=TASKS)
def test_config_of_the_page_trains(task, train, tmp_path) -> None:
    assert len(config_of(task.config).splitlines()) <= 20
    assert train(task) == 0
    assert list((tmp_path / 'work_dirs' / task.config).glob('*.pth'))
