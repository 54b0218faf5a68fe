"""Where a checkpoint is: a path, an address, or the name of a released file; and fetching it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

import torch
from mmengine.logging import print_log

from uniformer_mm.errors import CheckpointError
from uniformer_mm.files import make_once

from .downloads import download_file
from .integrity import check_file, sha256_of
from .released import DRIVE, RELEASED, find_released, hash_of, url_of

ADDRESSES = ('http://', 'https://', 'hf://', 'file://')
MIRROR = 'UNIFORMER_MM_MIRROR'
_HUGGING_FACE = 'https://huggingface.co'
_MIRRORED = {urlsplit(entry.url).netloc for entry in RELEASED.values() if entry.url} - {DRIVE}


def hub_folder() -> Path:
    """The folder of PyTorch's hub, in which downloads are kept."""
    return Path(torch.hub.get_dir(), 'checkpoints')


def resolve(checkpoint: str | os.PathLike) -> str:
    """What a config or a command means by a checkpoint: a path, or a URL.

    Args:
        checkpoint: A path, an address as of :data:`ADDRESSES`, or without folder and suffix the
            name of a released file. So a name means the same in every folder.

    Raises:
        CheckpointError: If there is no released file of that name, if it cannot be fetched, or if
            an address is none.
    """
    text = str(checkpoint)
    if text.startswith('hf://'):
        return _on_hugging_face(text)
    if text.startswith('file://'):
        return _path_of(text)
    is_path = isinstance(checkpoint, os.PathLike) or Path(text).name != text
    return text if is_path or Path(text).suffix else _of_name(text)


def _on_hugging_face(address: str) -> str:
    found = re.fullmatch(r'hf://([^/@]+/[^/@]+)(?:@([^/]+))?/(.*[^/])', address)
    if found is None:
        raise CheckpointError(
            f'{address} names no file on Hugging Face: expected hf://OWNER/REPOSITORY/FILE, or '
            'hf://OWNER/REPOSITORY@REVISION/FILE.'
        )
    repository, revision, file = found.groups()
    return f'{_HUGGING_FACE}/{repository}/resolve/{revision or "main"}/{quote(file)}'


def _path_of(address: str) -> str:
    parts = urlsplit(address)
    if parts.netloc not in ('', 'localhost') or not parts.path:
        raise CheckpointError(
            f'{address} names no file on this machine: expected file:///FOLDER/FILE, with three '
            'slashes.'
        )
    return url2pathname(parts.path)


def _of_name(name: str) -> str:
    """The URL of a released file; of one that only browsers get, the path where it was put."""
    url = url_of(name)
    if urlsplit(url).netloc != DRIVE:
        return url
    kept = hub_folder() / f'{name}.pth'
    if kept.exists():
        return str(kept)
    if mirror := _mirror():
        return f'{mirror}/{name}.pth'
    raise CheckpointError(
        f'{name!r} is on Google Drive, which hands large files to browsers only: download {url} '
        f'to {kept}, where the name finds it, or keep it as {name}.pth elsewhere and give the '
        'local path.'
    )


def local_path(checkpoint: str | os.PathLike) -> Path | None:
    """The local file that is meant; None if it is to be fetched.

    Raises:
        CheckpointError: As of :func:`resolve`.
    """
    source = resolve(checkpoint)
    return None if '://' in source else Path(source).expanduser()


def fetch(source: str | os.PathLike, download: bool | str | os.PathLike = True) -> Path:
    """The local file of what :func:`resolve` gives; a URL is downloaded unless it was before.

    A download that broke off goes on where it was, if the server says that the file is still the
    same. Of several processes one downloads, and the others wait for it.

    Args:
        source: A path or an http(s) URL.
        download: As in :func:`~uniformer_mm.checkpoints.read_checkpoint`.

    Raises:
        CheckpointError: If it may not or cannot be downloaded, is no checkpoint, or has another
            SHA-256 than is known of it.
    """
    url = str(source)
    if not url.startswith(('http://', 'https://')):
        if '://' in url:
            raise CheckpointError(
                f'{url} cannot be fetched here: expected a path, the name of a released file, or '
                f'an address that begins with {", ".join(ADDRESSES)}.'
            )
        return Path(source).expanduser()
    path = _kept(url, hub_folder() if isinstance(download, bool) else Path(download).expanduser())
    if path.exists():
        return path
    if download is False:
        raise CheckpointError(
            f'{path} does not exist, and nothing is fetched unasked: download=True fetches {url} '
            'to there, download=FOLDER to a folder of yours. Or give the path of a file.'
        )
    address = _mirrored(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with make_once(path) as part:
            if part is not None:
                print_log(f'Downloading {address} to {path}', logger='current')
                download_file(address, part)
                _check(part, url)
    except (OSError, CheckpointError) as error:
        whose = '' if address == url else f', which {MIRROR} puts in the place of {url},'
        raise CheckpointError(
            f'{address}{whose} could not be fetched ({error}). Download it by other means and put '
            f'it at {path}, or give the local path instead.'
        ) from error
    return path


def _check(part: Path, url: str) -> None:
    """See that a download is what it should be; else remove it."""
    try:
        check_file(part)
        digits = hash_of(url)[0]
        if digits is not None and not (found := sha256_of(part)).startswith(digits):
            raise CheckpointError(f'its SHA-256 begins with {found[: len(digits)]}, not {digits}')
    except CheckpointError:
        part.unlink()
        raise


def _kept(url: str, folder: Path) -> Path:
    """Where a download is kept: a released file where PyTorch puts it, others by their address."""
    name = urlsplit(url).path.rsplit('/', 1)[-1]
    if name in ('', '.', '..'):
        raise CheckpointError(f'{url} names no file.')
    released = find_released(url)
    if released is not None and url in (released.url, f'{_mirror()}/{name}'):
        return folder / name
    return folder / f'{hashlib.sha256(url.encode()).hexdigest()[:8]}_{name}'


def _mirror() -> str:
    """The address below which released files are looked for; empty if they are where they are."""
    mirror = os.environ.get(MIRROR, '').rstrip('/')
    if mirror and not mirror.startswith(ADDRESSES[:2]):
        raise CheckpointError(
            f'{MIRROR}={mirror} is no address: expected one such as https://my.host/weights.'
        )
    return mirror


def _mirrored(url: str) -> str:
    """What is asked for a URL: on a host of released files its path below the mirror, if one is."""
    mirror, parts = _mirror(), urlsplit(url)
    if not mirror or url.startswith(f'{mirror}/') or parts.netloc not in _MIRRORED:
        return url
    return f'{mirror}{parts.path}'
