"""DualFormer's files: pyramids of clips of other sizes, images into clips, what fits them.

The image network of the authors, whose weights were never released, has DualFormer's names. So has
Twins-SVT (Chu et al., NeurIPS 2021, https://github.com/Meituan-AutoML/Twins), on which it is built:
T is Twins-SVT-S, S is B, and B is L, with full convolutions for the pyramid and no coarse level.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

from uniformer_mm.architectures import DUAL_ARCHS, DualArch
from uniformer_mm.errors import CheckpointError

from ..kernels import resize_kernel
from ..names import Differences, join_modules, top_level_names
from ..weights import Weights
from .common import (
    STAGE_NORMS,
    Adapted,
    inflate_kernels,
    is_for_images,
    is_spare_norm,
    lacks,
)

STEM_WEIGHTS = ('patch_embeds.0.proj.weight',)
HEAD_DIM = 32
OPENMMLAB = True
# Stage and module of the entries of a pyramid: its fine and its coarse level, and their norm.
_PYRAMID = re.compile(r'blocks\.(\d)\.\d+\.attn\.(sr|lr|norm)\.')
# Of either level, the field with its size, and its usual size in each stage.
_LEVELS = {
    module: (field, DualArch._field_defaults[field])
    for module, field in (('sr', 'fine_sizes'), ('lr', 'coarse_sizes'))
}
# What a named architecture fixes and weights show.
_SHAPE_FIELDS = (
    *('depths', 'embed_dims', 'mlp_ratio', 'temporal_pooling', 'attention'),
    *('down_sampling', 'pos_kernel_size'),
)


def recognises(state: Iterable[str]) -> bool:
    """Whether entries have DualFormer's names."""
    return any(key.startswith('patch_embeds.') for key in state)


def may_keep_initial(key: str, file: Iterable[str], new_layer_scale: bool = False) -> bool:
    """Whether a model entry that the file lacks may stay as it was initialised."""
    return lacks(key, file, (STAGE_NORMS,))


def may_be_dropped(key: str, own: Iterable[str]) -> bool:
    """Whether a file entry belongs to a part that the backbone with entries ``own`` lacks."""
    if staged := re.match(r'(?:patch_embeds|blocks|pos_block)\.(\d)\.', key):
        return not any(name.startswith(f'blocks.{staged[1]}.') for name in own)
    return is_spare_norm(key, own)


def inflate(images: Mapping[str, Tensor], clips: Mapping[str, Tensor], mode: str) -> Adapted:
    """Turn the weights of an image network into those of one for clips.

    The second convolution of a coarse level, which mixes frames, has no counterpart in images: it
    starts as an average over its kernel. This is the original's rule, with the length of the clip
    in place of constants for 32 frames. A pyramid module that does not fit (another kind of
    convolution, as in Twins-SVT, or none at all) is left out in all blocks of its stage.

    Args:
        images: Entries of the image network.
        clips: Entries of the network for clips.
        mode: See :func:`inflate_weight`.
    """
    modules = _group(images, clips, lambda match: match.groups())
    misfits = [key for keys in modules for key in keys if not _share(keys, images, clips)]
    left_out = [key for key in misfits if key in images]
    averages = [key for key in clips if '.attn.lr.3.' in key]
    taken = images.keys() - {*left_out, *averages}
    state, report = inflate_kernels({k: v for k, v in images.items() if k in taken}, clips, mode)
    for key in averages:
        state[key] = _average(clips[key]) if clips[key].ndim == 5 else torch.zeros_like(clips[key])
    if averages:
        report += f' Averages over their kernels: {join_modules(averages)}.'
    if left_out:
        report += f' Of the pyramid, left out what does not fit: {join_modules(left_out)}.'
    return Adapted(state, [k for k in misfits if k in clips and k not in state], report)


def fit_clip(state: Mapping[str, Tensor], own: Mapping[str, Tensor], how: str) -> Adapted:
    """Fit the kernels of pyramids to clips of another size.

    A stage whose map is no larger than a level has no pyramid, so that one may appear or vanish.

    Args:
        state: Entries of the file.
        own: Entries of the model.
        how: ``'resize'`` resamples the kernels, see :func:`resize_kernel`; ``'initial'`` leaves
            them at their initial values, as the authors do.
    """
    state = dict(state)
    stages = _group(state, own, lambda match: match[1])
    one_sided = [
        key
        for keys in stages
        for key in keys
        if any(k in state for k in keys) != any(k in own for k in keys)
    ]
    others = [
        key
        for key in own
        if key in state
        and _PYRAMID.match(key)
        and own[key].ndim == state[key].ndim == 5
        and own[key].shape != state[key].shape
        and own[key].shape[:2] == state[key].shape[:2]
    ]
    left_out = [key for key in one_sided if key in state]
    initial = [key for key in one_sided if key in own]
    report = ''
    if others and how == 'resize':
        state.update((key, resize_kernel(state[key], own[key].shape[2:])) for key in others)
        report = f'Resampled for other clips ({len(others)}): {join_modules(others)}. '
    elif others:
        initial += others
    if left_out:
        report += f'In a stage without a pyramid ({len(left_out)}): {join_modules(left_out)}.'
    gone = {*left_out, *initial}
    state = {key: value for key, value in state.items() if key not in gone}
    return Adapted(state, initial, report.rstrip())


