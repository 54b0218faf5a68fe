"""Files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = '.part'


@contextmanager
def write_beside(path: str | os.PathLike) -> Iterator[Path]:
    """Give a name beside ``path``, and rename what was written there once it is complete.

    Whoever reads ``path`` finds what was there before or all of the new file, whenever this
    process or its machine stops. If the block raises, nothing is left of it; a process that was
    killed leaves ``.NAME.PID.part``, which :func:`remove_parts` removes.

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
    part = path.with_name(f'.{path.name}.{os.getpid()}{PART}')
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
    parts = [part for name in names for part in Path(folder).glob(f'.{name}.*{PART}')]
    for part in parts:
        part.unlink(missing_ok=True)
    return parts
