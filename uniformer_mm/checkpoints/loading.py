"""Loading weights into a backbone or a whole model, strictly."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator

from mmengine.logging import print_log
from torch import Tensor, nn

from uniformer_mm.errors import CheckpointError

from .class_orders import possible_class_order, reorder_head
from .families import family_of
from .families.common import Adapted, is_for_images
from .families.common import adapt_stem as fit_stem
from .integrity import check_values
from .names import Differences, join_modules
from .reading import parse_checkpoint, read_checkpoint
from .released import find_released
from .weights import Weights
from .writing import to_mm

_STAGE_NORM = re.compile(r'backbone\.norm[1-4]\.')
_TRAINING_ONLY = 'for training alone: use {}, or drop it with convert.py --drop-token-head'
# Second heads of classifiers, what a file with one needs, and what one without it needs.
_SECOND_HEADS = {
    'head.aux_fc': ('part of the scores: use uniformer_mm.TokenLabelHead', 'LinearClsHead'),
    'head.token_fc': (_TRAINING_ONLY.format('uniformer_mm.LightClsHead'), 'LinearClsHead'),
    'cls_head.token_fc': (_TRAINING_ONLY.format('uniformer_mm.LightHead3D'), 'I3DHead'),
    'cls_head.token_linear': (_TRAINING_ONLY.format('uniformer_mm.TokenLabelHead3D'), 'I3DHead'),
}
_CLIP_KERNELS = ('resize', 'initial')


def load_backbone(
    backbone: nn.Module,
    checkpoint: str | os.PathLike | Weights,
    *,
    ema: bool | None = None,
    prefix: str | None = None,
    head_dim: int | None = None,
    adapt_stem: bool = False,
    inflate: str | None = None,
    clip_kernels: str | None = None,
    allow_new_layer_scale: bool = False,
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
    :func:`inflate_weight`. What is inflated and what is copied is logged. Parts of DualFormer's
    pyramid that the image network lacks or has in another form, as Twins-SVT, keep their initial
    values, which is logged too.

    Args:
        backbone: A UniFormer or DualFormer.
        checkpoint: A file, an address or a released name, see
            :func:`~uniformer_mm.checkpoints.resolve`, or weights that were read before.
        ema: Which weights of a file with averaged ones; see :func:`read_checkpoint`.
        prefix: Take only entries below this name. Defaults to None, which finds ``backbone.``.
        head_dim: States the head dimension of a file whose name does not tell it. Defaults to
            None.
        adapt_stem: Allow another number of input channels; see :func:`adapt_stem_weight`.
            Defaults to False.
        inflate: How the kernels of an image network are inflated for clips: ``'average'`` or
            ``'center'``. Defaults to None, which is the original's ``'average'``.
        clip_kernels: What to do where the kernels of DualFormer's pyramid have another size, since
            the file is for clips of another size: ``'resize'`` resamples them, see
            :func:`resize_kernel`; ``'initial'`` leaves them at their initial values, as the
            authors do. Defaults to None, for which it is an error.
        allow_new_layer_scale: Let the layer scale of a file that has none keep its initial value.
            Defaults to False, since a small one switches off what the file has learnt.

    Raises:
        CheckpointError: If the file cannot be read, does not fit, holds numbers that are not
            finite, or was trained with another head dimension.
    """
    weights = checkpoint
    if not isinstance(checkpoint, Weights):
        weights = read_checkpoint(checkpoint, ema=ema, prefix=prefix)
    check_head_dim(backbone, weights, head_dim)

    own = backbone.state_dict()
    state = dict(weights.backbone)
    family = family_of(own)
    adapted = fit_stem(state, own, family.STEM_WEIGHTS) if adapt_stem else ''
    state, initial, changes = _fit_to_clips(backbone, state, own, inflate, clip_kernels)
    dropped = [key for key in state if key not in own and family.may_be_dropped(key, own)]
    for key in dropped:
        del state[key]
    loaded = sum(key in weights.backbone for key in state)
    kept = [
        key
        for key in own
        if key not in state
        and (
            key in initial
            or key.endswith('.num_batches_tracked')
            or family.may_keep_initial(key, weights.backbone, allow_new_layer_scale)
        )
    ]
    state.update((key, own[key]) for key in kept)

    differences = Differences.between(own, state)
    if differences:
        causes = family.hints(differences, own, weights.backbone)
        lines = [*causes, differences.describe()]
        raise CheckpointError(
            f'{weights.source} does not fit this {type(backbone).__name__}.\n' + '\n'.join(lines)
        )
    check_values(state, own, weights.source)
    backbone.load_state_dict(state)

    report = f'Loaded {loaded} backbone entries from {weights.source}{adapted}.'
    dropped += [*weights.classifier, *weights.other]
    if dropped:
        report += f' Not used ({len(dropped)}): {join_modules(dropped)}.'
    if kept:
        report += f' At their initial values ({len(kept)}): {join_modules(kept)}.'
    print_log(report, logger='current')
    if changes:
        print_log(changes, logger='current')


