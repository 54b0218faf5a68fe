"""Downloads that go on where they broke off."""

from __future__ import annotations

import sys
from functools import partial
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from mmengine.logging import print_log
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from uniformer_mm.errors import CheckpointError

_SILENCE = 60  # seconds without a byte after which a connection counts as broken
_COLUMNS = (TextColumn('{task.description}'), BarColumn(), DownloadColumn(), TimeRemainingColumn())


def download_file(url: str, part: Path) -> None:
    """Download a file, or the rest of it if an earlier try left its beginning.

    A connection that breaks is opened again for as long as that brings more of the file. The rest
    is only asked for if the server names versions of its files (``ETag`` or ``Last-Modified``):
    the one that was begun is noted beside ``part``.

    Args:
        url: An http(s) URL.
        part: The file to write. Nobody else may write to it.

    Raises:
        CheckpointError: Says why, and what was kept for the next try.
    """
    while True:
        before = _begun(part)
        try:
            _receive(url, part)
        except (OSError, HTTPException) as error:
            kept = _begun(part)
            if kept > before:
                print_log(f'{url} broke off ({error}): going on.', logger='current')
                continue
            if not kept:
                part.unlink(missing_ok=True)
            hint = f'; {kept} bytes are kept in {part}, where the next try goes on' if kept else ''
            raise CheckpointError(f'{error}{hint}') from error
        else:
            return


def _receive(url: str, part: Path) -> None:
    """Write what a server has of a file beyond ``part``."""
    with _ask(url, part) as response:
        begun, version = _begun(part), _version_of(response)
        if not begun and version:
            _version_file(part).write_text(version)
        size = None if response.length is None else begun + response.length
        shown = dict(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        with Progress(*_COLUMNS, **shown) as bars, part.open('ab') as file:
            bar = bars.add_task(part.stem, total=size, completed=begun)
            for chunk in iter(partial(response.read, 1 << 16), b''):
                file.write(chunk)
                bars.advance(bar, len(chunk))
    if size not in (None, arrived := part.stat().st_size):
        raise ConnectionError(f'{arrived} of {size} bytes arrived')
    _version_file(part).unlink(missing_ok=True)


def _ask(url: str, part: Path) -> HTTPResponse:
    """Ask for what follows on ``part``, or if that is of another version for the whole file."""
    headers = {'User-Agent': 'uniformer_mm'}
    if begun := _begun(part):
        version = _version_file(part).read_text()
        rest = {'Range': f'bytes={begun}-', 'If-Range': version}
        try:
            response = urlopen(Request(url, headers=headers | rest), timeout=_SILENCE)
        except HTTPError as error:
            if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
        else:
            answer, where = response.status, response.headers.get('Content-Range', '')
            is_rest = answer == HTTPStatus.PARTIAL_CONTENT and where.startswith(f'bytes {begun}-')
            if is_rest and _version_of(response) == version:  # not all servers heed If-Range
                return response
            response.close()
    _forget(part)
    return urlopen(Request(url, headers=headers), timeout=_SILENCE)


def _version_of(response: HTTPResponse) -> str | None:
    """What tells this version of a file from others, as ``If-Range`` takes it."""
    tag = response.headers.get('ETag')
    return tag if tag and not tag.startswith('W/') else response.headers.get('Last-Modified')


def _version_file(part: Path) -> Path:
    return part.with_name(f'{part.name}.version')


def _begun(part: Path) -> int:
    """How many bytes there are of a file that can be gone on with."""
    return part.stat().st_size if part.exists() and _version_file(part).exists() else 0


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)  # before the version that it is of
    _version_file(part).unlink(missing_ok=True)
