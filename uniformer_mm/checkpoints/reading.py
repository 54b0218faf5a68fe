"""Reading checkpoint files of every layout, and telling their parts apart."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import Tensor

from uniformer_mm.errors import CheckpointError

from .families import uniformer
from .fetching import ADDRESSES, fetch, resolve
from .integrity import check_file, check_hash, check_records
from .names import replace_prefix, shorten, top_level_names
from .safe import load_weights_only, torch_takes_names
from .safe_tensors import is_safetensors, read_safetensors
from .weights import CLASSIFIER_PREFIXES, MM_HEADS, Weights

# MMEngine reads ``uniformer_mm://FILE`` with the reader of this module.
SCHEME = 'uniformer_mm://'
_PLAIN_ENTRIES = ('state_dict', 'model', 'model_state')
_AVERAGED_ENTRIES = ('model_ema', 'state_dict_ema')


def read_checkpoint(
    path: str | os.PathLike,
    ema: bool | None = None,
    prefix: str | None = None,
    download: bool | str | os.PathLike = True,
) -> Weights:
    """Read a checkpoint file of any layout.

    Args:
        path: A local file, an address or the name of a released file, which are fetched once into
            PyTorch's hub cache; see :func:`~uniformer_mm.checkpoints.resolve`.
        ema: Which weights to take if the file holds averaged ones too: True for the averaged,
            False for the plain. Defaults to None: what ``torch.load`` users of that layout get,
            which is the plain weights of an official file and the averaged ones of MMEngine's.
        prefix: Take only entries that start with this, without it. Defaults to None.
        download: What to do about a URL that was not fetched before: True fetches it into PyTorch's
            hub cache, a folder into that folder, and False is an error. Defaults to True.

    Returns:
        The weights under official names, on the CPU.

    Raises:
        CheckpointError: If the file is missing, damaged, refused by the weights-only rule, or
            holds no such weights.
    """
    source = resolve(path)
    checkpoint = load_file(source, download=download)
    return parse_checkpoint(checkpoint, source, ema=ema, prefix=prefix)


def parse_checkpoint(
    checkpoint: Any, source: str, ema: bool | None = None, prefix: str | None = None
) -> Weights:
    """Sort a loaded checkpoint into its parts; see :func:`read_checkpoint`.

    Args:
        checkpoint: The object in the file.
        source: The file's path, for messages and for the table of known files.
        ema: As in :func:`read_checkpoint`.
        prefix: As in :func:`read_checkpoint`.
    """
    state, averaged = _find_state_dict(checkpoint, source, ema)
    state = _strip_wrapper(state, source)
    if prefix is not None:
        prefix = prefix.rstrip('.') + '.'
        selected = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if not selected:
            raise CheckpointError(
                f'No entry of {source} starts with {prefix!r}. Its top-level names are '
                f'{top_level_names(state)}. Official files need no prefix.'
            )
        state = selected
    state = _without_copies(state, source)
    meta = checkpoint.get('meta')
    meta = dict(meta) if isinstance(meta, Mapping) else {}

    is_openmixup = uniformer.is_openmixup(state)
    is_mm = any(key.startswith('backbone.') for key in state)
    is_video = any(value.ndim == 5 for value in state.values())
    mm_heads = {mm: name for name, mm in MM_HEADS['video' if is_video else 'image'].items()}
    backbone: dict[str, Tensor] = {}
    classifier: dict[str, Tensor] = {}
    other: dict[str, Tensor] = {}
    for key, value in state.items():
        if is_mm or is_openmixup:
            name = replace_prefix(key, mm_heads)
            if name is not None:
                classifier[name] = value
                continue
            if is_mm and not key.startswith('backbone.'):
                other[key] = value
                continue
            key = key.removeprefix('backbone.')
        if is_openmixup:
            key = uniformer.openmixup_to_official(key)
        (classifier if key.startswith(CLASSIFIER_PREFIXES) else backbone)[key] = value
    layout = 'openmixup' if is_openmixup else 'mm' if is_mm or prefix else 'official'
    return Weights(backbone, classifier, other, source, layout, averaged, meta)


def through_safe_reader(checkpoint: str | os.PathLike) -> str:
    """The address under which MMEngine's loaders read a checkpoint with the reader of this module.

    Addresses that only MMEngine knows (``s3://``, ``open-mmlab://``) stay as they are.

    Raises:
        CheckpointError: If it is such an address, and this PyTorch would run code from the file.
    """
    source = str(checkpoint)
    if source.startswith(SCHEME):
        return source
    if '://' not in source or source.startswith(ADDRESSES):
        return f'{SCHEME}{source}'
    if not torch_takes_names():
        raise CheckpointError(
            f'{source} would be read by MMEngine, which before torch 2.6 runs code that is in the '
            'file: download it and give the local path.'
        )
    return source


@CheckpointLoader.register_scheme(SCHEME, force=True)
def load_from_safe_reader(filename: str, map_location: Any = None) -> Any:
    """MMEngine's loader of :data:`SCHEME`."""
    checkpoint = load_file(resolve(filename.removeprefix(SCHEME)), map_location)
    drop_program(checkpoint)
    return checkpoint


def drop_program(checkpoint: Any) -> None:
    """Take out the config that MMCV 1.x saved: MMEngine runs it as Python on resuming."""
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict):
        meta.pop('config', None)


