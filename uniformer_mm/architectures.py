"""The architectures: what the networks differ in, their names, how weights show them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from uniformer_mm.arguments import (
    COUNT,
    NATURAL,
    NOT_NEGATIVE,
    ODD,
    ODD_OR_NONE,
    PART,
    POSITIVE,
    SHARE,
    check,
    check_choice,
    check_each,
    check_flags,
    check_size,
)

NUM_STAGES = 4
EMBED_TYPES = ('patch', 'conv')
BLOCK_TYPES = ('L', 'G')
DOWN_SAMPLINGS = ('depthwise', 'conv', 'average')
Size = tuple[int, int, int]
# The first convolution of either kind of embedding.
STEM_WEIGHTS = ('patch_embed1.proj.weight', 'patch_embed1.proj.0.weight')


class Arch(NamedTuple):
    """What distinguishes one UniFormer from another.

    Attributes:
        depths: Blocks of each stage.
        embed_dims: Channels of each stage.
        head_dim: Channels of one attention head; None where only weights are known, because no
            shape shows it.
        mlp_ratio: Width of the feed-forward networks over their channels.
        embed_types: Downsampling in front of each stage: ``'patch'`` (non-overlapping, LayerNorm)
            or ``'conv'`` (overlapping, BatchNorm).
        in_channels: Channels of the input.
        layer_scale_init_value: Initial branch scale; 0 builds none.
        layer_scale_stages: 0-based stages whose blocks have layer scale, if the value is not 0.
        patch_norm_eps: LayerNorm epsilon of the patch embeddings.
        stage_types: Blocks of each stage: ``'L'`` local (depthwise convolution) or ``'G'``
            global (attention); paper, Table 10.
        local_kernel_size: Kernel of the convolution that mixes tokens in local blocks, odd.
        local_mlp: Give local blocks a feed-forward network; False builds them as MobileNet's
            (paper, Table 10).
        pos_kernel_size: Kernel of the position convolution of every block, odd; 0 builds none.
        pool_strides: By how much the global blocks of each stage pool the height and width of
            their keys and values; 1 pools nothing, as must local stages (paper, Table 10).
        inflated: Let the convolutions of clips behind the first embedding span as many frames as
            rows; False keeps them to one frame (paper, Table 12).
        split: Divide the attention of clips into time and space (paper, Table 11).
        std: Let the embeddings between the stages of clips mix three frames.
        light: Give the attention stages a class token, and let their blocks work on the tokens
            that it ranks highest.
        keep_ratio: Share of the tokens that a block of a light network keeps.
        trade_off: Share of a block's own ranking in the ranking that it hands on.
    """

    depths: Sequence[int]
    embed_dims: Sequence[int]
    head_dim: int | None
    mlp_ratio: float = 4.0
    embed_types: Sequence[str] = ('patch',) * NUM_STAGES
    in_channels: int = 3
    layer_scale_init_value: float = 0.0
    layer_scale_stages: Sequence[int] = (0, 1, 2, 3)
    patch_norm_eps: float = 1e-5
    stage_types: Sequence[str] = ('L', 'L', 'G', 'G')
    local_kernel_size: int = 5
    local_mlp: bool = True
    pos_kernel_size: int = 3
    pool_strides: Sequence[int] = (1,) * NUM_STAGES
    inflated: bool = True
    split: bool = False
    std: bool = False
    light: bool = False
    keep_ratio: float = 0.5
    trade_off: float = 0.5

    @property
    def scaled_stages(self) -> tuple[int, ...]:
        """0-based stages whose blocks have layer scale."""
        return tuple(self.layer_scale_stages) if self.layer_scale_init_value else ()

    @property
    def shape(self) -> dict[str, Any]:
        """The fields that a named architecture fixes and weights show."""
        return {name: getattr(self, name) for name in SHAPE_FIELDS}

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Arch | None:
        """Read off the architecture of weights; None if they are no UniFormer's.

        What no name and shape shows has its default, and ``head_dim`` is None.

        Args:
            state: Backbone entries under official names. Stages may be missing at the end.
        """
        blocks: dict[int, set[int]] = defaultdict(set)
        scaled = set()
        for key in state:
            if match := re.match(r'blocks(\d)\.(\d+)\.(gamma_)?', key):
                blocks[int(match[1])].add(int(match[2]))
                if match[3]:
                    scaled.add(int(match[1]) - 1)
        stages = sorted(blocks)
        stem = next((state[key] for key in STEM_WEIGHTS if key in state), None)
        widths = [state.get(f'blocks{stage}.0.norm1.weight') for stage in stages]
        if stem is None or not stages or any(width is None for width in widths):
            return None
        hidden = [state.get(f'blocks{stage}.0.mlp.fc1.weight') for stage in stages]
        ratios = [
            fc1.shape[0] / width.shape[0]
            for fc1, width in zip(hidden, widths, strict=True)
            if fc1 is not None
        ]
        mixers = [state.get(f'blocks{stage}.0.attn.weight') for stage in stages]
        local = next((mixer for mixer in mixers if mixer is not None), None)
        position = state.get('blocks1.0.pos_embed.weight')
        mixing = [kernel for kernel in (local, position) if kernel is not None]
        pools = [state.get(f'blocks{stage}.0.attn.pool_k.0.weight') for stage in stages]
        embed = state.get('patch_embed2.proj.weight')
        is_patch = [f'patch_embed{stage}.proj.weight' in state for stage in stages]
        return cls(
            depths=tuple(len(blocks[stage]) for stage in stages),
            embed_dims=tuple(width.shape[0] for width in widths),
            head_dim=None,
            mlp_ratio=next(iter(ratios), 4.0),
            embed_types=tuple('patch' if patch else 'conv' for patch in is_patch),
            in_channels=stem.shape[1],
            layer_scale_init_value=1e-6 if scaled else 0.0,
            layer_scale_stages=tuple(sorted(scaled)),
            stage_types=tuple('G' if mixer is None else 'L' for mixer in mixers),
            local_kernel_size=5 if local is None else local.shape[-1],
            local_mlp=len(ratios) == len(stages),
            pos_kernel_size=0 if position is None else position.shape[-1],
            # The kernels are twice the stride less one.
            pool_strides=tuple(1 if pool is None else (pool.shape[-1] + 1) // 2 for pool in pools),
            inflated=all(k.ndim == 4 or k.shape[2] == k.shape[-1] for k in mixing),
            split=any('.t_attn.' in key for key in state),
            std=embed is not None and embed.ndim == 5 and embed.shape[2] == 3,
            light='cls_token' in state,
        )


SHAPE_FIELDS = (
    *('depths', 'embed_dims', 'mlp_ratio', 'embed_types', 'stage_types'),
    *('local_kernel_size', 'local_mlp', 'pos_kernel_size', 'pool_strides', 'inflated'),
    *('split', 'std', 'light'),
)
_WIDTHS = (64, 128, 320, 512)
_CONV = ('conv',) * NUM_STAGES

ARCHS: Mapping[str, Arch] = {
    # The OpenMixup variant; its patch norms have another epsilon.
    'tiny': Arch(
        (3, 4, 8, 3),
        (32, 64, 160, 256),
        head_dim=32,
        layer_scale_init_value=1e-6,
        patch_norm_eps=1e-6,
    ),
    'small': Arch((3, 4, 8, 3), _WIDTHS, head_dim=64),
    'small_plus': Arch((3, 5, 9, 3), _WIDTHS, head_dim=32, embed_types=_CONV),
    'small_plus_dim64': Arch((3, 5, 9, 3), _WIDTHS, head_dim=64, embed_types=_CONV),
    'base': Arch((5, 8, 20, 7), _WIDTHS, head_dim=64),
    'large': Arch((5, 10, 24, 7), (128, 192, 448, 640), head_dim=64, layer_scale_init_value=1e-6),
    # Ours, for the built-in small data: trains in minutes without a GPU.
    'mini': Arch((1, 2, 4, 1), (32, 64, 128, 256), head_dim=32),
}
CLIP_ARCHS: Mapping[str, Arch] = {name: ARCHS[name] for name in ('small', 'base', 'mini')}

_LIGHT = dict(mlp_ratio=3.0, embed_types=('conv', 'patch', 'patch', 'patch'), light=True)
# For images and clips.
LIGHT_ARCHS: Mapping[str, Arch] = {
    'xxs': Arch((2, 5, 8, 2), (56, 112, 224, 448), head_dim=28, **_LIGHT),
    'xs': Arch((3, 5, 9, 3), (64, 128, 256, 512), head_dim=32, **_LIGHT),
    'mini': Arch((1, 2, 4, 1), (32, 64, 128, 256), head_dim=32, **_LIGHT),
}


class DualArch(NamedTuple):
    """What distinguishes one DualFormer from another.

    Sizes are (frames, height, width), in tokens.

    Attributes:
        depths: Blocks of each stage.
        embed_dims: Channels of each stage.
        head_dim: Channels of one attention head.
        mlp_ratio: Width of the feed-forward networks over their channels.
        in_channels: Channels of the input.
        temporal_pooling: By how much the embedding of each stage reduces the number of frames.
        attention: Of each stage, the kinds of its blocks in turn: ``'L'`` attends inside local
            windows, ``'G'`` to a global pyramid. Shorter ones are repeated.
        window_sizes: Local windows of each stage.
        fine_sizes: Tokens of the fine level of each stage's pyramid; None builds no such level.
        coarse_sizes: Tokens of the coarse level of each stage's pyramid; None builds no such level.
        down_sampling: What makes the levels: ``'depthwise'`` or ``'conv'`` for convolutions,
            ``'average'`` for average pooling.
        pos_kernel_size: Kernel of the positional encoding generators, odd; 0 builds none.
    """

    depths: Sequence[int]
    embed_dims: Sequence[int]
    head_dim: int = 32
    mlp_ratio: float = 4.0
    in_channels: int = 3
    temporal_pooling: Sequence[int] = (2, 1, 1, 1)
    attention: Sequence[str] = ('LG',) * NUM_STAGES
    window_sizes: Sequence[Size] = ((8, 7, 7),) * NUM_STAGES
    fine_sizes: Sequence[Size | None] = ((8, 7, 7), (8, 7, 7), (8, 7, 7), (16, 7, 7))
    coarse_sizes: Sequence[Size | None] = ((4, 4, 4), (4, 4, 4), None, None)
    down_sampling: str = 'depthwise'
    pos_kernel_size: int = 3


DUAL_ARCHS: Mapping[str, DualArch] = {
    'tiny': DualArch((2, 2, 10, 4), (64, 128, 256, 512)),
    'small': DualArch((2, 2, 18, 2), (96, 192, 384, 768)),
    'base': DualArch((2, 2, 18, 2), (128, 256, 512, 1024)),
    # Ours, for the built-in small data.
    'mini': DualArch((2, 2, 4, 2), (32, 64, 128, 256)),
}


def _merge(
    arch: str | Mapping[str, Any],
    overrides: Mapping[str, Any],
    zoo: Mapping[str, Arch] | Mapping[str, DualArch],
    owner: str,
    per_stage: Sequence[str],
) -> Arch | DualArch:
    """The record of ``zoo`` that a model's arguments ask for, with tuples for lists."""
    kind = type(next(iter(zoo.values())))
    for name in overrides:
        if name not in kind._fields:
            raise TypeError(
                f'{owner} has no argument {name!r}; an architecture may be overridden by '
                f'{", ".join(kind._fields)}'
            )
    if isinstance(arch, str):
        check_choice('arch', arch, list(zoo))
        resolved = zoo[arch]._replace(**overrides)
    elif isinstance(arch, Mapping):
        merged = {**arch, **overrides}
        needed = [name for name in kind._fields if name not in kind._field_defaults]
        missing, unknown = set(needed) - merged.keys(), merged.keys() - set(kind._fields)
        if missing or unknown:
            raise ValueError(
                f'arch as a dict needs {", ".join(needed)} and may have '
                f'{", ".join(kind._field_defaults)}; missing: {sorted(missing)}, unknown: '
                f'{sorted(unknown)}'
            )
        resolved = kind(**merged)
    else:
        raise ValueError(f'arch must be a name or a dict of fields; got {arch!r}')
    for name in per_stage:
        values = getattr(resolved, name)
        if not isinstance(values, Sequence) or len(values) != NUM_STAGES:
            raise ValueError(f'{name} must have {NUM_STAGES} entries; got {values!r}')
        resolved = resolved._replace(**{name: tuple(values)})
    check_each(COUNT, depths=resolved.depths, embed_dims=resolved.embed_dims)
    check(COUNT, head_dim=resolved.head_dim, in_channels=resolved.in_channels)
    check(POSITIVE, mlp_ratio=resolved.mlp_ratio)
    if min(resolved.embed_dims) * resolved.mlp_ratio < 1:
        raise ValueError(f'mlp_ratio must leave a channel; got {resolved.mlp_ratio!r}')
    check(ODD_OR_NONE, pos_kernel_size=resolved.pos_kernel_size)
    return resolved


