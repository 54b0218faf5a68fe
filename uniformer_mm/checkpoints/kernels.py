"""Turning kernels into those of another input: other channels, or clips instead of images."""

from __future__ import annotations

import torch
from torch import Tensor

from uniformer_mm.errors import CheckpointError

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
