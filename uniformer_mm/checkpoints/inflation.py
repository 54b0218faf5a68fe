"""Turning the weights of an image network into those of its twin for clips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from torch import Tensor

from .errors import CheckpointError
from .names import fold_blocks

INFLATIONS = ('average', 'center')


def inflate_weight(weight: Tensor, frames: int, mode: str = 'average') -> Tensor:
    """Give the kernel of a 2D convolution a time axis.

    On a clip whose frames are all equal, the result answers as the image network does, away from
    the zero padding in time.

    Args:
        weight: Kernel of shape (C_out, C_in, H, W).
        frames: Length T of the time axis.
        mode: ``'average'``, the original's rule: every frame gets the kernel divided by T; or
            ``'center'``: the frame in the middle gets it, the others zeros. Defaults to
            ``'average'``.

    Returns:
        Kernel of shape (C_out, C_in, T, H, W).

    Raises:
        CheckpointError: If the mode is unknown.
    """
    if mode not in INFLATIONS:
        raise CheckpointError(f'inflate must be one of {", ".join(INFLATIONS)}; got {mode!r}.')
    inflated = weight.unsqueeze(2).repeat_interleave(frames, dim=2)
    if mode == 'average':
        return inflated / frames
    others = [frame for frame in range(frames) if frame != frames // 2]
    inflated[:, :, others] = 0
    return inflated


def inflate_state(
    images: Mapping[str, Tensor], clips: Mapping[str, Tensor], mode: str = 'average'
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
