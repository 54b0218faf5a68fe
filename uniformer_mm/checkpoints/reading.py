"""Reading checkpoint files of every layout, and telling their parts apart."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.logging import print_log
from torch import Tensor

from uniformer_mm import compat

from .architecture import known_head_dim
from .errors import CheckpointError
from .names import shorten, top_level_names

_PLAIN_ENTRIES = ('state_dict', 'model', 'model_state')
_AVERAGED_ENTRIES = ('model_ema', 'state_dict_ema')
# The linear heads of MMPretrain's and MMAction2's classifiers.
MM_HEADS = {'image': 'head.fc.', 'video': 'cls_head.fc_cls.'}
# Parts that only the classifier has; a backbone may be loaded without them.
_CLASSIFIER_PREFIXES = ('head.', 'aux_head.', 'head_cls.', 'norm_cls.')


@dataclass
class Weights:
    """The weights in one file, sorted by part.

    Attributes:
        backbone: Backbone entries under their official names.
        classifier: Classification heads under their official names (``head.weight``,
            ``aux_head.weight``).
        other: Everything else (necks, task heads) under the names in the file.
        source: The file's path or URL.
        layout: ``'official'``, ``'mm'`` or ``'openmixup'``.
        averaged: Whether these are averaged (EMA) weights, as far as the file tells.
        meta: What the file says about itself.
    """

    backbone: dict[str, Tensor]
    classifier: dict[str, Tensor]
    other: dict[str, Tensor]
    source: str
    layout: str
    averaged: bool = False
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def video(self) -> bool:
        """Whether the backbone is one for clips, whose convolutions have a time axis."""
        return any(value.ndim == 5 for value in self.backbone.values())

    @property
    def token_labelling(self) -> bool:
        """Whether the weights are from token labelling, which has a head on every token."""
        return any(key.startswith('aux_head.') for key in self.classifier)

    @property
    def head_dim(self) -> int | None:
        """Channels of one attention head if the file or its name tells, else None."""
        stated = self.meta.get('head_dim')
        return stated if stated is not None else known_head_dim(self.source, self.token_labelling)


def read_checkpoint(
    path: str | os.PathLike, ema: bool | None = None, prefix: str | None = None
) -> Weights:
    """Read a checkpoint file of any layout.

    Args:
        path: A local file, or an http(s) URL, which is fetched once into PyTorch's hub cache.
        ema: Which weights to take if the file holds averaged ones too: True for the averaged,
            False for the plain. Defaults to None: what ``torch.load`` users of that layout get,
            which is the plain weights of an official file and the averaged ones of MMEngine's.
        prefix: Take only entries that start with this, without it. Defaults to None.

    Returns:
        The weights under official names, on the CPU.

    Raises:
        CheckpointError: If the file is missing, damaged, refused by the weights-only rule, or
            holds no such weights.
    """
    return parse_checkpoint(_load_file(path), str(path), ema=ema, prefix=prefix)


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
    meta = checkpoint.get('meta')
    meta = dict(meta) if isinstance(meta, Mapping) else {}

    is_openmixup = any(re.match(r'(backbone\.)?patch_embed\d\.projection\.', k) for k in state)
    is_mm = any(key.startswith('backbone.') for key in state)
    is_video = any(value.ndim == 5 for value in state.values())
    mm_head = MM_HEADS['video' if is_video else 'image']
    backbone: dict[str, Tensor] = {}
    classifier: dict[str, Tensor] = {}
    other: dict[str, Tensor] = {}
    for key, value in state.items():
        if is_mm or is_openmixup:
            if key.startswith(mm_head):
                classifier[f'head.{key.removeprefix(mm_head)}'] = value
                continue
            if (is_mm and not key.startswith('backbone.')) or key.startswith('ema_'):
                other[key] = value
                continue
            key = key.removeprefix('backbone.')
        if is_openmixup:
            key = _openmixup_to_official(key)
        (classifier if key.startswith(_CLASSIFIER_PREFIXES) else backbone)[key] = value
    layout = 'openmixup' if is_openmixup else 'mm' if is_mm or prefix else 'official'
    return Weights(backbone, classifier, other, source, layout, averaged, meta)


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
        raise CheckpointError(f'There is no checkpoint {path}.')
    if not path.is_file():
        raise CheckpointError(f'{path} is not a file; name the checkpoint file inside it.')
    if path.stat().st_size == 0:
        raise CheckpointError(f'{path} is empty: the download or the copy failed.')
    with path.open('rb') as file:
        start = file.read(512).lstrip()
    if start.startswith(b'<'):
        raise CheckpointError(
            f'{path} is a web page, not a checkpoint. Large files of Google Drive and release '
            'pages come as a page when they are fetched without a browser: download it again.'
        )
    if start.startswith(b'version https://git-lfs'):
        raise CheckpointError(f'{path} is a Git LFS pointer, not the file: run "git lfs pull".')
    if start.startswith(b'PK') and not zipfile.is_zipfile(path):
        raise CheckpointError(f'{path} is truncated: download or copy it again.')


def _fetch(url: str) -> Path:
    """Download a file into PyTorch's hub cache, unless it is there; gives its path."""
    path = Path(torch.hub.get_dir(), 'checkpoints', urlparse(url).path.rsplit('/', 1)[-1])
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    print_log(f'Downloading {url} to {path}', logger='current')
    try:
        torch.hub.download_url_to_file(url, str(path))
        check_file(path)
    except (OSError, CheckpointError) as error:
        path.unlink(missing_ok=True)
        raise CheckpointError(
            f'{url} could not be fetched ({error}). Download it by other means and give the local '
            'path instead of the URL.'
        ) from error
    return path


def _load_file(path: str | os.PathLike) -> Any:
    if str(path).startswith(('http://', 'https://')):
        path = _fetch(str(path))
    path = Path(path).expanduser()
    check_file(path)
    try:
        return compat.load_weights_only(path)
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
    state = checkpoint if entry is None else checkpoint[entry]
    if entry == 'ema_state_dict':
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


def _strip_wrapper(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Remove the ``module.`` that data-parallel wrappers and averaged models put first."""
    stripped = {re.sub(r'^(module\.)+', '', key): value for key, value in state.items()}
    if len(stripped) != len(state):
        raise CheckpointError(f'{source} holds entries both with and without "module.".')
    return stripped


def _openmixup_to_official(key: str) -> str:
    """Rename one backbone entry of OpenMixup (spec: ImageNet, state-dict names)."""
    key = re.sub(r'^(patch_embed\d)\.projection\.', r'\1.proj.', key)
    key = re.sub(r'^(blocks\d\.\d+)\.(?:bn|ln)([12])\.', r'\1.norm\2.', key)
    key = re.sub(r'^(blocks\d\.\d+)\.ffn\.', r'\1.mlp.', key)
    return re.sub(r'^norm3\.', 'norm.', key)