def resolve_arch(
    arch: str | Mapping[str, Any], overrides: Mapping[str, Any], zoo: Mapping[str, Arch], owner: str
) -> Arch:
    """The architecture that a UniFormer's arguments ask for.

    Args:
        arch: A name in ``zoo``, or a dict of fields.
        overrides: Fields given by keyword.
        zoo: The named architectures.
        owner: Name of the model, for messages.

    Raises:
        TypeError: If a keyword is no field.
        ValueError: If the name or a value is illegal, or a field is missing.
    """
    per_stage = ('depths', 'embed_dims', 'embed_types', 'stage_types', 'pool_strides')
    resolved = _merge(arch, overrides, zoo, owner, per_stage)
    for name, allowed in (('embed_types', EMBED_TYPES), ('stage_types', BLOCK_TYPES)):
        for value in getattr(resolved, name):
            check_choice(f'every entry of {name}', value, allowed)
    check_each(COUNT, pool_strides=resolved.pool_strides)
    pooled = zip(resolved.stage_types, resolved.pool_strides, strict=True)
    if any(kind == 'L' and stride > 1 for kind, stride in pooled):
        raise ValueError(
            f'pool_strides must be 1 in the local stages of stage_types={resolved.stage_types!r}, '
            f'which have no keys and values; got {resolved.pool_strides!r}'
        )
    check_each(NATURAL, layer_scale_stages=resolved.layer_scale_stages)
    for stage in resolved.layer_scale_stages:
        check_choice('every entry of layer_scale_stages', stage, range(NUM_STAGES))
    check(NOT_NEGATIVE, layer_scale_init_value=resolved.layer_scale_init_value)
    check(POSITIVE, patch_norm_eps=resolved.patch_norm_eps)
    check(PART, keep_ratio=resolved.keep_ratio)
    check(SHARE, trade_off=resolved.trade_off)
    check(ODD, local_kernel_size=resolved.local_kernel_size)
    flags = ('local_mlp', 'inflated', 'split', 'std', 'light')
    check_flags(**{name: getattr(resolved, name) for name in flags})
    return resolved


def resolve_dual_arch(
    arch: str | Mapping[str, Any],
    overrides: Mapping[str, Any],
    zoo: Mapping[str, DualArch],
    owner: str,
) -> DualArch:
    """As :func:`resolve_arch`, for DualFormer."""
    sizes = ('window_sizes', 'fine_sizes', 'coarse_sizes')
    per_stage = ('depths', 'embed_dims', 'temporal_pooling', 'attention', *sizes)
    resolved = _merge(arch, overrides, zoo, owner, per_stage)
    for pattern in resolved.attention:
        if not isinstance(pattern, str) or not pattern or set(pattern) - set(BLOCK_TYPES):
            raise ValueError(
                f"every entry of attention must be made of the letters 'L' and 'G'; got {pattern!r}"
            )
    for name in sizes:
        for size in getattr(resolved, name):
            if size is not None or name == 'window_sizes':
                check_size(f'every entry of {name}', size)
    check_each(COUNT, temporal_pooling=resolved.temporal_pooling)
    check_choice('down_sampling', resolved.down_sampling, DOWN_SAMPLINGS)
    return resolved