def _group(
    file: Mapping[str, Tensor], own: Mapping[str, Tensor], of: Callable[[re.Match], Any]
) -> list[list[str]]:
    """Entries of the pyramids of stages that the model has, grouped by ``of``."""
    groups: dict[Any, list[str]] = defaultdict(list)
    for key in {**file, **own}:
        match = _PYRAMID.match(key)
        if match and f'blocks.{match[1]}.0.norm1.weight' in own:
            groups[of(match)].append(key)
    return list(groups.values())


def _share(keys: Iterable[str], images: Mapping[str, Tensor], clips: Mapping[str, Tensor]) -> bool:
    """Whether both networks have a module with these entries; the size of kernels may differ."""
    shared = [key for key in keys if key in images and key in clips]
    return bool(shared) and all(images[k].shape[:2] == clips[k].shape[:2] for k in shared)


def _average(like: Tensor) -> Tensor:
    """A kernel of this shape that averages every channel."""
    out_channels, in_channels, *size = like.shape
    channels = torch.ones(out_channels, 1) if in_channels == 1 else torch.eye(out_channels)
    return (channels.to(like)[:, :, None, None, None] / prod(size)).repeat(1, 1, *size)


def hints(
    differences: Differences, own: Mapping[str, Tensor], file: Mapping[str, Tensor]
) -> Iterator[str]:
    """What to do about differences whose cause can be told."""
    model_arch, file_arch = _arch_of(own), _arch_of(file)
    if file_arch is None or model_arch is None:
        yield 'The file does not look like a DualFormer: its entries are ' + top_level_names(file)
        return
    if model_arch.in_channels != file_arch.in_channels:
        yield (
            f'The file is for {file_arch.in_channels} input channels, the model for '
            f'{model_arch.in_channels}: init_cfg=dict(..., adapt_stem=True) adapts an RGB file.'
        )
    for_images = is_for_images(file, STEM_WEIGHTS)
    model_shape, file_shape = _shape(model_arch), _shape(file_arch)
    for name, ours in model_shape.items():
        theirs = file_shape[name]
        if isinstance(ours, tuple):
            theirs = theirs[: len(ours)]
        if ours != theirs and not (for_images and name in ('temporal_pooling', 'down_sampling')):
            yield f'The model has {name}={ours!r}, the file {name}={theirs!r}.'
    clips = [_clip_size(own, model_arch), _clip_size(file, file_arch)]
    if for_images and None not in clips:
        clips[1] = (clips[0][0], *clips[1][1:])
    in_pyramid = any(_PYRAMID.match(key) for kind in differences for key in kind)
    if in_pyramid and clips[0] != clips[1]:
        yield (
            f'The pyramid of the model is for clips of {clips[0]}, that of the file for '
            f'{clips[1]}: build the backbone with that clip_size, or use init_cfg=dict(..., '
            'clip_kernels="resize"), which fits the kernels, or "initial", which leaves them '
            'untrained.'
        )
    if any(key.startswith('norm.') for key in differences.missing):
        yield 'The file has no classification norm: use final_norm=False.'


def describe(
    weights: Weights, arch: str | None = None, head_dim: int | None = None
) -> dict[str, Any]:
    """Find the network that fits the weights, and its arguments.

    Only loading the weights into it proves that they are complete.

    Args:
        weights: What was read.
        arch: Name of the architecture, to check it.
        head_dim: Channels of one attention head. Defaults to None, which is what the file states or
            the 32 of all released networks.

    Returns:
        A config of the network: its ``type``, ``arch`` (a name, or a dict if no named one fits),
        ``head_dim``, ``in_channels``, ``clip_size`` (the smallest that gives the kernels in the
        file; absent if no kernel tells), ``out_indices`` and ``final_norm``.

    Raises:
        CheckpointError: If the weights are not those of a DualFormer for clips, or contradict the
            arguments.
    """
    found = _arch_of(weights.backbone)
    if found is None or not weights.video:
        kind = 'no DualFormer' if found is None else 'for images, and only loading inflates it'
        names = top_level_names(weights.backbone)
        raise CheckpointError(f'{weights.source} is {kind}: its entries are {names}.')
    fitting = [name for name, named in DUAL_ARCHS.items() if _is(found, named)]
    if arch is not None and arch not in fitting:
        raise CheckpointError(
            f'{weights.source} is not {arch!r}: it has {_shape(found)}, which fits '
            f'{", ".join(map(repr, fitting)) or "no named architecture"}.'
        )
    head_dim = head_dim or weights.head_dim or HEAD_DIM
    norms = {int(key[4]) - 1 for key in weights.backbone if re.match(STAGE_NORMS, key)}
    config = {
        'type': 'uniformer_mm.DualFormer',
        'arch': fitting[0] if fitting else {**found._asdict(), 'head_dim': head_dim},
        'head_dim': head_dim,
        'in_channels': found.in_channels,
        'clip_size': _clip_size(weights.backbone, found),
        'out_indices': tuple(sorted(norms)) or (len(found.depths) - 1,),
        'final_norm': 'norm.weight' in weights.backbone,
    }
    return {key: value for key, value in config.items() if value is not None}


