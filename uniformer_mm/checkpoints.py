"""Read UniFormer weights from every layout they are published in, and load them strictly.

============  ====================================================================================
layout        what the file holds
============  ====================================================================================
official      names such as ``blocks1.0.norm1.weight`` and ``head.weight``, bare or under
              ``model``, ``state_dict`` or ``model_state``; averaged weights under ``model_ema`` or
              ``state_dict_ema``; any ``module.`` prefix; training arguments beside them
mm            ``state_dict`` with official names below ``backbone.`` and the heads of a model of an
              OpenMMLab library, from training, :func:`to_mm` or the authors' dense training
openmixup     as mm, with OpenMixup's names (``projection``, ``ffn``, ``bn1``, ``ln1``, ``norm3``)
============  ====================================================================================

Files are only ever read under the weights-only rule, so that no code in them runs.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from . import compat

__all__ = [
    'Architecture',
    'CheckpointError',
    'Differences',
    'Weights',
    'adapt_stem_weight',
    'check_file',
    'check_head_dim',
    'describe_weights',
    'known_head_dim',
    'load_backbone',
    'parse_checkpoint',
    'read_checkpoint',
    'save_checkpoint',
    'sha256_of',
    'to_mm',
    'to_official',
]

_PLAIN_ENTRIES = ('state_dict', 'model', 'model_state')
_AVERAGED_ENTRIES = ('model_ema', 'state_dict_ema')
# Parts that only the classifier has; a backbone may be loaded without them.
_CLASSIFIER_PREFIXES = ('head.', 'aux_head.', 'head_cls.', 'norm_cls.')
_STEM_WEIGHTS = ('patch_embed1.proj.weight', 'patch_embed1.proj.0.weight')


class CheckpointError(RuntimeError):
    """A file that cannot be read, or weights that do not fit the model."""


# -------------------------------------------------------------------------------------------------
# Reading
# -------------------------------------------------------------------------------------------------


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
                f'{_top_level_names(state)}. Official files need no prefix.'
            )
        state = selected
    meta = checkpoint.get('meta')
    meta = dict(meta) if isinstance(meta, Mapping) else {}

    is_openmixup = any(re.match(r'(backbone\.)?patch_embed\d\.projection\.', k) for k in state)
    is_mm = any(key.startswith('backbone.') for key in state)
    backbone: dict[str, Tensor] = {}
    classifier: dict[str, Tensor] = {}
    other: dict[str, Tensor] = {}
    for key, value in state.items():
        if is_mm or is_openmixup:
            if key.startswith('head.fc.'):
                classifier[key.replace('.fc.', '.')] = value
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
                f'ema_state_dict is among its entries {_shorten(checkpoint)}.'
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
            f'{_shorten(checkpoint)}; weights are expected bare or under one of '
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


# -------------------------------------------------------------------------------------------------
# What a file contains
# -------------------------------------------------------------------------------------------------

# Names of the authors' experiment folders and public files: head_dim, token labelling. The same
# model name means another head_dim with token labelling, and no tensor shape shows it.
_KNOWN_FILES = {
    'uniformer_small': (64, False),
    'uniformer_small_plus': (32, False),
    'uniformer_small_plus_dim64': (64, False),
    'uniformer_base': (64, False),
    'uniformer_base_ls': (64, False),
    'uniformer_small_tl': (32, True),
    'uniformer_small_dim64_tl': (64, True),
    'uniformer_small_plus_tl': (32, True),
    'uniformer_small_plus_dim64_tl': (64, True),
    'uniformer_base_tl': (32, True),
    'uniformer_base_dim64_tl': (64, True),
    'uniformer_large_ls_tl': (64, True),
    'uniformer_small_8xb128_fp16_ep300': (64, False),
}


def known_head_dim(path: str | os.PathLike, token_labelling: bool) -> int | None:
    """Channels of one attention head in a released file, by its name.

    Args:
        path: Path or URL; folders, a resolution, ``in1k`` and a hash in the name do not matter.
        token_labelling: Whether the file has the token-labelling head. A name that says otherwise
            is not trusted.

    Returns:
        The head dimension, or None for an unknown name.
    """
    stem = re.sub(r'\.(pth|pt|pyth|bin)$', '', str(path).rsplit('/', 1)[-1])
    stem = re.sub(r'(_in1k|_224|_384|-[0-9a-f]{8})+$', '', stem)
    head_dim, is_token_labelling = _KNOWN_FILES.get(stem, (None, token_labelling))
    return head_dim if is_token_labelling == token_labelling else None


class Architecture(NamedTuple):
    """What names and shapes show of a backbone.

    Attributes:
        depths: Blocks of each stage.
        embed_dims: Channels of each stage.
        mlp_ratio: Width of the feed-forward networks over their channels.
        stem: ``'patch'`` or ``'conv'``.
        in_channels: Channels of the input.
        layer_scale_stages: 0-based stages whose blocks have layer scale.
    """

    depths: tuple[int, ...]
    embed_dims: tuple[int, ...]
    mlp_ratio: float
    stem: str
    in_channels: int
    layer_scale_stages: tuple[int, ...]

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Architecture | None:
        """Read off the architecture; None if the entries are no UniFormer's.

        Args:
            state: Backbone entries under official names.
        """
        blocks: dict[int, set[int]] = defaultdict(set)
        scaled = set()
        for key in state:
            match = re.match(r'blocks(\d)\.(\d+)\.(gamma_)?', key)
            if match:
                blocks[int(match[1])].add(int(match[2]))
                if match[3]:
                    scaled.add(int(match[1]) - 1)
        stem = next((state[key] for key in _STEM_WEIGHTS if key in state), None)
        stages = sorted(blocks)
        widths = [state.get(f'blocks{stage}.0.pos_embed.weight') for stage in stages]
        hidden = state.get('blocks1.0.mlp.fc1.weight')
        if stem is None or hidden is None or any(width is None for width in widths):
            return None
        return cls(
            depths=tuple(len(blocks[stage]) for stage in stages),
            embed_dims=tuple(width.shape[0] for width in widths),
            mlp_ratio=hidden.shape[0] / widths[0].shape[0],
            stem='patch' if _STEM_WEIGHTS[0] in state else 'conv',
            in_channels=stem.shape[1],
            layer_scale_stages=tuple(sorted(scaled)),
        )


# -------------------------------------------------------------------------------------------------
# Comparing
# -------------------------------------------------------------------------------------------------


class Differences(NamedTuple):
    """How a state dict differs from a model's.

    Attributes:
        missing: Model entries that the file lacks, with their shapes.
        unexpected: File entries that the model lacks, with their shapes.
        misshapen: Entries of both, with the model's and the file's shape.
    """

    missing: dict[str, tuple[int, ...]]
    unexpected: dict[str, tuple[int, ...]]
    misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @classmethod
    def between(cls, model: Mapping[str, Tensor], file: Mapping[str, Tensor]) -> Differences:
        """Compare names and shapes of a model's entries with a file's."""
        return cls(
            missing={k: tuple(v.shape) for k, v in model.items() if k not in file},
            unexpected={k: tuple(v.shape) for k, v in file.items() if k not in model},
            misshapen={
                k: (tuple(v.shape), tuple(file[k].shape))
                for k, v in model.items()
                if k in file and v.shape != file[k].shape
            },
        )

    def __bool__(self) -> bool:
        return any(self)

    def describe(self) -> str:
        """One line a kind and name, with the blocks of a stage folded into ``[0-7]``."""
        lines = []
        for title, entries in (
            ('Missing from the file', self.missing),
            ('Not in the model', self.unexpected),
        ):
            if entries:
                lines.append(f'{title} ({len(entries)}):')
                lines += [f'    {name} {shape}' for name, shape in _fold_blocks(entries)]
        if self.misshapen:
            lines.append(f'Of another shape ({len(self.misshapen)}):')
            lines += [
                f'    {name}: the model has {model}, the file {file}'
                for name, (model, file) in _fold_blocks(self.misshapen)
            ]
        return '\n'.join(lines)


def _fold_blocks(entries: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Merge entries that differ only in the block index; no entry is left out."""
    groups: dict[tuple[str, Any], list[int]] = {}
    for key, value in entries.items():
        match = re.search(r'\bblocks\d\.(\d+)\.', key)
        template = f'{key[: match.start(1)]}*{key[match.end(1) :]}' if match else key
        groups.setdefault((template, value), []).extend([int(match[1])] if match else [])
    return [
        (template.replace('*', _ranges(indices), 1) if indices else template, value)
        for (template, value), indices in groups.items()
    ]


