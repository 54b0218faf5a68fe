"""What names, shapes and the file's name tell about a network."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

STEM_WEIGHTS = ('patch_embed1.proj.weight', 'patch_embed1.proj.0.weight')

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
    **{
        f'{framework}_{style}_{size}': (64, False)
        for framework in ('fpn', 'upernet')
        for style in ('global', 'hybrid')
        for size in ('small', 'base')
    },
    # Pose, without the size of its input.
    'top_down_global_small': (64, False),
    'top_down_global_base': (64, False),
}
# ``uniformer_small_k400_16x8`` and the folder ``uniformer_s16x8_k400`` are the same model; S and B
# have the heads of the images' S and B.
_VIDEO_FILE = re.compile(
    r'uniformer_(small|base|[sb]\d+(x\d+)?)_(k400|k600|sthv1|sthv2|ucf101|hmdb51)(_|$)'
)


def known_head_dim(path: str | os.PathLike, token_labelling: bool) -> int | None:
    """Channels of one attention head in a released file, by its name.

    Args:
        path: Path or URL; folders, a resolution, ``in1k``, hash and date in the name do not matter.
        token_labelling: Whether the file has the token-labelling head. A name that says otherwise
            is not trusted.

    Returns:
        The head dimension, or None for an unknown name.
    """
    stem = re.sub(r'\.(pth|pt|pyth|bin)$', '', str(path).rsplit('/', 1)[-1])
    stem = re.sub(r'(_in1k|_224|_384|-[0-9a-f]{8}|_20\d{6})+$', '', stem)
    stem = re.sub(r'^(top_down)_\d+x\d+', r'\1', stem)
    if _VIDEO_FILE.match(stem):
        stem = 'uniformer_base'
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
        ndim: 2 for images, 3 for clips.
        stage_types: ``'L'`` for convolution or ``'G'`` for attention, for each stage.
        local_kernel_size: Kernel of the mixing convolutions.
        pos_kernel_size: Kernel of the position convolutions; 0 if there are none.
        split: Whether attention is divided into time and space.
        std: Whether the embeddings between the stages mix frames.
    """

    depths: tuple[int, ...]
    embed_dims: tuple[int, ...]
    mlp_ratio: float
    stem: str
    in_channels: int
    layer_scale_stages: tuple[int, ...]
    ndim: int = 2
    stage_types: tuple[str, ...] = ('L', 'L', 'G', 'G')
    local_kernel_size: int = 5
    pos_kernel_size: int = 3
    split: bool = False
    std: bool = False

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
        stem = next((state[key] for key in STEM_WEIGHTS if key in state), None)
        stages = sorted(blocks)
        widths = [state.get(f'blocks{stage}.0.norm1.weight') for stage in stages]
        hidden = state.get('blocks1.0.mlp.fc1.weight')
        if stem is None or hidden is None or any(width is None for width in widths):
            return None
        mixers = [state.get(f'blocks{stage}.0.attn.weight') for stage in stages]
        local = next((mixer for mixer in mixers if mixer is not None), None)
        position = state.get('blocks1.0.pos_embed.weight')
        embed = state.get('patch_embed2.proj.weight')
        return cls(
            depths=tuple(len(blocks[stage]) for stage in stages),
            embed_dims=tuple(width.shape[0] for width in widths),
            mlp_ratio=hidden.shape[0] / widths[0].shape[0],
            stem='patch' if STEM_WEIGHTS[0] in state else 'conv',
            in_channels=stem.shape[1],
            layer_scale_stages=tuple(sorted(scaled)),
            ndim=stem.ndim - 2,
            stage_types=tuple('G' if mixer is None else 'L' for mixer in mixers),
            local_kernel_size=5 if local is None else local.shape[-1],
            pos_kernel_size=0 if position is None else position.shape[-1],
            split=any('.t_attn.' in key for key in state),
            std=embed is not None and embed.ndim == 5 and embed.shape[2] == 3,
        )