def _fit_to_clips(
    backbone: nn.Module,
    state: dict[str, Tensor],
    own: dict[str, Tensor],
    inflate: str | None,
    clip_kernels: str | None,
) -> Adapted:
    """Inflate weights of images, and fit kernels to another size of clips if that is asked for."""
    family = family_of(own)
    initial: list[str] = []
    reports: list[str] = []
    if inflate is not None and backbone.ndim != 3:
        raise CheckpointError(f'inflate={inflate!r} is for clips: for images nothing is inflated.')
    if clip_kernels not in (None, *_CLIP_KERNELS):
        raise CheckpointError(
            f'clip_kernels must be one of {", ".join(_CLIP_KERNELS)}; got {clip_kernels!r}.'
        )
    if backbone.ndim == 3 and is_for_images(state, family.STEM_WEIGHTS):
        state, initial, report = family.inflate(state, own, inflate or 'average')
        reports.append(report)
    if clip_kernels is not None:
        state, others, report = family.fit_clip(state, own, clip_kernels)
        initial += others
        reports.append(report)
    return Adapted(state, initial, ' '.join(filter(None, reports)))


def check_head_dim(backbone: nn.Module, weights: Weights, stated: int | None = None) -> None:
    """Refuse weights of another head dimension, which no tensor shape shows.

    Args:
        backbone: A UniFormer or DualFormer.
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
    if head_dim is None and weights.layout == 'official':
        head_dim = family_of(weights.backbone).HEAD_DIM
    if head_dim is not None and head_dim != backbone.head_dim:
        raise CheckpointError(
            f'{weights.source} was trained with head_dim={head_dim}, but the backbone has '
            f'head_dim={backbone.head_dim}. The shapes agree all the same, and the model would '
            f'predict badly: set head_dim={head_dim} in the backbone.'
        )
    if head_dim is None and weights.layout == 'official':
        if weights.token_labelling:
            raise CheckpointError(
                f'{weights.source} was trained with token labelling, where the same model name has '
                'another head_dim (32 for S, B and S+, 64 for their "dim64" twins and L), and its '
                'name does not tell which. State it with init_cfg=dict(..., head_dim=32) or 64, '
                'for a whole model with --head-dim of tools/checkpoints/convert.py.'
            )
        print_log(
            f'The name of {weights.source} does not tell its head_dim and no shape shows it; it '
            f'is taken to be the {backbone.head_dim} of the config. State it with '
            'init_cfg=dict(..., head_dim=...) to be sure.',
            logger='current',
            level=logging.WARNING,
        )


def load_model(
    model: nn.Module,
    checkpoint: dict,
    source: str,
    *,
    allow_new_head: bool = False,
    class_order: str | None = None,
) -> None:
    """Bring a checkpoint to the layout of a whole model in place, and load it strictly.

    Only ``num_batches_tracked`` of BatchNorms may be missing. Only ``data_preprocessor.*`` (older
    files have its mean and std, which the config gives) and ``norm1`` .. ``norm4`` of stages that
    the backbone does not return (the authors' pose models have them without using them) may be left
    over. All are logged. Renaming that a model does itself while it loads is respected.

    Args:
        model: The whole model.
        checkpoint: What the file holds. Its ``state_dict`` becomes what was loaded.
        source: Name of the file, for messages.
        allow_new_head: Let entries of heads (modules with ``head`` in their name) differ as well.
            Defaults to False.
        class_order: The data's labels are numbered as MMAction2's of ``'kinetics400'``,
            ``'kinetics600'`` or ``'sthv1'``, so that an official head is brought into that order.
            Defaults to None, which leaves it as it is.

    Raises:
        CheckpointError: Lists everything that does not fit, or that cannot be trained weights.
    """

    def may_differ(key: str) -> bool:
        if key.endswith('.num_batches_tracked') or key.startswith('data_preprocessor.'):
            return True
        return allow_new_head and 'head' in key.split('.')[0]

    weights = parse_checkpoint(checkpoint, source)
    backbone = getattr(model, 'backbone', None)
    if backbone is None:
        state = {**weights.backbone, **weights.classifier, **weights.other}
    else:
        state = to_mm(_order_classes(weights, class_order))
    if hasattr(backbone, 'head_dim'):
        check_head_dim(backbone, weights)

    differences = Differences.between(model.state_dict(), state)
    ignored = {key for kind in differences for key in kind if may_differ(key)}
    ignored |= {key for key in differences.unexpected if _STAGE_NORM.match(key)}
    for key in ignored:
        state.pop(key, None)
        if isinstance(averaged := checkpoint.get('ema_state_dict'), dict):
            averaged.pop(f'module.{key}', None)  # EMAHook swaps the two dicts name by name
    _load_whole(model, state, ignored, weights)
    if ignored:
        print_log(
            f'{source}: left over, or not in the file and at its initial value '
            f'({len(ignored)}): {", ".join(sorted(ignored))}',
            logger='current',
            level=logging.WARNING,
        )
    if 'state_dict' not in checkpoint:
        checkpoint.clear()
    checkpoint['state_dict'] = state
    if 'meta' in checkpoint:
        checkpoint['meta'] = weights.meta  # a dict, whatever the file has


def _order_classes(weights: Weights, wanted: str | None) -> Weights:
    """Number the classes of an official head as the labels of the data are."""
    possible = possible_class_order(weights)
    if weights.layout != 'official' or possible is None:
        return weights
    if wanted == possible:
        print_log(
            f"{weights.source}: the head's classes were brought from the authors' order into "
            f"MMAction2's of {possible}.",
            logger='current',
        )
        return reorder_head(weights, possible, to_mmaction=True)
    released = find_released(weights.source)
    if released is None or released.class_order is not None:  # None: of Something-Something V2
        print_log(
            f"{weights.source}: the head's classes keep the authors' order. If the labels of your "
            f"data are MMAction2's of {possible}, add default_hooks=dict(checkpoint_guard=dict("
            f"type='uniformer_mm.CheckpointGuardHook', class_order={possible!r})).",
            logger='current',
            level=logging.WARNING,
        )
    return weights


def _load_whole(
    model: nn.Module, state: dict[str, Tensor], ignored: set[str], weights: Weights
) -> None:
    """Load all but ``ignored``; torch reports names after the model's own renaming."""
    own = model.state_dict()
    differences = Differences.between(own, state)
    error = ''
    if not differences.misshapen:
        check_values(state, own, weights.source)
        try:
            missing, unexpected = model.load_state_dict(state, strict=False)
        except RuntimeError as mismatch:  # a shape that differs after renaming
            error = f'{mismatch}\n'
        else:
            differences = Differences(
                missing={k: tuple(own[k].shape) for k in missing},
                unexpected={k: tuple(state[k].shape) for k in unexpected if k in state},
                misshapen={},
            )
    for key in ignored:
        differences.missing.pop(key, None)
    if differences or error:
        causes = ''.join(f'{cause}\n' for cause in _causes(model, differences, weights))
        raise CheckpointError(
            f'{weights.source} does not fit the model.\n{causes}{error}{differences.describe()}\n'
            'To load a backbone alone, use model.backbone.init_cfg=dict(type="Pretrained", '
            'checkpoint=...) instead of load_from. To train a new head, use default_hooks='
            'dict(checkpoint_guard=dict(type="uniformer_mm.CheckpointGuardHook", '
            'allow_new_head=True)).'
        )


def _causes(model: nn.Module, differences: Differences, weights: Weights) -> Iterator[str]:
    """What to do about differences of a whole model whose cause can be told."""
    for head, (remedy, plain) in _SECOND_HEADS.items():
        if any(key.startswith(f'{head}.') for key in differences.unexpected):
            yield f'The file has a second head, {head}, {remedy}.'
        elif any(key.startswith(f'{head}.') for key in differences.missing):
            yield f'The model has a second head, {head}, the file none: use {plain}.'
    backbone = getattr(model, 'backbone', None)
    if hasattr(backbone, 'head_dim'):
        own = backbone.state_dict()
        backbones = Differences.between(own, weights.backbone)
        yield from family_of(own).hints(backbones, own, weights.backbone)