def load_file(
    source: str | os.PathLike,
    map_location: str | torch.device | Callable | None = 'cpu',
    mmap: bool = False,
    download: bool | str | os.PathLike = True,
) -> Any:
    """Read a local file or a URL under the weights-only rule, and check that it is whole.

    Args:
        source: A path or an http(s) URL.
        map_location: As of ``torch.load``; tensors of ``.safetensors`` are always on the CPU.
            Defaults to the CPU.
        mmap: Leave the weights on disk, unchecked, to look at the rest of the file quickly.
            Defaults to False.
        download: As in :func:`read_checkpoint`.

    Returns:
        The object in the file; of ``.safetensors`` a dict of ``state_dict`` and ``meta``.

    Raises:
        CheckpointError: If the file is missing, damaged or refused.
    """
    path = fetch(source, download)
    check_file(path)
    try:
        if not mmap:
            check_hash(path)
            check_records(path)
        if is_safetensors(path):
            return read_safetensors(path, with_weights=not mmap)
        return load_weights_only(path, map_location, mmap)
    except CheckpointError:
        raise
    except Exception as error:
        # torch reports damage and refusal with many types; its advice to switch the protection
        # off would mislead here.
        reason = re.sub(r'\s+', ' ', str(error)).split(' Please use ')[0]
        reason = re.sub(r'.*WeightsUnpickler error: ', '', reason)
        raise CheckpointError(
            f'{path} cannot be read as a checkpoint ({type(error).__name__}: {reason[:300]}). It '
            'is damaged, not a PyTorch file, or holds objects other than weights, which are '
            'refused because unpickling them could run code.'
        ) from error


def _find_state_dict(
    checkpoint: Any, source: str, ema: bool | None
) -> tuple[Mapping[str, Tensor], bool]:
    """The mapping of names to tensors inside a loaded checkpoint, and whether it is averaged."""
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f'{source} holds a {type(checkpoint).__name__}, not weights.')
    if 'ema_state_dict' in checkpoint:
        # MMEngine's EMAHook swaps them on saving: the averaged weights are in state_dict.
        entry = 'ema_state_dict' if ema is False else 'state_dict'
    elif ema:
        entry = next((name for name in _AVERAGED_ENTRIES if name in checkpoint), None)
        if entry is None:
            raise CheckpointError(
                f'{source} holds no averaged weights: none of {", ".join(_AVERAGED_ENTRIES)} or '
                f'ema_state_dict is among its entries {shorten(checkpoint)}.'
            )
    else:
        entry = next((name for name in _PLAIN_ENTRIES if name in checkpoint), None)
    state = checkpoint if entry is None else checkpoint.get(entry)
    if entry == 'ema_state_dict' and isinstance(state, Mapping):
        state = {key: value for key, value in state.items() if key != 'steps'}
    if (
        not isinstance(state, Mapping)
        or not state
        or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    ):
        where = source if entry is None else f'Entry {entry!r} of {source}'
        raise CheckpointError(
            f'{where} is not a mapping of names to tensors. The file has the entries '
            f'{shorten(checkpoint)}; weights are expected bare or under one of '
            f'{", ".join(_PLAIN_ENTRIES + _AVERAGED_ENTRIES)}.'
        )
    return state, entry in _AVERAGED_ENTRIES or (
        'ema_state_dict' in checkpoint and ema is not False
    )


def _without_copies(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Leave out other networks that are saved beside the trained one.

    They are the teacher of DualFormer's token labelling, and the weights that OpenMixup's EMAHook
    has swapped for the averaged ones.
    """
    if any(key.startswith('teacher.backbone.patch_embeds.') for key in state):
        prefix, what = 'teacher.', 'the teacher of token labelling'
    elif uniformer.is_openmixup(state):
        prefix, what = 'ema_', "OpenMixup's EMAHook"
    else:
        return state
    kept = {key: value for key, value in state.items() if not key.startswith(prefix)}
    if len(kept) != len(state):
        print_log(
            f'{source}: left out {len(state) - len(kept)} entries of {what} ({prefix}*), which '
            'only training uses.',
            logger='current',
        )
    return kept


def _strip_wrapper(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Remove the ``module.`` that data-parallel wrappers and averaged models put first."""
    stripped = {re.sub(r'^(module\.)+', '', key): value for key, value in state.items()}
    if len(stripped) != len(state):
        raise CheckpointError(f'{source} holds entries both with and without "module.".')
    return stripped
