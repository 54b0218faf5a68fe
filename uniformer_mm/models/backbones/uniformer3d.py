"""UniFormer for clips: the blocks of the image network with a third axis.

Paper: Li et al., "UniFormer: Unifying Convolution and Self-attention for Visual
Recognition", TPAMI 2023, arXiv 2201.09450, sections 3 and 4.2. Original code:
https://github.com/Sense-X/UniFormer/tree/main/video_classification (Apache-2.0). Written anew
here; beyond what :mod:`.uniformer` lists, ``stage_types``, which the original declares but never
reads, is an argument that works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from uniformer_mm.architectures import CLIP_ARCHS, Arch
from uniformer_mm.registry import MODELS

from ..layers import ConvStem, PatchEmbed
from .uniformer import UniFormer


@MODELS.register_module()
class UniFormer3D(UniFormer):
    """UniFormer for clips (B, C, T, H, W).

    The first embedding halves the number of frames; afterwards it stays. By default the
    network attends over all positions of all frames jointly, and ends as a classifier.

    As of other networks of MMAction2, the output is a tensor if one stage is returned: stage i
    (0-based) gives ``(B, embed_dims[i], (T + 1) // 2, H // 2**(i+2), W // 2**(i+2))``.

    Args:
        arch: A name of :attr:`arch_zoo` or a dict with the fields of
            :class:`~uniformer_mm.architectures.Arch`. Defaults to ``'small'``.
        out_indices: 0-based stages to return, increasing. Defaults to ``(3,)``.
        final_norm: Put the classification BatchNorm ``norm`` on the last map.
            Defaults to True.
        **kwargs: The other arguments of :class:`~.uniformer.UniFormer` and fields of
            the architecture. Windows of stage 3 cut height and width and span all
            frames; with ``split=True`` they apply to the spatial attention.
            ``init_cfg=dict(type='Pretrained', checkpoint=...)`` also takes weights of images
            and inflates them, see :func:`uniformer_mm.checkpoints.load_backbone`.

    Raises:
        ValueError: If an argument has an illegal value.
        TypeError: If a keyword is neither an argument nor a field of the architecture.

    Examples:
        >>> model = UniFormer3D('small').eval()
        >>> model(torch.rand(1, 3, 8, 64, 96)).shape
        torch.Size([1, 512, 4, 2, 3])
    """

    ndim = 3
    arch_zoo: Mapping[str, Arch] = CLIP_ARCHS

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'small',
        *,
        out_indices: Sequence[int] = (3,),
        final_norm: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(arch, out_indices=out_indices, final_norm=final_norm, **kwargs)

    @classmethod
    def _check_arch(cls, arch: Arch) -> None:
        if 'conv' in arch.embed_types[1:]:
            raise ValueError(
                f"embed_types of clips must be 'patch' behind the first; got {arch.embed_types!r}"
            )
        if arch.split and max(arch.pool_strides) > 1:
            raise ValueError(
                f'divided attention pools no keys and values: split needs pool_strides of 1; got '
                f'{arch.pool_strides!r}'
            )
        if arch.std and not arch.inflated:
            raise ValueError('std lets embeddings mix frames, inflated=False no convolution does')
        cls._check_kind(arch)

    def _build_embed(self, stage: int, in_channels: int, out_channels: int) -> nn.Module:
        if self.arch.embed_types[stage] == 'conv':
            return ConvStem(in_channels, out_channels, ndim=3)
        if stage == 0:
            kernel, stride, padding = (3, 4, 4), (2, 4, 4), (1, 0, 0)
        elif self.arch.std:
            kernel, stride, padding = (3, 2, 2), (1, 2, 2), (1, 0, 0)
        else:
            kernel, stride, padding = (1, 2, 2), (1, 2, 2), 0
        return PatchEmbed(
            in_channels, out_channels, kernel, stride, padding, self.arch.patch_norm_eps, ndim=3
        )
