"""The efficient UniFormer: deep stages that spend their work on half of the tokens.

The models XXS and XS of the authors' release, for images
(https://github.com/Sense-X/UniFormer/tree/main/image_classification) and clips
(https://github.com/Sense-X/UniFormer/tree/main/video_classification), Apache-2.0. The paper (arXiv
2201.09450) does not describe them. Written anew here; what differs:

* class token and scores go from block to block as arguments, not through module globals, so that a
  network may be used twice at once, recomputed, copied to several GPUs and compiled;
* training and inference are one computation that writes nothing in place, so that gradients exist
  in eval mode too (frozen BatchNorms, heat maps);
* tokens are picked by integer indices, which stay exact in half precision, and never sorted;
* scores are float32 in mixed precision.

State-dict keys are the original ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from uniformer_mm.architectures import LIGHT_ARCHS, Arch
from uniformer_mm.arguments import check_flags
from uniformer_mm.registry import MODELS

from ..layers import Ranking, ShrinkingBlock, pool_score
from .staged import Mix
from .uniformer import UniFormer
from .uniformer3d import UniFormer3D

# The 0-based stages of attention.
FIRST, LAST = 2, 3


@MODELS.register_module()
class UniFormerLight(UniFormer):
    """Efficient UniFormer for images: XXS and XS.

    Behind the first attention block, which ranks all tokens, a block runs on a class token, the
    half of the tokens that rank highest, and one token that stands for the others.

    Args:
        arch: A name of :attr:`arch_zoo` or a dict with the fields of
            :class:`~uniformer_mm.architectures.Arch`. Defaults to ``'xxs'``.
        with_cls_token: Return the last map as a pair with the class token, (B, C), which a second
            classifier needs in training. Defaults to False.
        **kwargs: The other arguments of :class:`~.uniformer.UniFormer`, but those of windows, and
            fields of the architecture, e.g. ``keep_ratio=0.25``.

    Raises:
        ValueError: If an argument has an illegal value.
        TypeError: If a keyword is neither an argument nor a field of the architecture.

    Examples:
        >>> model = UniFormerLight('xxs').eval()
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 96))]
        [(1, 56, 16, 24), (1, 112, 8, 12), (1, 224, 4, 6), (1, 448, 2, 3)]
    """

    arch_zoo: Mapping[str, Arch] = LIGHT_ARCHS

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'xxs',
        *,
        with_cls_token: bool = False,
        **kwargs: Any,
    ) -> None:
        check_flags(with_cls_token=with_cls_token)
        super().__init__(arch, light=True, **kwargs)
        if with_cls_token and self.num_stages <= LAST:
            raise ValueError(
                f'with_cls_token returns the class token behind the last stage, so out_indices '
                f'must hold {LAST}; got {self.out_indices!r}'
            )
        self.with_cls_token = with_cls_token

    @classmethod
    def _check_kind(cls, arch: Arch) -> None:
        plain = arch.stage_types == ('L', 'L', 'G', 'G') and max(arch.pool_strides) == 1
        if arch.split or not plain:
            raise ValueError(
                f"light networks have stage_types ('L', 'L', 'G', 'G') and neither divided nor "
                f'pooled attention; got {arch.stage_types!r}, split={arch.split!r} and '
                f'pool_strides={arch.pool_strides!r}'
            )

    def _block(self, stage: int, attention: dict[str, Any]) -> tuple[type[nn.Module], dict]:
        block_type, options = super()._block(stage, attention)
        if stage < FIRST:
            return block_type, options
        shrinking = dict(keep_ratio=self.arch.keep_ratio, trade_off=self.arch.trade_off)
        return ShrinkingBlock, {**options, **shrinking}

    def _finish(self) -> None:
        dims = self.arch.embed_dims
        if self.num_stages > FIRST:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, dims[FIRST]))
            self.cls_token.requires_grad_(self.frozen_stages <= FIRST)
        if self.num_stages > LAST:
            self.cls_upsample = nn.Linear(dims[FIRST], dims[LAST])
        super()._finish()

    def _frozen_modules(self) -> Iterator[nn.Module]:
        yield from super()._frozen_modules()
        if self.frozen_stages > LAST:
            yield self.cls_upsample

    def _entry(self, stage: int) -> Iterator[nn.Parameter]:
        yield from super()._entry(stage)
        if stage == FIRST:
            yield self.cls_token
        elif stage == LAST:
            yield from self.cls_upsample.parameters()

    def set_stage3_style(self, style: str, *args: Any, **kwargs: Any) -> None:
        """Refuse windows: the tokens that are kept lie anywhere.

        Raises:
            ValueError: If a style is not ``'global'``.
        """
        super().set_stage3_style(style, *args, **kwargs)
        if set(self._style.names) != {'global'}:
            raise ValueError(
                f'{type(self).__name__} attends over the tokens it keeps, wherever they lie: '
                f"stage3_style must be 'global'; got {self._style.names!r}"
            )

    def run_blocks(
        self, stage: int, x: Tensor, carried: Ranking | None = None
    ) -> tuple[Tensor, Ranking | None]:
        """Run the blocks of a stage; hands on the class token and the scores of the tokens."""
        if stage < FIRST:
            return super().run_blocks(stage, x)
        ranking = carried or Ranking(self.cls_token.expand(x.shape[0], -1, -1))
        for index in range(len(self._blocks(stage))):
            x, *ranking = self.run_block(stage, index, x, *ranking)
        cls_token, score = ranking
        if stage == FIRST and self.num_stages > LAST:
            cls_token, score = self.cls_upsample(cls_token), pool_score(score, x.shape[2:])
        return x, Ranking(cls_token, score)

    def run_stages(
        self, x: Tensor, mix: Mix | None = None
    ) -> tuple[tuple[Tensor | tuple[Tensor, Tensor], ...], Ranking]:
        outs, ranking = super().run_stages(x, mix)
        if self.with_cls_token:
            outs = (*outs[:-1], (outs[-1], ranking.cls_token.squeeze(1)))
        return outs, ranking


@MODELS.register_module()
class UniFormerLight3D(UniFormerLight, UniFormer3D):
    """Efficient UniFormer for clips (B, C, T, H, W): XXS and XS.

    What is returned is as of :class:`~.uniformer3d.UniFormer3D`: by default the normalised map of
    the last stage, and with ``with_cls_token=True`` the pair of it and the class token.

    Args:
        arch: A name of :attr:`arch_zoo` or a dict. Defaults to ``'xxs'``.
        **kwargs: The other arguments of :class:`UniFormerLight`, with the defaults of
            :class:`~.uniformer3d.UniFormer3D`.

    Examples:
        >>> model = UniFormerLight3D('xxs').eval()
        >>> model(torch.rand(1, 3, 8, 64, 96)).shape
        torch.Size([1, 448, 4, 2, 3])
    """
