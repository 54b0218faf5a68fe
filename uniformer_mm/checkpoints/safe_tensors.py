"""Files of the ``safetensors`` format: tensors and text, in which no code can be.

Beside the tensors such a file has names with texts. What a checkpoint of PyTorch has as ``meta``
stands there, each entry as JSON, and a SHA-256 of everything else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uniformer_mm.errors import CheckpointError

SAFETENSORS = '.safetensors'
_HASH = 'uniformer_mm_sha256'


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as one of this format does: eight bytes of length, then JSON."""
    with path.open('rb') as file:
        return file.read(9)[8:] == b'{'


def read_safetensors(path: Path, with_weights: bool = True) -> dict[str, Any]:
    """Read a file; gives ``state_dict`` and ``meta``.

    Args:
        path: A local file.
        with_weights: Whether to read the tensors, and check them where the file has a SHA-256.
            Defaults to True.

    Raises:
        CheckpointError: If the SHA-256 is another one.
    """
    from safetensors import safe_open

    with safe_open(path, framework='pt') as file:
        texts, names = file.metadata() or {}, file.keys()
        state = {name: file.get_tensor(name) for name in names} if with_weights else {}
    stated = texts.pop(_HASH, None)
    if with_weights and stated not in (None, _hash_of(state, texts)):
        raise CheckpointError(
            f'{path} has changed since it was written: download or copy it again.'
        )
    return {'state_dict': state, 'meta': {name: _parse(text) for name, text in texts.items()}}


def to_safetensors(state: Mapping[str, Tensor], meta: Mapping[str, Any]) -> bytes:
    """The bytes of a file with these weights, and with what JSON can hold of the rest.

    Args:
        state: The weights.
        meta: What to say about them. Sequences become lists, and arrays too.
    """
    from safetensors.torch import save

    # Each tensor by itself: the format knows none that share memory.
    state = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
    texts = {name: json.dumps(value, default=np.ndarray.tolist) for name, value in meta.items()}
    texts['format'] = 'pt'
    return save(state, {**texts, _HASH: _hash_of(state, texts)})


def _hash_of(state: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(texts, sort_keys=True).encode())
    for name in sorted(state):
        value = state[name]
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
