"""Bringing weights to another layout, and writing them to a file."""

from __future__ import annotations

import hashlib
import io
import os
import re
from pathlib import Path

import torch
from torch import Tensor

from uniformer_mm.errors import CheckpointError
from uniformer_mm.files import write_beside

from .families import family_of
from .names import replace_prefix, top_level_names
from .safe_tensors import SAFETENSORS, to_safetensors
from .weights import MM_HEADS, Weights


def to_mm(weights: Weights) -> dict[str, Tensor]:
    """State dict of an OpenMMLab model: the backbone, its heads and what else there is.

    ================  ==========================  =========================
    official          MMPretrain's classifier     MMAction2's recognizer
    ================  ==========================  =========================
    ``head``          ``head.fc``                 ``cls_head.fc_cls``
    ``aux_head``      ``head.aux_fc``
    ``norm_cls``      ``head.token_norm``         ``cls_head.token_norm``
    ``head_cls``      ``head.token_fc``           ``cls_head.token_fc``
    ``token_linear``                              ``cls_head.token_linear``
    ================  ==========================  =========================

    The classes keep their order; see :func:`reorder_head`. The head of a pose estimator gets the
    name that mmpose 1.x gives it.

    Raises:
        CheckpointError: If the weights are for clips and have a token-labelling head.
    """
    heads = MM_HEADS['video' if weights.video else 'image']
    state = {f'backbone.{key}': value for key, value in weights.backbone.items()}
    for key, value in weights.classifier.items():
        name = replace_prefix(key, heads)
        if name is None:
            raise CheckpointError(
                f'{weights.source} has {key.split(".")[0]!r}, which no recognizer has: convert the '
                'backbone only (--task backbone).'
            )
        state[name] = value
    for key, value in weights.other.items():
        state[re.sub(r'^keypoint_head\.', 'head.', key)] = value
    return state


def to_official(weights: Weights) -> dict[str, Tensor]:
    """State dict under official names: the backbone and its classification heads.

    Raises:
        CheckpointError: If the weights have parts without an official name: necks, task heads, or
            any head of a network whose authors use an OpenMMLab library.
    """
    if weights.classifier and family_of(weights.backbone).OPENMMLAB:
        raise CheckpointError(
            f"{weights.source} has a head, and its authors' own files have the names of MMAction2: "
            'use --to mm, or publish the backbone only (--task backbone).'
        )
    if weights.other:
        raise CheckpointError(
            f'{weights.source} has parts that no official classification file has: '
            f'{top_level_names(weights.other)}. Publish the backbone only (--task backbone).'
        )
    return {**weights.backbone, **weights.classifier}


def save_checkpoint(
    checkpoint: dict, path: str | os.PathLike, *, add_hash: bool = False, force: bool = False
) -> Path:
    """Write a checkpoint in one step: an interrupted call leaves no half-written file.

    Args:
        checkpoint: What to write.
        path: Where. Its folder is made. With the suffix ``.safetensors`` the file is one of that
            format, with the entry ``meta`` as text.
        add_hash: Put the first eight digits of the file's SHA-256 into its name, as OpenMMLab's
            released files have. Defaults to False.
        force: Overwrite an existing file. Defaults to False.

    Returns:
        The path that was written.

    Raises:
        FileExistsError: If the file exists and ``force`` is not given.
    """
    path = Path(path)
    if path.suffix == SAFETENSORS:
        state = checkpoint.get('state_dict') or checkpoint['model']
        data = to_safetensors(state, checkpoint['meta'])
    else:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        data = buffer.getvalue()
    if add_hash:
        path = path.with_name(f'{path.stem}-{hashlib.sha256(data).hexdigest()[:8]}{path.suffix}')
    if path.exists() and not force:
        raise FileExistsError(f'{path} exists; choose another name or give --force.')
    with write_beside(path) as part:
        part.write_bytes(data)
    return path
