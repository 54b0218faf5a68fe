"""Files that are whole or not there, and folders that one run has to itself."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import UserError

PART = '.part-'
LOCK = '.lock'
_held: dict[Path, int] = {}


@contextmanager
def write_beside(path: str | os.PathLike) -> Iterator[Path]:
    """Give a name beside ``path``, and rename what was written there once it is complete.

    Whoever reads ``path`` finds what was there before or all of the new file, whenever this
    process or its machine stops. If the block raises, nothing is left of it; a process that was
    killed leaves ``.part-PID-NAME``, which :func:`remove_parts` removes.

    Args:
        path: The file to write. Its folder is made; a link keeps its name and its target is
            written.

    Yields:
        The file to write in its place.

    Raises:
        OSError: If it cannot be written.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{PART}{os.getpid()}-{path.name}')
    try:
        yield part
        _flush(part)
        part.replace(path)
        with suppress(OSError):  # not every file system can do it for a folder
            _flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have a file, or the names in a folder, written to the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_parts(folder: str | os.PathLike, *names: str) -> list[Path]:
    """Remove what killed processes left half-written in a folder.

    Args:
        folder: The folder. Nobody may be writing there.
        names: Patterns of the names of the files that were to be written, such as ``'*.pth'``.

    Returns:
        The files that were removed.
    """
    parts = [part for name in names for part in Path(folder).glob(f'{PART}*-{name}')]
    for part in parts:
        part.unlink(missing_ok=True)
    return parts


@contextmanager
def make_once(path: str | os.PathLike) -> Iterator[Path | None]:
    """Let one process make a file that several want; the others wait for it.

    Args:
        path: The file. Its folder is there.

    Yields:
        The file to write in its place, which becomes ``path`` at the end of the block. It may hold
        what was written before the block raised or its process was killed; on a file system that
        has no locks it is new, and nothing is left of it. None if ``path`` is there now.

    Raises:
        OSError: If it cannot be written.
    """
    path = Path(path)
    lock = path.with_name(f'.{path.name}{LOCK}')
    with lock.open('w') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            part, keep = path.with_name(f'{PART}{os.getpid()}-{path.name}'), False
        else:
            part, keep = path.with_name(f'{path.name}.part'), True
        try:
            if path.exists():
                yield None
            else:
                yield part
                _flush(part)
                part.replace(path)
            lock.unlink(missing_ok=True)  # whoever waits for it finds the file
        finally:
            if not keep:
                for file in path.parent.glob(f'{part.name}*'):  # and what was noted beside it
                    file.unlink()


def hold_folder(folder: str | os.PathLike) -> bool:
    """Let no other process hold a folder for as long as this one lives.

    The lock is POSIX's: it ends with the process however that ends, and its children, such as data
    workers, do not prolong it.

    Args:
        folder: The folder, which is made.

    Returns:
        Whether the folder is held; False on a file system that has no locks.

    Raises:
        UserError: If another process holds it, or it cannot be written to.
    """
    file = Path(folder).absolute() / LOCK
    if file in _held:
        return True
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f'The folder {folder} cannot be used: {error.strerror}.') from error
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = _holder(handle)
        os.close(handle)
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            return False
        raise UserError(
            f'Another training is running in {folder} ({holder}), and the two would overwrite '
            'each other. Wait for its end, or choose another --work-dir.'
        ) from error
    _held[file] = handle
    return True


def _holder(handle: int) -> str:
    """Who holds a file that could not be locked."""
    question = struct.pack('hhqqi', fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        *_, pid = struct.unpack('hhqqi', fcntl.fcntl(handle, fcntl.F_GETLK, question))
    except OSError:
        pid = 0
    return f'process {pid}' if pid > 0 else 'on another machine'


def release_folder(folder: str | os.PathLike) -> None:
    """Let others hold a folder that this process holds."""
    handle = _held.pop(Path(folder).absolute() / LOCK, None)
    if handle is not None:
        os.close(handle)
