"""What the kinds of networks have in common."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import Tensor

from ..kernels import adapt_stem_weight, inflate_weight
from ..names import fold_blocks

# Norms of returned maps, which there are none of in classification.
STAGE_NORMS = r'norm[1-4]\.'


class Adapted(NamedTuple):
    """Weights that were fitted to a network of another kind of input.

    Attributes:
        state: The entries.
        initial: Entries that there is nothing for, and that keep the network's initial values.
        report: What was done to which entries; empty if nothing was.
    """

    state: dict[str, Tensor]
    initial: list[str]
    report: str


def lacks(key: str, file: Iterable[str], parts: Iterable[str]) -> bool:
    """Whether an entry belongs to one of these parts, and a file has nothing of it."""
    return any(
        re.match(part, key) and not any(re.match(part, name) for name in file) for part in parts
    )


def is_spare_norm(key: str, own: Iterable[str]) -> bool:
    """Whether a file entry belongs to a norm behind a stage that the model lacks."""
    module = key.split('.')[0]
    is_norm = re.fullmatch(r'norm[1-4]?', module)
    return bool(is_norm) and not any(name.startswith(f'{module}.') for name in own)


def is_for_images(state: Mapping[str, Tensor], stems: Iterable[str]) -> bool:
    """Whether these are entries of an image network, whose first convolution is in ``stems``."""
    return any(state[key].ndim == 4 for key in stems if key in state)


def adapt_stem(state: dict[str, Tensor], own: Mapping[str, Tensor], stems: Iterable[str]) -> str:
    """Fit the first convolution in ``state`` to the input channels of ``own``; says what it did."""
    for key in stems:
        if key in own and key in state and own[key].shape[1] != state[key].shape[1]:
            state[key] = adapt_stem_weight(state[key], own[key].shape[1])
            return f'; {key} adapted to {own[key].shape[1]} input channels'
    return ''


def inflate_kernels(
    images: Mapping[str, Tensor], clips: Mapping[str, Tensor], mode: str
) -> tuple[dict[str, Tensor], str]:
    """Inflate every entry that has one axis less than the entry of that name for clips.

    Args:
        images: Entries of the image network.
        clips: Entries of the network for clips, whose kernels tell the lengths in time.
        mode: See :func:`inflate_weight`.

    Returns:
        The entries, and a report of what was done to which of them.
    """
    state = dict(images)
    frames: dict[str, int] = {}
    for key, weight in images.items():
        if key in clips and clips[key].ndim == 5 and weight.ndim == 4:
            frames[key] = clips[key].shape[2]
            state[key] = inflate_weight(weight, frames[key], mode)
    groups: dict[int, list[str]] = defaultdict(list)
    for key, length in fold_blocks(frames):
        groups[length].append(key)
    parts = [
        f'{"to 1 frame, which changes nothing" if length == 1 else f"to {length} frames"}: '
        f'{", ".join(groups[length])}'
        for length in sorted(groups, reverse=True)
    ]
    copied = sum(key in clips for key in images) - len(frames)
    return state, (
        f'From images to clips, by {mode}: inflated {len(frames)} entries ({"; ".join(parts)}); '
        f'copied {copied} others as they are.'
    )
