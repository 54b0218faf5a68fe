"""Running tools in processes that need not import the libraries again.

The imports of a tool take longer than most of what the tests let it do. A server process has
imported everything and forks for each run; apart from the imports, the run is that of a shell:
arguments, environment and folder of its own, what it prints, and its exit status.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

REPO = Path(__file__).resolve().parents[2]
# uniformer_mm first: mmaction's wheel cannot be imported without it.
MODULES = (
    *('uniformer_mm', 'uniformer_mm.cli', 'uniformer_mm.datasets', 'uniformer_mm.engine'),
    *('mmengine.runner', 'mmpretrain.apis', 'mmdet.apis', 'mmseg.apis', 'mmpose.apis'),
    'mmaction.apis',
)
_context = multiprocessing.get_context('forkserver')


def _start_server() -> None:
    """Start the server, unless it runs."""
    _context.set_forkserver_preload(list(MODULES))
    with mock.patch.dict(os.environ, PYTHONPATH=str(REPO)):
        forkserver.ensure_running()


class Forked:
    """A tool that runs.

    Args:
        script: Path of the script.
        args: Its arguments.
        env: Changes to the environment.
        cwd: Folder to run in. Defaults to this process's.
    """

    def __init__(
        self,
        script: str | Path,
        *args: object,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
    ) -> None:
        self.args = [str(script), *map(str, args)]
        self._out = tempfile.TemporaryDirectory()
        self._files = [Path(self._out.name) / name for name in ('stdout', 'stderr')]
        for file in self._files:
            file.touch()  # it may be killed before it prints anything
        env = {**os.environ, 'PYTHONPATH': str(REPO), **(env or {})}
        _start_server()
        target = (self.args, self._files, env, str(cwd or Path.cwd()))
        self.process = _context.Process(target=_run, args=target)
        self.process.start()
        self.pid = self.process.pid

    def kill(self, sent: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the tool alone, not to its data workers."""
        os.kill(self.pid, sent)

    def output(self) -> str:
        """What it has printed so far."""
        return self._files[0].read_text() if self._files[0].exists() else ''

    def wait(self, timeout: float | None = None) -> subprocess.CompletedProcess:
        """Its end; after ``timeout`` seconds it is killed, with all that it has started.

        Raises:
            subprocess.TimeoutExpired: If it had to be killed.
        """
        self.process.join(timeout)
        if self.process.exitcode is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.join()
            raise subprocess.TimeoutExpired(self.args, timeout)
        out, err = (file.read_text(errors='replace') for file in self._files)
        self._out.cleanup()
        return subprocess.CompletedProcess(self.args, self.process.exitcode, out, err)


def _run(args: list[str], files: list[Path], env: dict[str, str], cwd: str) -> None:
    gc.freeze()  # what the server has imported is no garbage
    os.setsid()
    for number, file in enumerate(files, start=1):
        with file.open('wb') as stream:
            os.dup2(stream.fileno(), number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = args
    sys.path[0:0] = [str(Path(args[0]).parent), str(REPO)]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server ignores it
    runpy.run_path(args[0], run_name='__main__')


def run_forked(
    script: str | Path, *args: object, timeout: float | None = None, **kwargs
) -> subprocess.CompletedProcess:
    """Run a tool to its end; arguments as of :class:`Forked`."""
    return Forked(script, *args, **kwargs).wait(timeout)


def run_ranks(
    script: str | Path,
    *args: object,
    ranks: int = 2,
    env: Mapping[str, str] | None = None,
    timeout: float | None = 300,
    **kwargs,
) -> list[subprocess.CompletedProcess]:
    """Run a tool in several processes that meet over gloo, as torchrun's do; one end for each."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    meet = {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port), 'WORLD_SIZE': str(ranks)}
    env = {'CUDA_VISIBLE_DEVICES': '', **meet, **(env or {})}
    started = [
        Forked(
            *(script, *args, '--launcher', 'pytorch'),
            env={**env, 'RANK': str(rank), 'LOCAL_RANK': str(rank)},
            **kwargs,
        )
        for rank in range(ranks)
    ]
    return [rank.wait(timeout) for rank in started]
