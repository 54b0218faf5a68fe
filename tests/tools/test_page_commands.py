"""The commands of the pages run in a process of their own, which tests of others do not share.

The libraries behind them take over loggers and the standard error of their process.
"""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_every_command_of_the_pages_runs(repo_root: Path) -> None:
    command = [sys.executable, '-m', 'pytest', '-q', '-n0', '-p', 'no:cacheprovider', '--tb=short']
    file = 'tests/tools/commands_of_pages.py'
    done = subprocess.run([*command, file], cwd=repo_root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-9000:] + done.stderr[-1000:]
    assert ' passed' in done.stdout
