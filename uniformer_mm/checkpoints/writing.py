"""Bringing weights to another layout, and writing them to a file."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .architecture import Architecture
from .errors import CheckpointError
from .loading import load_backbone
from .names import top_level_names
from .reading import MM_HEADS, Weights


def to_mm(weights: Weights) -> dict[str, Tensor]:
    """State dict of an OpenMMLab model: the backbone, its linear head and what else there is.

    The head is ``head.fc`` as in MMPretrain, and of a video network ``cls_head.fc_cls`` as in
    MMAction2. The classes keep their order; see :func:`reorder_head`.

    The head of a pose estimator gets the name that mmpose 1.x gives it.

    Raises:
        CheckpointError: If the weights have a token-labelling or class-token head, which a
            linear classification head cannot hold.
    """
    head = MM_HEADS['video' if weights.video else 'image']
    state = {f'backbone.{key}': value for key, value in weights.backbone.items()}
    for key, value in weights.classifier.items():
        if not key.startswith('head.'):
            raise CheckpointError(
                f'{weights.source} has {key.split(".")[0]!r}, which a linear classification head '
                'cannot hold: convert the backbone only (--task backbone).'
            )
        state[key.replace('head.', head)] = value
    for key, value in weights.other.items():
        state[re.sub(r'^keypoint_head\.', 'head.', key)] = value
    return state


def to_official(weights: Weights) -> dict[str, Tensor]:
    """State dict under official names: the backbone and its classification heads.

    Raises:
        CheckpointError: If the weights have parts without an official name (necks, task heads).
    """
    if weights.other:
        raise CheckpointError(
            f'{weights.source} has parts that no official classification file has: '
            f'{top_level_names(weights.other)}. Publish the backbone only (--task backbone).'
        )
    return {**weights.backbone, **weights.classifier}


def describe_weights(
    weights: Weights, arch: str | None = None, head_dim: int | None = None
) -> dict[str, Any]:
    """Find which UniFormer fits the weights, and prove it by loading them.

    Args:
        weights: What was read.
        arch: Name of the architecture, to check it or to learn the head dimension from it.
        head_dim: Channels of one attention head, if the file does not tell it.

    Returns:
        Arguments of :class:`uniformer_mm.UniFormer`, or of a video network of
        :class:`uniformer_mm.UniFormer3D`: ``arch`` (a name, or a dict if no named one
        fits), ``head_dim``, ``in_channels``, ``layer_scale_init_value``, ``layer_scale_stages``,
        ``out_indices``, ``final_norm`` and, of OpenMixup's weights, ``patch_norm_eps``.

    Raises:
        CheckpointError: If the weights are no UniFormer's, contradict the arguments or do not
            tell their head dimension.
    """
    from uniformer_mm.models import UniFormer, UniFormer3D  # which import this module

    found = Architecture.of(weights.backbone)
    if found is None:
        names = top_level_names(weights.backbone)
        raise CheckpointError(f'{weights.source} is no UniFormer: its entries are {names}.')
    network = UniFormer3D if weights.video else UniFormer
    names = ('depths', 'embed_dims', 'mlp_ratio', 'stem', 'stage_types')
    names += ('local_kernel_size', 'pos_kernel_size', 'split', 'std')
    shape = {name: getattr(found, name) for name in names}
    fitting = {
        zoo_name: zoo
        for zoo_name, zoo in network.arch_zoo.items()
        if all(getattr(zoo, name) == value for name, value in shape.items())
    }
    if arch is not None and arch not in fitting:
        raise CheckpointError(
            f'{weights.source} is not {arch!r}: it has {shape}, which fits '
            f'{", ".join(map(repr, fitting)) or "no named architecture"}.'
        )
    if head_dim is None:
        head_dim = weights.head_dim
    if head_dim is None and arch is not None and not weights.token_labelling:
        head_dim = fitting[arch].head_dim
    if head_dim is None:
        raise CheckpointError(
            f'Neither the content nor the name of {weights.source} tells its head_dim: give '
            '--head-dim, which is the one it was trained with.'
        )
    if arch is None:
        arch = next((name for name, zoo in fitting.items() if zoo.head_dim == head_dim), None)
        arch = arch or next(iter(fitting), {**shape, 'head_dim': head_dim})
    norms = {int(key[4]) - 1 for key in weights.backbone if re.match(r'norm[1-4]\.', key)}
    arguments = {
        'arch': arch,
        'head_dim': head_dim,
        'in_channels': found.in_channels,
        'layer_scale_init_value': 1e-6 if found.layer_scale_stages else 0.0,
        'layer_scale_stages': found.layer_scale_stages,
        'out_indices': tuple(sorted(norms)) or (len(found.depths) - 1,),
        'final_norm': 'norm.weight' in weights.backbone,
    }
    if weights.layout == 'openmixup':
        arguments['patch_norm_eps'] = 1e-6  # theirs; the authors' models have 1e-5
    backbone_only = replace(weights, classifier={}, other={})
    load_backbone(network(**arguments), backbone_only, head_dim=head_dim)
    return arguments


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def save_checkpoint(
    checkpoint: dict, path: str | os.PathLike, *, add_hash: bool = False, force: bool = False
) -> Path:
    """Write a checkpoint in one step: an interrupted call leaves no half-written file.

    Args:
        checkpoint: What to write.
        path: Where. Its folder is made.
        add_hash: Put the first eight digits of the file's SHA-256 into its name, as OpenMMLab's
            released files have. Defaults to False.
        force: Overwrite an existing file. Defaults to False.

    Returns:
        The path that was written.

    Raises:
        FileExistsError: If the file exists and ``force`` is not given.
    """
    path = Path(path)
    if path.exists() and not (force or add_hash):
        raise FileExistsError(f'{path} exists; choose another name or give --force.')
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        torch.save(checkpoint, temporary)
        if add_hash:
            path = path.with_name(f'{path.stem}-{sha256_of(temporary)[:8]}{path.suffix}')
            if path.exists() and not force:
                raise FileExistsError(f'{path} exists; choose another name or give --force.')
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
