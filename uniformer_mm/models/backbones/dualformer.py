"""DualFormer: every second block attends locally, every second globally to few tokens.

Paper: Liang et al., "DualFormer: Local-Global Stratified Transformer for Efficient Video
Recognition", ECCV 2022, arXiv 2112.04674. Original code: https://github.com/sail-sg/dualformer
(Apache-2.0). Written anew here; what differs:

* clips of any size, where the original takes multiples of 16 frames and 224 pixels; what it takes
  gives the same here;
* the paper's ablations are fields of the architecture;
* maps of the stages can be returned, with norms of their own;
* attention is fused, and recomputation leaves BatchNorm statistics alone.

Where paper and code disagree, the defaults are those of the code, which made the released weights:
the paper has a coarse level in stage 3 too, and one level of (8, 7, 7) in stage 4.

State-dict keys are the original ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

from torch import Tensor, nn

from uniformer_mm.architectures import DUAL_ARCHS, DualArch, resolve_dual_arch
from uniformer_mm.arguments import RATE, check, check_flags, check_size
from uniformer_mm.registry import MODELS

from ..layers import (
    ChannelLayerNorm,
    PatchEmbed,
    PositionGenerator,
    PyramidBlock,
    WindowBlock,
    pyramid_kernels,
)
from .staged import StagedBackbone, drop_path_ramp


@MODELS.register_module()
class DualFormer(StagedBackbone):
    """DualFormer for clips (B, C, T, H, W).

    The first embedding halves the number of frames; afterwards it stays. As of other networks of
    MMAction2, the output is a tensor if one stage is returned: stage i (0-based) gives
    ``(B, embed_dims[i], T / 2, H / 2**(i+2), W / 2**(i+2))``, sizes floored.

    Args:
        arch: A name of :attr:`arch_zoo` or a dict with the fields of
            :class:`~uniformer_mm.architectures.DualArch`. Defaults to ``'tiny'``.
        clip_size: Frames, height and width of the clips that the network is made for. The kernels
            that make the pyramids follow from it, so weights fit networks of one number of frames.
            Clips of another size give pyramids of another size. Defaults to ``(32, 224, 224)``.
        drop_rate: Dropout after the first embedding and in every block. Defaults to 0.
        attn_drop_rate: Dropout on the attention weights. Defaults to 0.
        drop_path_rate: Stochastic depth of the last block; the rate grows linearly from 0 over all
            blocks of all stages. Defaults to 0.
        out_indices: 0-based stages to return, increasing. Stages behind the last of them are not
            built. Defaults to ``(3,)``.
        final_norm: Put the classification LayerNorm ``norm`` on the last map and no norm on the
            others, instead of ``norm1`` .. ``norm4`` on each returned map. Defaults to True.
        with_cp: Recompute activations in the backward pass: False, True for every block, or the
            number of leading blocks of each stage. Defaults to False.
        frozen_stages: -1 freezes nothing, 0 the first embedding, k the first k stages with their
            norms. Defaults to -1.
        norm_eval: Keep every BatchNorm in eval mode while training. Defaults to False.
        fused_attn: Use ``scaled_dot_product_attention``; False computes the same plainly. Defaults
            to True.
        init_cfg: Initialisation. ``dict(type='Pretrained', checkpoint=...)`` also takes weights of
            images and inflates them, see :func:`uniformer_mm.checkpoints.load_backbone`.
        **overrides: Any field of the architecture, e.g. ``attention=('LL', 'LL', 'LG', 'LG')``.

    Raises:
        ValueError: If an argument has an illegal value.
        TypeError: If a keyword is neither an argument nor a field of the architecture.

    Examples:
        >>> model = DualFormer('tiny').eval()
        >>> model(torch.rand(1, 3, 8, 64, 96)).shape
        torch.Size([1, 512, 4, 2, 3])
    """

    ndim = 3
    arch_zoo: Mapping[str, DualArch] = DUAL_ARCHS

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'tiny',
        *,
        clip_size: Sequence[int] = (32, 224, 224),
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] = (3,),
        final_norm: bool = True,
        with_cp: bool | Sequence[int] = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        fused_attn: bool = True,
        init_cfg: dict | list[dict] | None = None,
        **overrides: Any,
    ) -> None:
        resolved = resolve_dual_arch(arch, overrides, self.arch_zoo, type(self).__name__)
        check_size('clip_size', clip_size)
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
        self.clip_size = tuple(clip_size)
        self.patch_embeds = nn.ModuleList()
        self.blocks = nn.ModuleList()
        if resolved.pos_kernel_size:
            self.pos_block = nn.ModuleList()

        dims = resolved.embed_dims
        drop_path = drop_path_ramp(drop_path_rate, resolved.depths)
        shared = dict(
            head_dim=resolved.head_dim,
            mlp_ratio=resolved.mlp_ratio,
            drop=drop_rate,
            attn_drop=attn_drop_rate,
            fused_attn=fused_attn,
        )
        size = self.clip_size
        for stage in range(self.num_stages):
            side = 2 if stage else 4
            stride = (resolved.temporal_pooling[stage], side, side)
            size = tuple(n // s for n, s in zip(size, stride, strict=True))
            embed = PatchEmbed(
                (resolved.in_channels, *dims)[stage], dims[stage], stride, stride, ndim=3
            )
            pattern = resolved.attention[stage]
            blocks = [
                self._build_block(stage, pattern[i % len(pattern)], size, drop_path=rate, **shared)
                for i, rate in enumerate(drop_path[stage])
            ]
            self.patch_embeds.append(embed)
            self.blocks.append(nn.ModuleList(blocks))
            if resolved.pos_kernel_size:
                self.pos_block.append(PositionGenerator(dims[stage], resolved.pos_kernel_size))
            if stage in self.out_indices and not final_norm:
                self.add_module(f'norm{stage + 1}', ChannelLayerNorm(dims[stage]))
        if final_norm:
            self.norm = ChannelLayerNorm(dims[-1])
        self._finish()

    def _build_block(
        self, stage: int, kind: str, size: Sequence[int], **options: Any
    ) -> WindowBlock | PyramidBlock:
        arch = self.arch
        dim = arch.embed_dims[stage]
        if kind == 'L':
            return WindowBlock(dim, window=arch.window_sizes[stage], **options)
        fine, coarse = pyramid_kernels(size, arch.fine_sizes[stage], arch.coarse_sizes[stage])
        return PyramidBlock(
            dim, fine=fine, coarse=coarse, down_sampling=arch.down_sampling, **options
        )

    @property
    def head_dim(self) -> int:
        """Channels of one attention head; no tensor shape depends on it."""
        return self.arch.head_dim

    @property
    def min_frames(self) -> int:
        """Frames that the embeddings reduce to one."""
        return prod(self.arch.temporal_pooling[: self.num_stages])

    def _embed(self, stage: int) -> nn.Module:
        return self.patch_embeds[stage]

    def _blocks(self, stage: int) -> nn.ModuleList:
        return self.blocks[stage]

    def _parts(self, stage: int) -> Iterator[nn.Module]:
        yield from super()._parts(stage)
        if self.arch.pos_kernel_size:
            yield self.pos_block[stage]

    def _entry(self, stage: int) -> Iterator[nn.Parameter]:
        yield from super()._entry(stage)
        if self.arch.pos_kernel_size:
            yield from self.pos_block[stage].parameters()

    def run_blocks(self, stage: int, x: Tensor, carried: None = None) -> tuple[Tensor, None]:
        """Run the blocks of a stage, with the positional encoding behind the first."""
        for index in range(len(self.blocks[stage])):
            x = self.run_block(stage, index, x)
            if index == 0 and self.arch.pos_kernel_size:
                x = self.pos_block[stage](x)
        return x, carried
