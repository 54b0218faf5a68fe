"""UniFormer: convolution in the shallow stages, self-attention in the deep ones.

Paper: Li et al., "UniFormer: Unifying Convolution and Self-attention for Visual
Recognition", TPAMI 2023, arXiv 2201.09450, sections 3 and 4. Original code:
https://github.com/Sense-X/UniFormer (Apache-2.0). Written anew here; what differs:

* one class serves classification and dense prediction, at any input size from 32, and its
  subclass :class:`~.uniformer3d.UniFormer3D` clips, with the same blocks;
* layer scale and the attention style are arguments of a model, not module globals;
* attention is fused, windows are a batch of short sequences;
* activation checkpointing leaves BatchNorm statistics alone, so any block may use it.

State-dict keys are the original ones, and the same for every attention style.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModule
from mmengine.model.weight_init import PretrainedInit
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from uniformer_mm.checkpoints import load_backbone
from uniformer_mm.registry import MODELS

from ..layers import (
    OPS,
    ConvEmbed,
    ConvStem,
    GlobalBlock,
    LocalBlock,
    PatchEmbed,
    SplitBlock,
    channel_layer_norm,
)
from ..layers.recompute import checkpoint_block
from ..layers.fusion import fuse_block, fuse_conv_bn_pairs

NUM_STAGES = 4
STYLES = ('global', 'window', 'hybrid')
STEMS = ('patch', 'conv')
BLOCK_KINDS = ('L', 'G')
PRETRAINED = ('Pretrained', 'PretrainedInit', PretrainedInit)


class Arch(NamedTuple):
    """What distinguishes one UniFormer from another.

    Attributes:
        depths: Blocks of each stage.
        embed_dims: Channels of each stage.
        head_dim: Channels of one attention head.
        mlp_ratio: Width of the feed-forward networks over their channels.
        stem: ``'patch'`` (non-overlapping, LayerNorm) or ``'conv'`` (overlapping,
            BatchNorm), for all four downsampling layers.
        layer_scale_init_value: Initial branch scale; 0 builds none.
        patch_norm_eps: LayerNorm epsilon of the patch embeddings.
        stage_types: Blocks of each stage: ``'L'`` local (depthwise convolution) or ``'G'``
            global (attention); paper, Table 10.
        local_kernel_size: Kernel of the convolution that mixes tokens in local blocks, odd.
        pos_kernel_size: Kernel of the position convolution of every block, odd; 0 builds none.
        split: Divide the attention of clips into time and space (paper, Table 11).
        std: Let the embeddings between the stages of clips mix three frames.
    """

    depths: Sequence[int]
    embed_dims: Sequence[int]
    head_dim: int
    mlp_ratio: float = 4.0
    stem: str = 'patch'
    layer_scale_init_value: float = 0.0
    patch_norm_eps: float = 1e-5
    stage_types: Sequence[str] = ('L', 'L', 'G', 'G')
    local_kernel_size: int = 5
    pos_kernel_size: int = 3
    split: bool = False
    std: bool = False


class Style(NamedTuple):
    """How stage 3 attends: over the whole map, in windows, or three to one."""

    name: str
    window_size: int

    def window_of(self, block: int) -> int:
        """Window of the stage-3 block with this 0-based index; 0 means the whole map."""
        is_global = self.name == 'global' or (self.name == 'hybrid' and (block + 1) % 4 == 0)
        return 0 if is_global else self.window_size


def _choose(argument: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        options = ', '.join(map(repr, allowed))
        raise ValueError(f'{argument} must be one of {options}; got {value!r}')


def _check_kernel(argument: str, size: int, smallest: int) -> None:
    if size < smallest or (size and size % 2 == 0):
        absent = ', or 0 for none' if smallest == 0 else ''
        raise ValueError(f'{argument} must be an odd number{absent}; got {size!r}')


def _check_rate(argument: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f'{argument} must lie in [0, 1); got {value!r}')


@ROOT_MODELS.register_module(name='UniFormer')
@MODELS.register_module()
class UniFormer(BaseModule):
    """UniFormer for images.

    The same class is the classification network (``out_indices=(3,)``,
    ``final_norm=True``) and the dense one (the defaults): they differ in the norms at
    the end of the stages, and in nothing else.

    Args:
        arch: A name of :attr:`arch_zoo` or a dict with the fields of :class:`Arch`.
            Defaults to ``'small'``.
        in_channels: Channels of the image. Defaults to 3.
        drop_rate: Dropout after the first embedding and in every block. Defaults to 0.
        attn_drop_rate: Dropout on the attention weights. Defaults to 0.
        drop_path_rate: Stochastic depth of the last block; the rate grows linearly
            from 0 over all blocks of all stages. Defaults to 0.
        layer_scale_stages: 0-based stages whose blocks have layer scale, if the
            architecture has it. Defaults to all four.
        stage3_style: Attention of stage 3: ``'global'``, ``'window'`` or ``'hybrid'``
            (three window blocks, then a global one). Defaults to ``'global'``.
        window_size: Side of the windows in tokens. Defaults to 14.
        eval_stage3_style: Style in eval mode; None means as in training.
        eval_window_size: Window in eval mode; None means as in training.
        out_indices: 0-based stages to return, increasing. Stages behind the last of
            them are not built. Defaults to ``(0, 1, 2, 3)``.
        final_norm: Put the classification BatchNorm ``norm`` on the last map and no
            norm on the others, instead of a LayerNorm ``norm1`` .. ``norm4`` on each
            returned map. Defaults to False.
        with_cp: Recompute activations in the backward pass: False, True for every
            block, or the number of leading blocks of each stage, e.g.
            ``(0, 0, 8, 0)``. Defaults to False.
        frozen_stages: -1 freezes nothing, 0 the first embedding, k the first k stages
            with their norms. Defaults to -1.
        norm_eval: Keep every BatchNorm in eval mode while training. Defaults to False.
        fused_attn: Use ``scaled_dot_product_attention``; False computes the same
            plainly. Defaults to True.
        init_cfg: Initialisation. ``dict(type='Pretrained', checkpoint=...)`` takes
            every official and converted file, see :mod:`uniformer_mm.checkpoints`.
        **overrides: Any field of :class:`Arch`, e.g. ``head_dim=32``.

    Raises:
        ValueError: If an argument has an illegal value.
        TypeError: If a keyword is neither an argument nor a field of :class:`Arch`.

    Examples:
        >>> model = UniFormer('small', stage3_style='hybrid').eval()
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 96))]
        [(1, 64, 16, 24), (1, 128, 8, 12), (1, 320, 4, 6), (1, 512, 2, 3)]
    """

    ndim = 2
    arch_zoo: Mapping[str, Arch] = {
        # The OpenMixup variant; its patch norms have another epsilon.
        'tiny': Arch(
            (3, 4, 8, 3),
            (32, 64, 160, 256),
            head_dim=32,
            layer_scale_init_value=1e-6,
            patch_norm_eps=1e-6,
        ),
        'small': Arch((3, 4, 8, 3), (64, 128, 320, 512), head_dim=64),
        'small_plus': Arch((3, 5, 9, 3), (64, 128, 320, 512), head_dim=32, stem='conv'),
        'small_plus_dim64': Arch((3, 5, 9, 3), (64, 128, 320, 512), head_dim=64, stem='conv'),
        'base': Arch((5, 8, 20, 7), (64, 128, 320, 512), head_dim=64),
        'large': Arch(
            (5, 10, 24, 7), (128, 192, 448, 640), head_dim=64, layer_scale_init_value=1e-6
        ),
    }

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'small',
        in_channels: int = 3,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        layer_scale_stages: Sequence[int] = (0, 1, 2, 3),
        stage3_style: str = 'global',
        window_size: int = 14,
        eval_stage3_style: str | None = None,
        eval_window_size: int | None = None,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        final_norm: bool = False,
        with_cp: bool | Sequence[int] = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        fused_attn: bool = True,
        init_cfg: dict | list[dict] | None = None,
        **overrides: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.arch_name = arch if isinstance(arch, str) else None
        self.arch = self._resolve_arch(arch, overrides)
        for name, rate in (
            ('drop_rate', drop_rate),
            ('attn_drop_rate', attn_drop_rate),
            ('drop_path_rate', drop_path_rate),
        ):
            _check_rate(name, rate)
        for stage in layer_scale_stages:
            _choose('every entry of layer_scale_stages', stage, range(NUM_STAGES))
        self.out_indices = self._check_out_indices(out_indices, final_norm)
        self.num_stages = self.out_indices[-1] + 1
        self.with_cp = self._blocks_to_checkpoint(with_cp)
        _choose('frozen_stages', frozen_stages, range(-1, self.num_stages + 1))
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        dims, depths = self.arch.embed_dims, self.arch.depths
        last_block = max(sum(depths) - 1, 1)
        # Counted over all four stages, so that a truncated network keeps its rates.
        drop_path = iter([drop_path_rate * i / last_block for i in range(sum(depths))])
        for stage in range(self.num_stages):
            embed = self._build_embed(stage, (in_channels, *dims)[stage], dims[stage])
            has_scale = stage in layer_scale_stages
            shared = dict(
                ndim=self.ndim,
                pos_kernel_size=self.arch.pos_kernel_size,
                mlp_ratio=self.arch.mlp_ratio,
                drop=drop_rate,
                layer_scale=self.arch.layer_scale_init_value if has_scale else 0.0,
            )
            if self.arch.stage_types[stage] == 'L':
                block_type = LocalBlock
                shared.update(kernel_size=self.arch.local_kernel_size)
            else:
                block_type = SplitBlock if self.arch.split else GlobalBlock
                shared.update(
                    head_dim=self.arch.head_dim, attn_drop=attn_drop_rate, fused_attn=fused_attn
                )
            blocks = [
                block_type(dims[stage], drop_path=next(drop_path), **shared)
                for _ in range(depths[stage])
            ]
            self.add_module(f'patch_embed{stage + 1}', embed)
            self.add_module(f'blocks{stage + 1}', nn.ModuleList(blocks))
            if stage in self.out_indices and not final_norm:
                self.add_module(f'norm{stage + 1}', nn.LayerNorm(dims[stage], eps=1e-6))
        self.pos_drop = nn.Dropout(drop_rate)
        self.norm = OPS[self.ndim].batch_norm(dims[-1]) if final_norm else nn.Identity()

        self.apply(self._init_layer)
        self._fused = False
        self.set_stage3_style(stage3_style, window_size, eval_stage3_style, eval_window_size)
        self._freeze()

    # Arguments

    @classmethod
    def _resolve_arch(cls, arch: str | Mapping[str, Any], overrides: dict[str, Any]) -> Arch:
        fields = Arch._fields
        for name in overrides:
            if name not in fields:
                raise TypeError(
                    f'{cls.__name__} has no argument {name!r}; an architecture may be '
                    f'overridden by {", ".join(fields)}'
                )
        if isinstance(arch, str):
            _choose('arch', arch, list(cls.arch_zoo))
            resolved = cls.arch_zoo[arch]._replace(**overrides)
        else:
            merged = {**arch, **overrides}
            missing = {'depths', 'embed_dims', 'head_dim'} - merged.keys()
            unknown = merged.keys() - set(fields)
            if missing or unknown:
                raise ValueError(
                    f'arch as a dict needs depths, embed_dims and head_dim and may have '
                    f'{", ".join(fields[3:])}; missing: {sorted(missing)}, '
                    f'unknown: {sorted(unknown)}'
                )
            resolved = Arch(**merged)
        for name in ('depths', 'embed_dims', 'stage_types'):
            if len(getattr(resolved, name)) != NUM_STAGES:
                raise ValueError(
                    f'{name} must have {NUM_STAGES} entries; got {getattr(resolved, name)!r}'
                )
        _choose('stem', resolved.stem, STEMS)
        for kind in resolved.stage_types:
            _choose('every entry of stage_types', kind, BLOCK_KINDS)
        _check_kernel('local_kernel_size', resolved.local_kernel_size, smallest=1)
        _check_kernel('pos_kernel_size', resolved.pos_kernel_size, smallest=0)
        cls._check_arch(resolved)
        return resolved

    @classmethod
    def _check_arch(cls, arch: Arch) -> None:
        """Refuse what this number of axes does not have."""
        if arch.split or arch.std:
            raise ValueError('split and std divide and mix frames: they need UniFormer3D')

    @staticmethod
    def _check_out_indices(out_indices: Sequence[int], final_norm: bool) -> tuple[int, ...]:
        indices = tuple(out_indices)
        legal = range(NUM_STAGES)
        if not indices or sorted(set(indices) & set(legal)) != list(indices):
            raise ValueError(
                f'out_indices must be increasing stage numbers from 0 to {NUM_STAGES - 1}; '
                f'got {out_indices!r}'
            )
        if final_norm and NUM_STAGES - 1 not in indices:
            raise ValueError(
                f'final_norm=True normalises the last map, so out_indices must hold '
                f'{NUM_STAGES - 1}; got {out_indices!r}'
            )
        return indices

    def _blocks_to_checkpoint(self, with_cp: bool | Sequence[int]) -> tuple[int, ...]:
        if isinstance(with_cp, bool):
            return tuple(self.arch.depths) if with_cp else (0,) * NUM_STAGES
        counts = tuple(with_cp)
        if len(counts) != NUM_STAGES or any(
            not 0 <= count <= depth for count, depth in zip(counts, self.arch.depths, strict=False)
        ):
            raise ValueError(
                f'with_cp must be True, False or {NUM_STAGES} block counts within the depths '
                f'{tuple(self.arch.depths)}; got {with_cp!r}'
            )
        return counts

    # Construction

    def _build_embed(self, stage: int, in_channels: int, out_channels: int) -> nn.Module:
        if self.arch.stem == 'conv':
            return (ConvEmbed if stage else ConvStem)(in_channels, out_channels)
        stride = (2 if stage else 4,) * 2
        return PatchEmbed(
            in_channels, out_channels, stride, stride, norm_eps=self.arch.patch_norm_eps
        )

    @staticmethod
    def _init_layer(module: nn.Module) -> None:
        # Convolutions and BatchNorms keep PyTorch's defaults, as in the original.
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        elif isinstance(module, SplitBlock):  # after the layers inside it
            module.init_temporal()

    def init_weights(self) -> None:
        """Load ``init_cfg``'s checkpoint strictly, or run mmengine's initialisers."""
        cfgs = self.init_cfg if isinstance(self.init_cfg, list) else [self.init_cfg or {}]
        pretrained = [cfg for cfg in cfgs if cfg.get('type') in PRETRAINED]
        if self.is_init or not pretrained:
            super().init_weights()
            return
        if len(cfgs) > 1:
            raise ValueError(f"'Pretrained' must be the only initialiser; got {self.init_cfg!r}")
        load_backbone(self, **{k: v for k, v in pretrained[0].items() if k != 'type'})
        self.is_init = True

    # Attention style

    @property
    def head_dim(self) -> int:
        """Channels of one attention head; no tensor shape depends on it."""
        return self.arch.head_dim

    def set_stage3_style(
        self,
        style: str,
        window_size: int = 14,
        eval_style: str | None = None,
        eval_window_size: int | None = None,
    ) -> None:
        """Change how stage 3 attends, from now on; no weight is touched.

        Args:
            style: ``'global'``, ``'window'`` or ``'hybrid'``.
            window_size: Side of the windows in tokens. Defaults to 14.
            eval_style: Style in eval mode; None means ``style``.
            eval_window_size: Window in eval mode; None means ``window_size``.

        Raises:
            ValueError: If a style is unknown, a window is not a positive integer,
                an evaluation window is given for global attention, or windows for a
                stage 3 without attention.
        """
        _choose('stage3_style', style, STYLES)
        _choose('eval_stage3_style', eval_style, (None, *STYLES))
        for name, size in (('window_size', window_size), ('eval_window_size', eval_window_size)):
            if size is not None and (not isinstance(size, int) or size < 1):
                raise ValueError(f'{name} must be a positive integer; got {size!r}')
        eval_style = eval_style or style
        if eval_window_size is not None and eval_style == 'global':
            raise ValueError(
                f"eval_window_size={eval_window_size} needs eval_stage3_style 'window' or "
                f"'hybrid'; it is 'global'"
            )
        if self.arch.stage_types[2] == 'L' and {style, eval_style} != {'global'}:
            raise ValueError(
                'stage 3 is local (stage_types) and has no attention to put in windows'
            )
        self._train_style = Style(style, window_size)
        self._eval_style = Style(eval_style, eval_window_size or window_size)
        self._apply_style()

    def _apply_style(self) -> None:
        if self.num_stages < 3 or self.arch.stage_types[2] == 'L':
            return
        style = self._train_style if self.training else self._eval_style
        for i, block in enumerate(self._blocks(2)):
            block.window_size = style.window_of(i)

    # Modes

    def train(self, mode: bool = True) -> 'UniFormer':
        """Set the mode; frozen parts and, with ``norm_eval``, BatchNorms stay in eval."""
        if mode and self._fused:
            raise RuntimeError('a backbone made by fold_for_inference() cannot be trained')
        super().train(mode)
        self._apply_style()
        if mode:
            for module in self._frozen_modules():
                module.eval()
            if self.norm_eval:
                for module in self.modules():
                    if isinstance(module, _BatchNorm):
                        module.eval()
        return self

    def _frozen_modules(self) -> Iterator[nn.Module]:
        if self.frozen_stages >= 0:
            yield self.patch_embed1
        for stage in range(self.frozen_stages):
            yield self._embed(stage)
            yield self._blocks(stage)
            yield self._norm(stage)

    def _freeze(self) -> None:
        for module in self._frozen_modules():
            module.eval().requires_grad_(False)

    # Forward

    def _embed(self, stage: int) -> nn.Module:
        return getattr(self, f'patch_embed{stage + 1}')

    def _blocks(self, stage: int) -> nn.ModuleList:
        return getattr(self, f'blocks{stage + 1}')

    def _norm(self, stage: int) -> nn.Module:
        """The norm on the map that ``stage`` returns."""
        if stage == NUM_STAGES - 1 and isinstance(self.norm, _BatchNorm):
            return self.norm
        return getattr(self, f'norm{stage + 1}', nn.Identity())

    def _check_input(self, x: Tensor) -> None:
        if min(x.shape[-2:]) < 32:
            raise ValueError(
                f'{type(self).__name__} reduces by 32 and needs sides of at least 32 pixels; '
                f'got an input of shape {tuple(x.shape)}'
            )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map an image (B, in_channels, H, W) to the maps of the returned stages.

        Stage i (0-based) gives (B, embed_dims[i], H / 2**(i+2), W / 2**(i+2)); the patch
        stem floors odd sizes, the conv stem rounds them up.

        Raises:
            ValueError: If a side of the image is below 32 pixels.
        """
        self._check_input(x)
        outs = []
        for stage in range(self.num_stages):
            x = self._embed(stage)(x)
            if stage == 0:
                x = self.pos_drop(x)
            for i, block in enumerate(self._blocks(stage)):
                recompute = i < self.with_cp[stage] and self.training and torch.is_grad_enabled()
                x = checkpoint_block(block, x) if recompute else block(x)
            if stage in self.out_indices:
                norm = self._norm(stage)
                is_layer_norm = isinstance(norm, nn.LayerNorm)
                out = channel_layer_norm(norm, x) if is_layer_norm else norm(x)
                # Inside, maps may be channels-last; mmcv's compiled ops misread such maps.
                outs.append(out.contiguous())
        return tuple(outs)

    # Inference

    def fold_for_inference(self) -> 'UniFormer':
        """Return an equivalent copy for inference only, equal up to rounding.

        BatchNorms in front of pointwise convolutions, those behind the convolutions of
        a conv stem, the residuals of the position convolutions and the layer scales are
        folded into the weights. Attention styles can still be switched.
        """
        fused = copy.deepcopy(self).eval()
        fused._fused = True
        for stage in range(fused.num_stages):
            embed = fused._embed(stage)
            if isinstance(embed.proj, nn.Sequential):
                embed.proj = fuse_conv_bn_pairs(embed.proj)
            for block in fused._blocks(stage):
                fuse_block(block)
        return fused.requires_grad_(False)
