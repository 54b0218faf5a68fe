"""UniFormer's files: OpenMixup's names, what may differ, images into clips, what fits them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from uniformer_mm.architectures import ARCHS, CLIP_ARCHS, LIGHT_ARCHS, STEM_WEIGHTS, Arch
from uniformer_mm.errors import CheckpointError

from ..names import Differences, top_level_names
from ..weights import Weights
from .common import (
    STAGE_NORMS,
    Adapted,
    inflate_kernels,
    is_for_images,
    is_spare_norm,
    lacks,
)

# Parts that a file need not have: there are none in classification or in joint attention. A file
# that has one of them must have all.
_LATER_PARTS = (STAGE_NORMS, r'blocks\d\.\d+\.t_(attn|norm)\.')
_LAYER_SCALE = r'blocks\d\.\d+\.gamma_'
# Where a light network makes its class token, and where it widens it.
_TOKEN_STAGES = {'cls_token': 3, 'cls_upsample': 4}
HEAD_DIM = None
OPENMMLAB = False


def recognises(state: Iterable[str]) -> bool:
    """Whether entries have UniFormer's official names."""
    return any(key.startswith('patch_embed1.') for key in state)


def is_openmixup(state: Iterable[str]) -> bool:
    """Whether entries have OpenMixup's names."""
    return any(re.match(r'(backbone\.)?patch_embed\d\.projection\.', key) for key in state)


def openmixup_to_official(key: str) -> str:
    """Rename one backbone entry of OpenMixup."""
    key = re.sub(r'^(patch_embed\d)\.projection\.', r'\1.proj.', key)
    key = re.sub(r'^(blocks\d\.\d+)\.(?:bn|ln)([12])\.', r'\1.norm\2.', key)
    key = re.sub(r'^(blocks\d\.\d+)\.ffn\.', r'\1.mlp.', key)
    return re.sub(r'^norm3\.', 'norm.', key)


def may_keep_initial(key: str, file: Iterable[str], new_layer_scale: bool = False) -> bool:
    """Whether a model entry that the file lacks may stay as it was initialised."""
    return lacks(key, file, (*_LATER_PARTS, _LAYER_SCALE) if new_layer_scale else _LATER_PARTS)


def may_be_dropped(key: str, own: Iterable[str]) -> bool:
    """Whether a file entry belongs to a part that the backbone with entries ``own`` lacks."""
    module = key.split('.')[0]
    staged = re.fullmatch(r'(?:patch_embed|blocks)([1-4])', module)
    stage = staged[1] if staged else _TOKEN_STAGES.get(module)
    if stage is not None:
        return not any(name.startswith(f'blocks{stage}.') for name in own)
    return is_spare_norm(key, own)


def inflate(images: Mapping[str, Tensor], clips: Mapping[str, Tensor], mode: str) -> Adapted:
    """Turn the weights of an image network into those of one for clips.

    Args:
        images: Entries of the image network.
        clips: Entries of the network for clips.
        mode: See :func:`inflate_weight`.
    """
    state, report = inflate_kernels(images, clips, mode)
    return Adapted(state, [], report)


def fit_clip(state: Mapping[str, Tensor], own: Mapping[str, Tensor], how: str) -> Adapted:
    """Fit kernels to the size of the clips, on which none depends here."""
    return Adapted(dict(state), [], '')


