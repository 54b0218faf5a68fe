"""Start the processes of a run on this machine, and all of them anew when one is lost.

tools/dist_train.sh and tools/dist_test.sh call it, and say which variables it reads. It starts the
processes with the variables that torchrun sets. Where torchrun restarts the processes of a machine
under a rendezvous that goes on, here every attempt begins from nothing: all processes on all
machines have ended, the new ones meet at a new port, and they resume from the newest checkpoint.

It imports no more than it must: the processes take the time and the memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import NamedTuple

# When a process has failed, the others have this many seconds to say why they fail too.
GRACE = 10
# With this status a process ends that has lost the others, with this one if it was told to stop
# and has saved a checkpoint.
LOST, SAVED = os.EX_UNAVAILABLE, os.EX_TEMPFAIL


class Settings(NamedTuple):
    """The variables."""

    machines: int
    machine: int
    address: str
    port: int
    restarts: int
    timeout: int

    @classmethod
    def read(cls) -> Settings:
        """Read them from the environment; a wrong one ends the program."""

        def number(name: str, default: int, least: int, most: float = float('inf')) -> int:
            value = os.environ.get(name) or str(default)
            if not value.isdecimal() or not least <= int(value) <= most:
                limit = f'from {least} to {most}' if most < float('inf') else f'>= {least}'
                stop(f'{name}={value}: expected a whole number {limit}.', status=2)
            return int(value)

        machines = number('NNODES', 1, 1)
        address = os.environ.get('MASTER_ADDR') or '127.0.0.1'
        if machines > 1 and not os.environ.get('MASTER_ADDR'):
            stop(
                f'NNODES={machines}: set MASTER_ADDR to the address of the machine with '
                'NODE_RANK=0.',
                status=2,
            )
        return cls(
            machines,
            number('NODE_RANK', 0, 0, machines - 1),
            address,
            number('PORT', 0 if machines == 1 else 29500, 0, 65535),
            number('RESTARTS', 3, 0),
            number('TIMEOUT', 1800, 1),
        )


def stop(message: str, status: int = 1) -> None:
    """End the program with a message."""
    print(f'error: {message}', file=sys.stderr)
    sys.exit(status)


class Machines:
    """What the machines tell each other, through a store on the first one.

    Args:
        settings: The variables.
        processes: How many this machine starts.
    """

    def __init__(self, settings: Settings, processes: int) -> None:
        from torch.distributed import DistError, TCPStore

        self.settings = settings
        self.error, self.new_store = DistError, TCPStore
        self.is_first = settings.machine == 0
        self.store = self._open() if self.is_first else self._join()
        self._meet(dict(NNODES=settings.machines, GPUS=processes, RESTARTS=settings.restarts))

    def _open(self):
        try:
            return self._new_store(self.settings.port, True)
        except self.error as error:
            text = str(error).splitlines()[0]
            stop(f'PORT={self.settings.port} cannot be used on this machine: {text}')

    def _join(self):
        settings = self.settings
        deadline = time.monotonic() + settings.timeout
        while True:
            try:
                return self._new_store(settings.port, False)
            except self.error as error:
                if time.monotonic() > deadline:
                    stop(
                        f'MASTER_ADDR={settings.address} PORT={settings.port} did not answer '
                        f'within TIMEOUT={settings.timeout} s: start the script with NODE_RANK=0 '
                        f'there. {str(error).splitlines()[0]}'
                    )

    def _new_store(self, port: int, is_master: bool):
        # Short, because no signal is heard before it has ended.
        timeout = timedelta(seconds=min(30 if is_master else 5, self.settings.timeout))
        return self.new_store(
            self.settings.address,
            port,
            is_master=is_master,
            wait_for_workers=False,
            timeout=timeout,
        )

    def _meet(self, common: dict[str, int]) -> None:
        """See that all machines are there, each once, and agree on what they start."""
        mine = self.settings.machine
        if self.store.add(f'machine {mine}', 1) > 1:
            stop(
                f'NODE_RANK={mine} has been taken: give every machine its own number. A machine '
                'that was started anew can join only when all are.'
            )
        found = json.loads(self.store.compare_set('common', '', json.dumps(common)))
        if found != common:
            stop(f'This machine has {common}, another {found}: they must be the same on all.')
        self.tell('here', 0)
        self.hear('here', self.settings.timeout, 'start the script there')

    def tell(self, key: str, value: object) -> None:
        """Let the other machines know."""
        self.store.set(f'{key} {self.settings.machine}', json.dumps(value))

    def hear(self, key: str, seconds: int, hint: str = 'it may be down') -> list:
        """What each machine has told; one that does not answer ends the run."""
        deadline = time.monotonic() + seconds
        while silent := [
            str(machine)
            for machine in range(self.settings.machines)
            if not self.store.check([f'{key} {machine}'])
        ]:
            if time.monotonic() > deadline:
                stop(f'NODE_RANK {", ".join(silent)} did not answer within {seconds} s: {hint}.')
            time.sleep(0.1)
        machines = range(self.settings.machines)
        return [json.loads(self.store.get(f'{key} {machine}')) for machine in machines]

    def open_attempt(self, attempt: int) -> int:
        """A new port for the processes of all machines to meet at."""
        if self.is_first:
            self.meeting = self._new_store(0, True)
            self.store.set(f'port {attempt}', str(self.meeting.port))
        return int(self.store.get(f'port {attempt}'))

    def has_failed(self, attempt: int) -> bool:
        """Whether a machine has lost a process in this attempt."""
        return self.store.check([f'failed {attempt}'])

    def agree(self, attempt: int, codes: list[int]) -> list[int]:
        """The exit statuses of the processes of all machines."""
        if any(codes):
            self.store.set(f'failed {attempt}', '')
        self.tell(f'codes {attempt}', codes)
        # The others need no longer than this one where something has failed.
        short = 6 * GRACE
        all_codes = self.hear(f'codes {attempt}', short if any(codes) else self.settings.timeout)
        self.tell(f'heard {attempt}', 0)
        if self.is_first:  # the store must live until all have read it
            self.hear(f'heard {attempt}', short)
        return sum(all_codes, [])


class Processes:
    """The processes of this machine; signals to this program reach them."""

    def __init__(self) -> None:
        self.running: list[subprocess.Popen] = []
        self.stopped_by = 0
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, self._pass_on)

    def _pass_on(self, number: int, frame: object) -> None:
        if not self.running:
            sys.exit(128 + number)
        # The first time they may save and clean up.
        for process in self.running:
            process.send_signal(signal.SIGKILL if self.stopped_by else number)
        self.stopped_by = number

    def start(self, command: list[str], count: int, environment: dict[str, str]) -> None:
        """Start them, with a number each."""
        first = int(environment['RANK'])
        for local in range(count):
            numbers = {'RANK': str(first + local), 'LOCAL_RANK': str(local)}
            # In a session of its own, Ctrl-C reaches it once, from here, and what it leaves behind
            # can be found.
            self.running.append(
                subprocess.Popen(
                    [sys.executable, *command],
                    env={**os.environ, **environment, **numbers},
                    start_new_session=True,
                )
            )

    def wait(self, has_failed: Callable[[], bool]) -> list[int]:
        """Wait until all have ended, and end those that do not while others fail.

        Args:
            has_failed: Says whether the run has failed elsewhere.

        Returns:
            The statuses of those that ended by themselves.
        """
        deadline = float('inf')
        while time.monotonic() < deadline:
            codes = [code for p in self.running if (code := p.poll()) is not None]
            if len(codes) == len(self.running):
                break
            failed = any(code not in (0, SAVED) for code in codes) or has_failed()
            if failed and not self.stopped_by:
                deadline = min(deadline, time.monotonic() + GRACE)
            time.sleep(0.1)
        self.end()
        if self.stopped_by and any(codes) and SAVED not in codes:
            return [128 + self.stopped_by]
        return codes

    def end(self) -> None:
        """Kill what is left of them."""
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # data workers too
            process.wait()
        self.running = []


def verdict(codes: list[int]) -> int | None:
    """The exit status of the run, or None if it should be started anew.

    A process that was killed, and processes that have lost each other, may do better next time. An
    error that a process reports would come again.
    """
    if SAVED in codes:
        return SAVED
    if any(code < 0 for code in codes) or LOST in codes and set(codes) <= {0, LOST}:
        return None
    return max((code for code in codes if code != LOST), default=None)


def run(
    settings: Settings, machines: Machines, processes: Processes, count: int, command: list[str]
) -> None:
    """Start the processes until they end well, or fail once too often."""
    for attempt in range(settings.restarts + 1):
        environment = {
            'MASTER_ADDR': settings.address,
            'MASTER_PORT': str(machines.open_attempt(attempt)),
            'WORLD_SIZE': str(settings.machines * count),
            'LOCAL_WORLD_SIZE': str(count),
            'RANK': str(settings.machine * count),
            'TORCHELASTIC_USE_AGENT_STORE': 'True',
            'TORCHELASTIC_RESTART_COUNT': str(attempt),
        }
        processes.start(command, count, environment)
        codes = processes.wait(partial(machines.has_failed, attempt))
        codes = machines.agree(attempt, codes)
        status = verdict(codes)
        if status is not None:
            sys.exit(status)
        killed = sorted({signal.Signals(-code).name for code in codes if code < 0})
        cause = f'Ended by {", ".join(killed)}' if killed else 'The processes lost each other'
        if attempt < settings.restarts:
            times = f'RESTARTS: {attempt + 1} of {settings.restarts}'
            print(f'{cause}: all start anew ({times}).', file=sys.stderr, flush=True)
    stop(f'{cause} (RESTARTS={settings.restarts}). Go on with --resume.')


def main() -> None:
    settings = Settings.read()
    count, *command = sys.argv[1:]
    if not count.isdecimal() or int(count) < 1:
        stop(f'GPUS: expected a number of processes, got {count}.', status=2)
    processes = Processes()
    machines = Machines(settings, int(count))
    try:
        run(settings, machines, processes, int(count), command)
    except machines.error:
        processes.end()
        stop(f'The first machine ({settings.address}) has gone.')


if __name__ == '__main__':
    main()
