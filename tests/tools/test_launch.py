"""tools/launch.py starts processes, and starts them anew; here they do no more than end."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import Forked, run_forked

# The arguments say how the process of a rank ends in an attempt: 0:1=kill. The rest ends well once
# a second has passed.
WORKER = """
import os, signal, sys, time
from pathlib import Path

name = '{TORCHELASTIC_RESTART_COUNT}:{RANK}'.format(**os.environ)
signal.signal(signal.SIGTERM, lambda *args: sys.exit(75))
Path(__file__).with_name(name).touch()
end = dict(argument.split('=') for argument in sys.argv[1:]).get(name)
time.sleep(60 if end == 'wait' else 0 if end else 1)
if end == 'kill':
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(end or 0))
"""

ORPHAN = """
import os, sys, time
from pathlib import Path
from uniformer_mm.cli.runtime import _end_with_launcher

if child := os.fork():
    while not Path(sys.argv[1]).exists():
        time.sleep(0.01)
    os.kill(os.getpid(), 9)
_end_with_launcher()
Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(60)
"""


@pytest.fixture
def launch(repo_root, tmp_path) -> Callable[..., Forked]:
    """Launch two processes that end as is said."""
    script = tmp_path / 'worker.py'
    script.write_text(WORKER)

    def start(*ends: str, gpus: object = 2, **env: object) -> Forked:
        env = {name: str(value) for name, value in env.items()}
        return Forked(repo_root / 'tools/launch.py', gpus, script, *ends, env=env)

    return start


def started(folder: Path) -> list[str]:
    """Attempt and rank of every process that was started."""
    return sorted(path.name for path in folder.glob('?:?'))


def test_all_start_anew_when_one_is_killed(launch, tmp_path):
    run = launch('0:0=kill', '1:1=kill', RESTARTS=2).wait(60)
    assert run.returncode == 0, run.stderr
    assert started(tmp_path) == [f'{attempt}:{rank}' for attempt in range(3) for rank in range(2)]
    assert run.stderr.count('Ended by SIGKILL: all start anew') == 2


@pytest.mark.parametrize(
    ('ends', 'status', 'attempts', 'said'),
    [
        (['0:1=1'], 1, 1, ''),  # an error that would come again
        (['0:0=75', '0:1=75'], 75, 1, ''),  # told to stop
        (['0:0=69', '0:1=69'], 0, 2, 'The processes lost each other: all start anew'),
        (['0:0=kill', '1:0=kill'], 1, 2, 'error: Ended by SIGKILL (RESTARTS=1). Go on with'),
    ],
)
def test_what_is_worth_another_attempt(launch, tmp_path, ends, status, attempts, said):
    run = launch(*ends, RESTARTS=1).wait(60)
    assert run.returncode == status, run.stderr
    assert started(tmp_path)[-1] == f'{attempts - 1}:1'
    assert said in run.stderr


def test_signals_reach_all_processes(launch, tmp_path):
    run = launch('0:0=wait', '0:1=wait')
    while len(started(tmp_path)) < 2:
        time.sleep(0.05)
    run.kill(signal.SIGTERM)
    assert run.wait(30).returncode == 75
    assert len(started(tmp_path)) == 2


def machines(count: int = 2) -> list[dict[str, object]]:
    """Variables of several machines, of which all are this one."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    common = dict(NNODES=count, MASTER_ADDR='127.0.0.1', PORT=port, TIMEOUT=20)
    return [dict(common, NODE_RANK=number) for number in range(count)]


def test_machines_start_anew_together(launch, tmp_path):
    runs = [launch('0:3=kill', '1:0=69', '1:1=69', **variables) for variables in machines()]
    for run in [run.wait(60) for run in runs]:
        assert run.returncode == 0, run.stderr
    assert started(tmp_path) == [f'{attempt}:{rank}' for attempt in range(3) for rank in range(4)]


def test_an_error_on_one_machine_ends_the_others(launch, tmp_path):
    runs = [launch('0:1=1', '0:2=69', '0:3=69', **variables) for variables in machines()]
    assert [run.wait(60).returncode for run in runs] == [1, 1]
    assert started(tmp_path)[-1] == '0:3'


@pytest.mark.parametrize(
    ('variables', 'said'),
    [
        ({'NNODES': 2}, 'NNODES=2: set MASTER_ADDR'),
        ({'NNODES': 'two'}, 'NNODES=two: expected a whole number >= 1'),
        ({'NNODES': 2, 'MASTER_ADDR': 'a', 'NODE_RANK': 2}, 'NODE_RANK=2: expected a whole number'),
        ({'TIMEOUT': 0}, 'TIMEOUT=0: expected a whole number >= 1'),
        ({'gpus': 'all'}, 'GPUS: expected a number of processes, got all'),
    ],
)
def test_wrong_variables(launch, tmp_path, variables, said):
    run = launch(**variables).wait(30)
    assert run.returncode == 2
    assert run.stderr.strip().splitlines()[-1].startswith(f'error: {said}')
    assert started(tmp_path) == []


def test_machines_that_do_not_fit(launch, tmp_path):
    first, second = machines()
    missing = launch(**{**second, 'TIMEOUT': 1}).wait(60)
    assert 'did not answer within TIMEOUT=1 s: start the script with NODE_RANK=0' in missing.stderr
    alone = launch(**{**first, 'TIMEOUT': 1}).wait(60)
    assert 'error: NODE_RANK 1 did not answer within 1 s: start the script there.' in alone.stderr
    one, other = (launch(**{**first, 'TIMEOUT': 3}), launch(**{**second, 'TIMEOUT': 3}, gpus=1))
    runs = [one.wait(60), other.wait(60)]
    assert any("'GPUS': 1" in run.stderr and 'the same on all' in run.stderr for run in runs)
    assert all(run.returncode == 1 for run in (missing, alone, *runs))
    assert started(tmp_path) == []


@pytest.mark.skipif(not Path('/proc').is_dir(), reason='of Linux')
def test_processes_end_with_their_launcher(tmp_path):
    script, file = tmp_path / 'orphan.py', tmp_path / 'pid'
    script.write_text(ORPHAN)
    assert run_forked(script, file, timeout=30).returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while Path('/proc', file.read_text()).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)
