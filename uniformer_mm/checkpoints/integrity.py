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
from .released import hash_of

_FOLDER = 0x10  # an attribute in zip archives
_COPY_AGAIN = 'the file is damaged: download or copy it again'


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