def _arch_of(state: Mapping[str, Tensor]) -> DualArch | None:
    """Read off the architecture of weights; None if they are no DualFormer's.

    What no name and shape shows has its default. Stages may be missing at the end.
    """
    kinds: dict[int, dict[int, str]] = defaultdict(dict)
    for key in state:
        if match := re.match(r'blocks\.(\d)\.(\d+)\.attn\.(qkv|q)\.weight', key):
            kinds[int(match[1])][int(match[2])] = 'L' if match[3] == 'qkv' else 'G'
    stages = sorted(kinds)
    embeds = [state.get(f'patch_embeds.{stage}.proj.weight') for stage in stages]
    hidden = state.get('blocks.0.0.mlp.fc1.weight')
    if hidden is None or any(embed is None for embed in embeds):
        return None
    modules = {match.groups() for key in state if (match := _PYRAMID.match(key))}
    kernels = [state[key] for key in state if re.search(r'\.attn\.(sr|lr\.0)\.weight', key)]
    if kernels:
        down_sampling = 'depthwise' if kernels[0].shape[1] == 1 else 'conv'
        levels = {
            field: tuple(
                (size or sizes[0]) if (str(stage), module) in modules else None
                for stage, size in enumerate(sizes)
            )
            for module, (field, sizes) in _LEVELS.items()
        }
    else:  # pools have no weights, and may be of any level
        down_sampling, levels = 'average' if modules else 'depthwise', {}
    position = state.get('pos_block.0.proj.0.weight')
    return DualArch(
        depths=tuple(len(kinds[stage]) for stage in stages),
        embed_dims=tuple(embed.shape[0] for embed in embeds),
        mlp_ratio=hidden.shape[0] / hidden.shape[1],
        in_channels=embeds[0].shape[1],
        temporal_pooling=tuple(_kernel(embed)[0] for embed in embeds),
        attention=tuple(''.join(kind for _, kind in sorted(kinds[s].items())) for s in stages),
        down_sampling=down_sampling,
        pos_kernel_size=0 if position is None else position.shape[-1],
        **levels,
    )


def _shape(arch: DualArch) -> dict[str, Any]:
    """The fields that a named architecture fixes and weights show, with the kinds of all blocks."""
    kinds = zip(arch.attention, arch.depths, strict=True)
    shape = {name: getattr(arch, name) for name in _SHAPE_FIELDS}
    return {**shape, 'attention': tuple((kind * depth)[:depth] for kind, depth in kinds)}


def _is(found: DualArch, named: DualArch) -> bool:
    """Whether weights of the architecture ``found`` can be of a named one.

    A stage without any level may have lost them: maps of small clips are no larger than a level.
    """
    levels = zip(
        *(zip(arch.fine_sizes, arch.coarse_sizes, strict=True) for arch in (found, named)),
        strict=True,
    )
    return _shape(found) == _shape(named) and all(
        not any(ours) or list(map(bool, ours)) == list(map(bool, theirs)) for ours, theirs in levels
    )


def _clip_size(state: Mapping[str, Tensor], arch: DualArch) -> tuple[int, int, int] | None:
    """The smallest clip with the pyramid kernels of these entries; None if there are none.

    It is exact as far as the tokens of the levels are the usual ones, which no shape shows.
    """
    levels = []  # of each level and axis: kernel, and tokens times stride
    stride = [1, 4, 4]
    for stage, rate in enumerate(arch.temporal_pooling):
        stride = [stride[0] * rate, 4 * 2**stage, 4 * 2**stage]
        block = f'blocks.{stage}.{arch.attention[stage].find("G")}.attn'
        for module, (field, _) in _LEVELS.items():
            steps = [
                _kernel(weight)
                for key, weight in state.items()
                if key.startswith(f'{block}.{module}.') and weight.ndim > 3
            ]
            if steps:
                unit = [n * s for n, s in zip(getattr(arch, field)[stage], stride, strict=True)]
                levels.append(list(zip(map(prod, zip(*steps, strict=True)), unit, strict=True)))
    if not levels:
        return None
    # A kernel of 1 may be that of any smaller clip.
    return tuple(
        max((kernel * unit for kernel, unit in axis if kernel > 1), default=min(axis)[1])
        for axis in zip(*levels, strict=True)
    )


def _kernel(weight: Tensor) -> tuple[int, int, int]:
    """Size (T, H, W) of a kernel; those of images have one frame."""
    return (1,) * (5 - weight.ndim) + tuple(weight.shape[2:])
