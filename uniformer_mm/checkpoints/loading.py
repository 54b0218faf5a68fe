"""Loading weights into a backbone, strictly."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from .architecture import STEM_WEIGHTS, Architecture
from .errors import CheckpointError
from .inflation import inflate_state
from .names import Differences, join_modules, top_level_names
from .reading import Weights, read_checkpoint


def load_backbone(
    backbone: nn.Module,
    checkpoint: str | os.PathLike | Weights,
    *,
    ema: bool | None = None,
    prefix: str | None = None,
    head_dim: int | None = None,
    adapt_stem: bool = False,
    inflate: str | None = None,
) -> None:
    """Load a checkpoint of any layout into a backbone; nothing may be left over.

    The arguments after ``backbone`` are the entries of ``init_cfg=dict(type='Pretrained', ...)``.
    Every name and shape must agree. Only these may be dropped, and each is logged:

    * parts that are no backbone: classification heads, necks, task heads;
    * the classification norm ``norm``, if the backbone has none;
    * stages that the backbone does not build, and ``norm1`` .. ``norm4`` of stages that it does
      not return.

    Only these may be missing, keep their initial values and are logged: ``norm1`` .. ``norm4`` if
    the file has none of them (they do not exist in classification), the temporal attention of
    ``split=True`` likewise (it starts with the output zero), and BatchNorms'
    ``num_batches_tracked``.

    Weights of an image network are inflated for clips: their kernels get a time axis, see
    :func:`inflate_weight`. What is inflated and what is copied is logged.

    Args:
        backbone: A UniFormer.
        checkpoint: A file, a URL, or weights that were read before.
        ema: Which weights of a file with averaged ones; see :func:`read_checkpoint`.
        prefix: Take only entries below this name. Defaults to None, which finds ``backbone.``.
        head_dim: States the head dimension of a file whose name does not tell it. Defaults to
            None.
        adapt_stem: Allow another number of input channels; see :func:`adapt_stem_weight`.
            Defaults to False.
        inflate: How the kernels of an image network are inflated for clips: ``'average'`` or
            ``'center'``. Defaults to None, which is the original's ``'average'``.

    Raises:
        CheckpointError: If the file cannot be read, does not fit, or was trained with another
            head dimension.
    """
    weights = checkpoint
    if not isinstance(checkpoint, Weights):
        weights = read_checkpoint(checkpoint, ema=ema, prefix=prefix)
    check_head_dim(backbone, weights, head_dim)

    own = backbone.state_dict()
    state = dict(weights.backbone)
    adapted = ''
    if adapt_stem:
        for key in STEM_WEIGHTS:
            if key in own and key in state and own[key].shape[1] != state[key].shape[1]:
                adapted = f'; {key} adapted to {own[key].shape[1]} input channels'
                state[key] = adapt_stem_weight(state[key], own[key].shape[1])
    inflated = ''
    if inflate is not None and backbone.ndim != 3:
        raise CheckpointError(f'inflate={inflate!r} is for clips: for images nothing is inflated.')
    if backbone.ndim == 3 and any(state[key].ndim == 4 for key in STEM_WEIGHTS if key in state):
        state, inflated = inflate_state(state, own, inflate or 'average')
    dropped = [key for key in state if key not in own and _is_droppable(key, own)]
    for key in dropped:
        del state[key]
    optional = [
        part
        for part in (r'norm[1-4]\.', r'blocks\d\.\d+\.t_(attn|norm)\.')
        if not any(re.match(part, key) for key in weights.backbone)
    ]
    kept = [
        key
        for key in own
        if key not in state
        and (key.endswith('.num_batches_tracked') or any(re.match(part, key) for part in optional))
    ]
    state.update((key, own[key]) for key in kept)

    differences = Differences.between(own, state)
    if differences:
        causes = ''.join(f'{hint}\n' for hint in _hints(differences, own, weights.backbone))
        raise CheckpointError(
            f'{weights.source} does not fit this {type(backbone).__name__}.\n'
            f'{causes}{differences.describe()}'
        )
    backbone.load_state_dict(state)

    report = f'Loaded {len(state) - len(kept)} backbone entries from {weights.source}{adapted}.'
    dropped += [*weights.classifier, *weights.other]
    if dropped:
        report += f' Not used ({len(dropped)}): {join_modules(dropped)}.'
    if kept:
        report += f' At their initial values ({len(kept)}): {join_modules(kept)}.'
    print_log(report, logger='current')
    if inflated:
        print_log(inflated, logger='current')


def check_head_dim(backbone: nn.Module, weights: Weights, stated: int | None = None) -> None:
    """Refuse weights of another head dimension, which no tensor shape shows.

    Args:
        backbone: A UniFormer.
        weights: What is to be loaded into it.
        stated: What the user says the weights have. Defaults to None.

    Raises:
        CheckpointError: If they disagree, or if token-labelling weights have no known one.
    """
    known = weights.head_dim
    if None not in (known, stated) and known != stated:
        raise CheckpointError(
            f'init_cfg says head_dim={stated}, but {weights.source} was trained with '
            f'head_dim={known}.'
        )
    head_dim = known if stated is None else stated
    if head_dim is not None and head_dim != backbone.head_dim:
        raise CheckpointError(
            f'{weights.source} was trained with head_dim={head_dim}, but the backbone has '
            f'head_dim={backbone.head_dim}. The shapes agree all the same, and the model would '
            f'predict badly: set head_dim={head_dim} in the backbone.'
        )
    if head_dim is None and weights.token_labelling:
        raise CheckpointError(
            f'{weights.source} was trained with token labelling, where the same model name has '
            'another head_dim (32 for S, B and S+, 64 for their "dim64" twins and L), and its '
            'name does not tell which. State it with init_cfg=dict(..., head_dim=32) or 64.'
        )
    if head_dim is None and weights.layout == 'official':
        print_log(
            f'The name of {weights.source} does not tell its head_dim and no shape shows it; it '
            f'is taken to be the {backbone.head_dim} of the config. State it with '
            'init_cfg=dict(..., head_dim=...) to be sure.',
            logger='current',
            level=logging.WARNING,
        )


def _is_droppable(key: str, own: Mapping[str, Tensor]) -> bool:
    """Whether a file entry belongs to a part that this backbone need not have."""
    module = key.split('.')[0]
    stage = re.fullmatch(r'(?:patch_embed|blocks)([1-4])', module)
    if stage:
        return not any(name.startswith(f'blocks{stage[1]}.') for name in own)
    is_norm = re.fullmatch(r'norm[1-4]?', module)
    return bool(is_norm) and not any(name.startswith(f'{module}.') for name in own)


def _hints(
    differences: Differences, own: Mapping[str, Tensor], file: Mapping[str, Tensor]
) -> Iterable[str]:
    """What to do about differences whose cause can be told."""
    model_arch, file_arch = Architecture.of(own), Architecture.of(file)
    if file_arch is None or model_arch is None:
        yield 'The file does not look like a UniFormer: its entries are ' + top_level_names(file)
        return
    ours, theirs = model_arch.layer_scale_stages, file_arch.layer_scale_stages
    if set(theirs) - set(ours):
        yield (
            f'The file has layer scale in stages {theirs} (0-based), the model in {ours}: build '
            f'the backbone with layer_scale_init_value=1e-6, layer_scale_stages={theirs}.'
        )
    elif set(ours) - set(theirs):
        yield (
            f'The model has layer scale in stages {ours} (0-based), the file in {theirs}. The '
            'missing gammas would stay near zero and switch those branches off: build the '
            'backbone with '
            + (f'layer_scale_stages={theirs}.' if theirs else 'layer_scale_init_value=0.')
        )
    if model_arch.in_channels != file_arch.in_channels:
        yield (
            f'The file is for {file_arch.in_channels} input channels, the model for '
            f'{model_arch.in_channels}: init_cfg=dict(..., adapt_stem=True) adapts an RGB file.'
        )
    names = ['depths', 'embed_dims', 'mlp_ratio', 'stem', 'stage_types']
    names += ['local_kernel_size', 'pos_kernel_size']
    if file_arch.ndim == model_arch.ndim:
        names += ['split', 'std']
    elif file_arch.ndim == 3:
        yield 'The file is for clips, the model for images: use UniFormer3D.'
    for name in names:
        ours, theirs = getattr(model_arch, name), getattr(file_arch, name)
        if name in ('depths', 'embed_dims', 'stage_types'):
            theirs = theirs[: len(ours)]
        if ours != theirs:
            yield f'The model has {name}={ours}, the file {name}={theirs}.'
    if any(key.startswith('norm.') for key in differences.missing):
        yield (
            'The file has no classification norm, as dense models have none: use '
            'final_norm=False, or a classification checkpoint.'
        )


def adapt_stem_weight(weight: Tensor, in_channels: int) -> Tensor:
    """Turn the RGB filters of a first convolution into filters for other channels.

    Three channels or more: the first three keep the red, green and blue filters, each further
    one gets their mean. One or two: each gets the mean. All are scaled by 3 / ``in_channels``,
    so that an image whose channels are all equal gives exactly the pretrained response.

    Args:
        weight: Filters of shape (C_out, 3, ...).
        in_channels: Channels of the new input.

    Returns:
        Filters of shape (C_out, in_channels, ...).

    Raises:
        CheckpointError: If the filters are not for three channels.
    """
    if weight.shape[1] != 3:
        raise CheckpointError(
            f'Only RGB filters can be adapted, these have {weight.shape[1]} input channels.'
        )
    mean = weight.mean(dim=1, keepdim=True)
    extra = in_channels - 3
    channels = [mean] * in_channels if extra < 0 else [weight, *[mean] * extra]
    return torch.cat(channels, dim=1) * (3 / in_channels)
