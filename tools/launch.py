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
from datetime import timedelta
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
        self.error, self.open = DistError, TCPStore
        self.is_first = settings.machine == 0
        try:
            self.store = self._store(settings.port)
        except DistError as error:
            text = str(error).splitlines()[0]
            if self.is_first:
                stop(f'PORT={settings.port} cannot be used on this machine: {text}')
            stop(
                f'MASTER_ADDR={settings.address} PORT={settings.port} did not answer within '
                f'TIMEOUT={settings.timeout} s: start the script with NODE_RANK=0 there. {text}'
            )
        self._meet(dict(NNODES=settings.machines, GPUS=processes, RESTARTS=settings.restarts))

    def _store(self, port: int, first: bool | None = None):
        timeout = timedelta(seconds=self.settings.timeout)
        first = self.is_first if first is None else first
        return self.open(
            self.settings.address, port, is_master=first, wait_for_workers=False, timeout=timeout
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
        self.hear('here', 'start the script there')

    def tell(self, key: str, value: object) -> None:
        """Let the other machines know."""
        self.store.set(f'{key} {self.settings.machine}', json.dumps(value))

    def hear(self, key: str, hint: str, seconds: int | None = None) -> list:
        """What each machine has told; those that do not answer end the run."""
        keys = {f'{key} {machine}': machine for machine in range(self.settings.machines)}
        seconds = seconds or self.settings.timeout
        try:
            self.store.wait(list(keys), timedelta(seconds=seconds))
            return [json.loads(self.store.get(key)) for key in keys]
        except self.error:
            with contextlib.suppress(self.error):
                silent = [str(keys[key]) for key in keys if not self.store.check([key])]
                stop(f'NODE_RANK {", ".join(silent)} did not answer within {seconds} s: {hint}.')
            stop(f'The first machine ({self.settings.address}) has gone.')

    def open_attempt(self, attempt: int) -> int:
        """A new port for the processes of all machines to meet at."""
        if self.is_first:
            self.meeting = self._store(0)
            self.store.set(f'port {attempt}', str(self.meeting.port))
        return int(self.store.get(f'port {attempt}'))

    def agree(self, attempt: int, codes: list[int]) -> list[int]:
        """The exit statuses of the processes of all machines."""
        failed = any(codes)
        if failed:
            self.store.set(f'failed {attempt}', '')
        self.tell(f'codes {attempt}', codes)
        hint = 'it may be down'
        all_codes = self.hear(f'codes {attempt}', hint, 3 * GRACE + 30 if failed else None)
        self.tell(f'heard {attempt}', 0)
        if self.is_first:  # the store must live until all have read it
            self.hear(f'heard {attempt}', hint, 3 * GRACE)
        return sum(all_codes, [])

    def has_failed(self, attempt: int) -> bool:
        """Whether another machine has lost a process in this attempt."""
        try:
            return self.settings.machines > 1 and self.store.check([f'failed {attempt}'])
        except self.error:  # the first machine has gone
            return True


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

    def wait(self, has_failed) -> list[int]:
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
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # data workers too
            process.wait()
        self.running = []
        if self.stopped_by and any(codes) and SAVED not in codes:
            return [128 + self.stopped_by]
        return codes


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


def main() -> None:
    settings = Settings.read()
    count, *command = sys.argv[1:]
    if not count.isdecimal() or int(count) < 1:
        stop(f'GPUS: expected a number of processes, got {count}.', status=2)
    count = int(count)
    processes = Processes()
    machines = Machines(settings, count)
    for attempt in range(settings.restarts + 1):
        port = machines.open_attempt(attempt)
        environment = {
            'MASTER_ADDR': settings.address,
            'MASTER_PORT': str(port),
            'WORLD_SIZE': str(settings.machines * count),
            'LOCAL_WORLD_SIZE': str(count),
            'RANK': str(settings.machine * count),
            'TORCHELASTIC_USE_AGENT_STORE': 'True',
            'TORCHELASTIC_RESTART_COUNT': str(attempt),
        }
        processes.start(command, count, environment)
        codes = processes.wait(lambda attempt=attempt: machines.has_failed(attempt))
        codes = machines.agree(attempt, codes)
        status = verdict(codes)
        if status is not None:
            sys.exit(status)
        killed = sorted({signal.Signals(-code).name for code in codes if code < 0})
        cause = f'Ended by {", ".join(killed)}' if killed else 'The processes lost each other'
        if attempt < settings.restarts:
            times = f'RESTARTS: {attempt + 1} of {settings.restarts}'
            print(f'{cause}: all start anew ({times}).', file=sys.stderr, flush=True)
    stop(f'{cause} (RESTARTS={settings.restarts}). Train on with --resume.')


if __name__ == '__main__':
    main()
