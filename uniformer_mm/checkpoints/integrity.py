"""Whether a file and the values in it are whole, which PyTorch does not look at."""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import Tensor

from uniformer_mm.errors import CheckpointError

from .names import fold_blocks, shorten
from .released import find_released, hash_of
from .safe_tensors import is_safetensors

_FOLDER = 0x10  # an attribute in zip archives
_COPY_AGAIN = 'the file is damaged: download or copy it again'


def check_file(path: str | os.PathLike) -> None:
    """Refuse what cannot be a checkpoint: a missing, empty, truncated or non-PyTorch file.

    Cheap: reads the first bytes and, of a zip archive, the directory at its end.

    Args:
        path: A local file.

    Raises:
        CheckpointError: Says what the file is instead.
    """
    path = Path(path)
    if not path.exists():
        released = find_released(path)
        url = released and released.url
        where = f' The released file of that name is at {url}.' if url else ''
        raise CheckpointError(f'There is no checkpoint {path}.{where}')
    if not path.is_file():
        raise CheckpointError(f'{path} is not a file; name the checkpoint file inside it.')
    if path.stat().st_size == 0:
        raise CheckpointError(f'{path} is empty: the download or the copy failed.')
    with path.open('rb') as file:
        start = file.read(512).lstrip()
    if is_safetensors(path):
        return  # the length with which it begins may be any letter
    if start.startswith(b'<'):
        raise CheckpointError(
            f'{path} is a web page, not a checkpoint. Large files of Google Drive and release '
            'pages come as a page when they are fetched without a browser: download it again.'
        )
    if start.startswith(b'version https://git-lfs'):
        raise CheckpointError(f'{path} is a Git LFS pointer, not the file: run "git lfs pull".')
    if start.startswith(b'PK') and not _has_directory(path):
        raise CheckpointError(f'{path} is truncated: download or copy it again.')


def _has_directory(archive: Path) -> bool:
    try:
        return zipfile.is_zipfile(archive)
    except zipfile.BadZipFile:  # of several disks, it says
        return False


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def check_hash(path: Path) -> None:
    """Compare a file with the hash that the table of released files or its own name gives.

    A name that gives another hash is logged only: MMEngine's ``CheckpointHook`` puts the hash of
    something else into the names that it publishes.

    Raises:
        CheckpointError: If it has the name of a released file, and is another one.
    """
    digits, is_released = hash_of(path)
    if digits is None or (found := sha256_of(path)).startswith(digits):
        return
    differs = f'The SHA-256 of {path} begins with {found[: len(digits)]}'
    if is_released:
        raise CheckpointError(
            f'{differs}, that of the released file of this name with {digits}: {_COPY_AGAIN}, or '
            'give a file of your own another name.'
        )
    print_log(
        f'{differs}, not with the {digits} in its name: it was changed since, or is damaged.',
        logger='current',
        level=logging.WARNING,
    )


def check_records(path: Path) -> None:
    """Compare the parts of a zip archive with the checksums in it; other files have none.

    Raises:
        CheckpointError: Names the first part that has changed.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        # PyTorch reads nothing into the memory of what is marked as a folder.
        damaged = next((part.filename for part in parts if part.external_attr & _FOLDER), None)
        # torch.serialization.set_crc32_options(False) leaves all checksums zero.
        if damaged is None and any(part.CRC for part in parts):
            damaged = archive.testzip()
    if damaged:
        raise CheckpointError(
            f'{path} has changed since it was written, in {damaged}: {_COPY_AGAIN}.'
        )


def check_values(file: Mapping[str, Tensor], model: Mapping[str, Tensor], source: str) -> None:
    """Refuse entries that a model would take over, and that cannot have been trained.

    Args:
        file: Entries of the file, of the shapes of the model's.
        model: The model's own; there may be others.
        source: Name of the file, for messages.

    Raises:
        CheckpointError: If an entry is of another kind (floating-point, whole numbers, Boolean)
            than the model's, or holds a number that is not finite. Names all entries.
    """
    kinds, numbers = {}, {}
    for name, value in file.items():
        own = model.get(name)
        if own is not None and _kind(own) != _kind(value):
            kinds[name] = f'{value.dtype}, the model has {own.dtype}'
        elif value.is_floating_point():
            # In the precision of the model, where a large number may become infinite.
            bad = ~value.to(value.dtype if own is None else own.dtype).isfinite()
            if own is not None and bad.any():
                bad &= own.isfinite().to(bad.device)  # a mask of the model may be infinite itself
            if count := int(bad.sum()):
                numbers[name] = f'{count} of {value.numel()}'
    for entries, said, cause in (
        (kinds, 'of another type', 'they are no weights of this model'),
        (numbers, 'with numbers that are not finite', 'its training diverged'),
    ):
        if entries:
            names = shorten(f'{name} ({what})' for name, what in fold_blocks(entries))
            raise CheckpointError(
                f'{source} holds {len(entries)} entries {said}: {names}. Either {cause}, or '
                f'{_COPY_AGAIN}.'
            )


def _kind(value: Tensor) -> tuple:
    others = value.dtype == torch.bool, value.is_complex(), value.is_quantized, value.is_meta
    return value.is_floating_point(), *others, value.layout