def hints(
    differences: Differences, own: Mapping[str, Tensor], file: Mapping[str, Tensor]
) -> Iterator[str]:
    """What to do about differences whose cause can be told."""
    model_arch, file_arch = Arch.of(own), Arch.of(file)
    if file_arch is None or model_arch is None:
        yield 'The file does not look like a UniFormer: its entries are ' + top_level_names(file)
        return
    ours, theirs = model_arch.scaled_stages, file_arch.scaled_stages
    if set(theirs) - set(ours):
        yield (
            f'The file has layer scale in stages {theirs} (0-based), the model in {ours}: build '
            f'the backbone with layer_scale_init_value=1e-6, layer_scale_stages={theirs}.'
        )
    elif set(ours) - set(theirs):
        remedy = f'layer_scale_stages={theirs}' if theirs else 'layer_scale_init_value=0'
        yield (
            f'The model has layer scale in stages {ours} (0-based), the file in {theirs}. The '
            'missing gammas would stay near zero and switch those branches off: build the '
            f'backbone with {remedy}, or accept that with init_cfg=dict(..., '
            'allow_new_layer_scale=True).'
        )
    if model_arch.in_channels != file_arch.in_channels:
        yield (
            f'The file is for {file_arch.in_channels} input channels, the model for '
            f'{model_arch.in_channels}: init_cfg=dict(..., adapt_stem=True) adapts an RGB file.'
        )
    images = [is_for_images(state, STEM_WEIGHTS) for state in (own, file)]
    same_axes = images[0] == images[1]
    fitting = _network(file_arch, clips=not all(images))
    if images == [True, False]:
        yield f'The file is for clips, the model for images: use {fitting}.'
    # Not by the architectures: a network may stop before the stages that have a class token.
    if 'cls_token' in differences.unexpected:
        yield f'The file has the class token of the light networks, the model none: use {fitting}.'
    elif 'cls_token' in differences.missing:
        yield f'The model is a light network, the file has no class token: use {fitting}.'
    for name, ours in model_arch.shape.items():
        theirs = file_arch.shape[name]
        if isinstance(ours, tuple):
            theirs = theirs[: len(ours)]
        if name == 'light' or (name in ('split', 'std', 'inflated') and not same_axes):
            continue
        if ours != theirs:
            yield f'The model has {name}={ours}, the file {name}={theirs}.'
    if any(key.startswith('norm.') for key in differences.missing):
        yield (
            'The file has no classification norm, as dense models have none: use '
            'final_norm=False, or a classification checkpoint.'
        )


def _network(arch: Arch, clips: bool) -> str:
    """Name of the class of the networks with this architecture."""
    return f'UniFormer{"Light" if arch.light else ""}{"3D" if clips else ""}'


def describe(
    weights: Weights, arch: str | None = None, head_dim: int | None = None
) -> dict[str, Any]:
    """Find the network that fits the weights, and its arguments.

    Only loading the weights into it proves that they are complete.

    Args:
        weights: What was read.
        arch: Name of the architecture, to check it or to learn the head dimension from it.
        head_dim: Channels of one attention head, if the file does not tell it.

    Returns:
        A config of the network: its ``type``, such as ``'uniformer_mm.UniFormerLight3D'``,
        ``arch`` (a name, or a dict if no named one fits), ``head_dim``, ``in_channels``,
        ``layer_scale_init_value``, ``layer_scale_stages``, ``out_indices``, ``final_norm`` and, of
        OpenMixup's weights, ``patch_norm_eps``.

    Raises:
        CheckpointError: If the weights are no UniFormer's, contradict the arguments or do not
            tell their head dimension.
    """
    found = Arch.of(weights.backbone)
    if found is None:
        names = top_level_names(weights.backbone)
        raise CheckpointError(f'{weights.source} is no UniFormer: its entries are {names}.')
    zoo = LIGHT_ARCHS if found.light else CLIP_ARCHS if weights.video else ARCHS
    fitting = {name: named for name, named in zoo.items() if named.shape == found.shape}
    if arch is not None and arch not in fitting:
        raise CheckpointError(
            f'{weights.source} is not {arch!r}: it has {found.shape}, which fits '
            f'{", ".join(map(repr, fitting)) or "no named architecture"}.'
        )
    if arch is None and found.light:  # whose sizes have one head dimension each
        arch = next(iter(fitting), None)
    if head_dim is None:
        head_dim = weights.head_dim
    if head_dim is None and arch is not None and not weights.token_labelling:
        head_dim = fitting[arch].head_dim
    if head_dim is None:
        raise CheckpointError(
            f'Neither the content nor the name of {weights.source} tells its head_dim: give '
            'the one it was trained with, head_dim=... or --head-dim.'
        )
    if arch is None:
        arch = next((name for name, named in fitting.items() if named.head_dim == head_dim), None)
        arch = arch or next(iter(fitting), {**found.shape, 'head_dim': head_dim})
    norms = {int(key[4]) - 1 for key in weights.backbone if re.match(r'norm[1-4]\.', key)}
    config = {
        'type': f'uniformer_mm.{_network(found, weights.video)}',
        'arch': arch,
        'head_dim': head_dim,
        'in_channels': found.in_channels,
        'layer_scale_init_value': found.layer_scale_init_value,
        'layer_scale_stages': found.layer_scale_stages,
        'out_indices': tuple(sorted(norms)) or (len(found.depths) - 1,),
        'final_norm': 'norm.weight' in weights.backbone,
    }
    if weights.layout == 'openmixup':
        config['patch_norm_eps'] = 1e-6  # theirs; the authors' models have 1e-5
    return config