def _ranges(indices: Iterable[int]) -> str:
    """``[0, 1, 2, 5]`` as ``'[0-2,5]'``, a single index as itself."""
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    text = ','.join(str(run[0]) if len(run) == 1 else f'{run[0]}-{run[-1]}' for run in runs)
    return text if text.isdigit() else f'[{text}]'


def _shorten(names: Iterable[Any], limit: int = 12) -> str:
    names = [str(name) for name in names]
    rest = f' and {len(names) - limit} more' if len(names) > limit else ''
    return ', '.join(names[:limit]) + rest


def _top_level_names(state: Iterable[str]) -> str:
    return _shorten(dict.fromkeys(key.split('.')[0] for key in state))


# -------------------------------------------------------------------------------------------------
# Loading
# -------------------------------------------------------------------------------------------------


def load_backbone(
    backbone: nn.Module,
    checkpoint: str | os.PathLike | Weights,
    *,
    ema: bool | None = None,
    prefix: str | None = None,
    head_dim: int | None = None,
    adapt_stem: bool = False,
) -> None:
    """Load a checkpoint of any layout into a backbone; nothing may be left over.

    The arguments after ``backbone`` are the entries of ``init_cfg=dict(type='Pretrained', ...)``.
    Every name and shape must agree. Only these may be dropped, and each is logged:

    * parts that are no backbone: classification heads, necks, task heads;
    * the classification norm ``norm``, if the backbone has none;
    * stages that the backbone does not build, and ``norm1`` .. ``norm4`` of stages that it does
      not return.

    Only these may be missing, keep their initial values and are logged: ``norm1`` .. ``norm4`` if
    the file has none of them (they do not exist in classification) and BatchNorms'
    ``num_batches_tracked``.

    Args:
        backbone: A UniFormer.
        checkpoint: A file, a URL, or weights that were read before.
        ema: Which weights of a file with averaged ones; see :func:`read_checkpoint`.
        prefix: Take only entries below this name. Defaults to None, which finds ``backbone.``.
        head_dim: States the head dimension of a file whose name does not tell it. Defaults to
            None.
        adapt_stem: Allow another number of input channels; see :func:`adapt_stem_weight`.
            Defaults to False.

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
        for key in _STEM_WEIGHTS:
            if key in own and key in state and own[key].shape[1] != state[key].shape[1]:
                adapted = f'; {key} adapted to {own[key].shape[1]} input channels'
                state[key] = adapt_stem_weight(state[key], own[key].shape[1])
    dropped = [key for key in state if key not in own and _is_droppable(key, own)]
    for key in dropped:
        del state[key]
    has_stage_norms = any(re.match(r'norm[1-4]\.', key) for key in weights.backbone)
    kept = [
        key
        for key in own
        if key not in state
        and (
            key.endswith('.num_batches_tracked')
            or (re.match(r'norm[1-4]\.', key) and not has_stage_norms)
        )
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
        report += f' Not used ({len(dropped)}): {_join_modules(dropped)}.'
    if kept:
        report += f' At their initial values ({len(kept)}): {_join_modules(kept)}.'
    print_log(report, logger='current')


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
        yield 'The file does not look like a UniFormer: its entries are ' + _top_level_names(file)
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
    for name in ('depths', 'embed_dims', 'mlp_ratio', 'stem'):
        ours, theirs = getattr(model_arch, name), getattr(file_arch, name)
        if name in ('depths', 'embed_dims'):
            theirs = theirs[: len(ours)]
        if ours != theirs:
            yield f'The model has {name}={ours}, the file {name}={theirs}.'
    if any(key.startswith('norm.') for key in differences.missing):
        yield (
            'The file has no classification norm, as dense models have none: use '
            'final_norm=False, or a classification checkpoint.'
        )


def _join_modules(keys: Iterable[str]) -> str:
    """Entry names, those of one module together: ``norm.{weight,bias}``."""
    modules: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        module, _, leaf = key.rpartition('.')
        modules[module].append(leaf)
    return ', '.join(
        f'{module}.{leaves[0] if len(leaves) == 1 else "{" + ",".join(leaves) + "}"}'
        for module, leaves in modules.items()
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


# -------------------------------------------------------------------------------------------------
# Writing
# -------------------------------------------------------------------------------------------------


def to_mm(weights: Weights) -> dict[str, Tensor]:
    """State dict of an OpenMMLab model: ``backbone.*``, ``head.fc.*`` and what else there is.

    The head of a pose estimator gets the name that mmpose 1.x gives it.

    Raises:
        CheckpointError: If the weights have a token-labelling or class-token head, which a
            linear classification head cannot hold.
    """
    state = {f'backbone.{key}': value for key, value in weights.backbone.items()}
    for key, value in weights.classifier.items():
        if not key.startswith('head.'):
            raise CheckpointError(
                f'{weights.source} has {key.split(".")[0]!r}, which a linear classification head '
                'cannot hold: convert the backbone only (--task backbone).'
            )
        state[key.replace('head.', 'head.fc.')] = value
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
            f'{_top_level_names(weights.other)}. Publish the backbone only (--task backbone).'
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
        Arguments of :class:`uniformer_mm.UniFormer`: ``arch`` (a name, or a dict if no named one
        fits), ``head_dim``, ``in_channels``, ``layer_scale_init_value``, ``layer_scale_stages``,
        ``out_indices``, ``final_norm`` and, of OpenMixup's weights, ``patch_norm_eps``.

    Raises:
        CheckpointError: If the weights are no UniFormer's, contradict the arguments or do not
            tell their head dimension.
    """
    from .models import UniFormer  # which imports this module

    found = Architecture.of(weights.backbone)
    if found is None:
        names = _top_level_names(weights.backbone)
        raise CheckpointError(f'{weights.source} is no UniFormer: its entries are {names}.')
    shape = {name: getattr(found, name) for name in ('depths', 'embed_dims', 'mlp_ratio', 'stem')}
    fitting = {
        zoo_name: zoo
        for zoo_name, zoo in UniFormer.arch_zoo.items()
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
    load_backbone(UniFormer(**arguments), backbone_only, head_dim=head_dim)
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
