"""UniFormer: convolution in the shallow stages, self-attention in the deep ones.

Paper: Li et al., "UniFormer: Unifying Convolution and Self-attention for Visual
Recognition", TPAMI 2023, arXiv 2201.09450, sections 3 and 4. Original code:
https://github.com/Sense-X/UniFormer (Apache-2.0). Written anew here; what differs:

* one class serves classification and dense prediction, at any input size from 32, and its
  subclass :class:`~.uniformer3d.UniFormer3D` clips, with the same blocks;
* layer scale and the attention style are arguments of a model, not module globals;
* attention is fused, windows are a batch of short sequences;
* recomputation leaves BatchNorm statistics alone, so any block may use it.

State-dict keys are the original ones, and the same for every attention style.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from uniformer_mm.architectures import ARCHS, Arch, resolve_arch
from uniformer_mm.arguments import RATE, check, check_flags
from uniformer_mm.registry import MODELS

from ..layers import (
    OPS,
    ChannelLayerNorm,
    ConvEmbed,
    ConvStem,
    GlobalBlock,
    LocalBlock,
    MobileBlock,
    PatchEmbed,
    PooledBlock,
    SplitBlock,
    Style,
)
from .staged import StagedBackbone, drop_path_ramp


@MODELS.register_module()
class UniFormer(StagedBackbone):
    """UniFormer for images.

    The same class is the classification network (``out_indices=(3,)``,
    ``final_norm=True``) and the dense one (the defaults): they differ in the norms at
    the end of the stages, and in nothing else.

    Maps an image (B, in_channels, H, W), of at least 32 pixels a side, to the maps of the
    returned stages: stage i (0-based) gives ``(B, embed_dims[i], H / 2**(i+2), W / 2**(i+2))``.
    Patch embeddings floor odd sizes, convolutional ones round them up.

    Args:
        arch: A name of :attr:`arch_zoo` or a dict with the fields of
            :class:`~uniformer_mm.architectures.Arch`. Defaults to ``'small'``.
        drop_rate: Dropout after the first embedding and in every block. Defaults to 0.
        attn_drop_rate: Dropout on the attention weights. Defaults to 0.
        drop_path_rate: Stochastic depth of the last block; the rate grows linearly
            from 0 over all blocks of all stages. Defaults to 0.
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
        init_cfg: Initialisation. ``dict(type='Pretrained', checkpoint=...)`` takes the name of a
            released file, and every official and converted file, see
            :mod:`uniformer_mm.checkpoints`.
        **overrides: Any field of the architecture, e.g. ``in_channels=4`` or
            ``layer_scale_stages=(2, 3)``.

    Raises:
        ValueError: If an argument has an illegal value.
        TypeError: If a keyword is neither an argument nor a field of the architecture.

    Examples:
        >>> model = UniFormer('small', stage3_style='hybrid').eval()
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 96))]
        [(1, 64, 16, 24), (1, 128, 8, 12), (1, 320, 4, 6), (1, 512, 2, 3)]
    """

    ndim = 2
    arch_zoo: Mapping[str, Arch] = ARCHS

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'small',
        *,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
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
        resolved = resolve_arch(arch, overrides, self.arch_zoo, type(self).__name__)
        self._check_arch(resolved)
        check(RATE, attn_drop_rate=attn_drop_rate)
        check_flags(fused_attn=fused_attn)
        super().__init__(
            resolved.depths,
            drop_rate=drop_rate,
            out_indices=out_indices,
            final_norm=final_norm,
            with_cp=with_cp,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            init_cfg=init_cfg,
        )
        self.arch = resolved

        dims = resolved.embed_dims
        drop_path = drop_path_ramp(drop_path_rate, resolved.depths)
        attention = dict(
            head_dim=resolved.head_dim, attn_drop=attn_drop_rate, fused_attn=fused_attn
        )
        for stage in range(self.num_stages):
            embed = self._build_embed(stage, (resolved.in_channels, *dims)[stage], dims[stage])
            block_type, options = self._block(stage, attention)
            blocks = [
                block_type(dims[stage], drop=drop_rate, drop_path=rate, **options)
                for rate in drop_path[stage]
            ]
            self.add_module(f'patch_embed{stage + 1}', embed)
            self.add_module(f'blocks{stage + 1}', nn.ModuleList(blocks))
            if stage in self.out_indices and not final_norm:
                self.add_module(f'norm{stage + 1}', ChannelLayerNorm(dims[stage], eps=1e-6))
        if final_norm:
            self.norm = OPS[self.ndim].batch_norm(dims[-1])
        self._finish()
        self.set_stage3_style(stage3_style, window_size, eval_stage3_style, eval_window_size)

    # Construction

    @classmethod
    def _check_arch(cls, arch: Arch) -> None:
        """Refuse what this number of axes does not have."""
        if arch.split or arch.std or not arch.inflated:
            raise ValueError(
                'split, std and inflated=False are about the frames of clips: they need UniFormer3D'
            )
        cls._check_kind(arch)

    @classmethod
    def _check_kind(cls, arch: Arch) -> None:
        if arch.light:
            raise ValueError('light architectures shrink their tokens: they need UniFormerLight')

    def _block(self, stage: int, attention: dict[str, Any]) -> tuple[type[nn.Module], dict]:
        """Type and options of the blocks of a stage."""
        arch = self.arch
        options = dict(
            ndim=self.ndim,
            pos_kernel_size=arch.pos_kernel_size,
            inflated=arch.inflated,
            layer_scale=arch.layer_scale_init_value if stage in arch.scaled_stages else 0.0,
        )
        mlp = dict(mlp_ratio=arch.mlp_ratio)
        if arch.stage_types[stage] == 'L':
            options['kernel_size'] = arch.local_kernel_size
            return (LocalBlock, options | mlp) if arch.local_mlp else (MobileBlock, options)
        options |= mlp | attention
        if arch.pool_strides[stage] > 1:
            return PooledBlock, {**options, 'stride': arch.pool_strides[stage]}
        return SplitBlock if arch.split else GlobalBlock, options

    def _build_embed(self, stage: int, in_channels: int, out_channels: int) -> nn.Module:
        if self.arch.embed_types[stage] == 'conv':
            return (ConvEmbed if stage else ConvStem)(in_channels, out_channels)
        stride = (2 if stage else 4,) * 2
        return PatchEmbed(
            in_channels, out_channels, stride, stride, norm_eps=self.arch.patch_norm_eps
        )

    @staticmethod
    def _init_layer(module: nn.Module) -> None:
        StagedBackbone._init_layer(module)
        if isinstance(module, SplitBlock):  # after the layers inside it
            module.init_temporal()

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
                stage 3 without attention or with pooled attention.
        """
        chosen = Style(style, window_size, eval_style, eval_window_size)
        if self.arch.stage_types[2] == 'L' and set(chosen.names) != {'global'}:
            raise ValueError(
                'stage 3 is local (stage_types) and has no attention to put in windows'
            )
        if self.arch.pool_strides[2] > 1 and set(chosen.names) != {'global'}:
            raise ValueError(
                f'stage 3 pools its keys and values over the whole map: stage3_style must be '
                f"'global', or pool_strides 1 there; got {chosen.names!r} and "
                f'{self.arch.pool_strides!r}'
            )
        self._style = chosen
        self._apply_style()

    def _apply_style(self) -> None:
        if self.num_stages < 3 or self.arch.stage_types[2] == 'L':
            return
        for i, block in enumerate(self._blocks(2)):
            block.window_size = self._style.window_of(i, self.training)

    def train(self, mode: bool = True) -> UniFormer:
        """Set the mode and with it the attention style; see :class:`StagedBackbone`."""
        super().train(mode)
        self._apply_style()
        return self
