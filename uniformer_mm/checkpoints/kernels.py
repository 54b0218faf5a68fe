"""Turning kernels into those of another input: other channels, clips of images, other clips."""

from __future__ import annotations

from collections.abc import Sequence

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


def resize_kernel(weight: Tensor, size: Sequence[int]) -> Tensor:
    """Resample the kernel of a convolution whose stride is its size.

    Every weight is shared out to the cells of the new kernel by the part of it that they cover,
    so that the sum stays. A kernel of half the frames thus answers to a clip as the kernel did to
    the clip with every frame twice.

    Args:
        weight: Kernel of shape (C_out, C_in, T, H, W).
        size: Size (T, H, W) of the new kernel.

    Returns:
        Kernel of shape (C_out, C_in, *size).
    """
    for axis, new in enumerate(size, start=2):
        old = weight.shape[axis]
        # Both kernels are spread over (0, old * new), in which every edge is a whole number.
        of_old = torch.arange(old)[:, None] * new
        of_new = torch.arange(new) * old
        overlap = torch.minimum(of_old + new, of_new + old) - torch.maximum(of_old, of_new)
        shares = (overlap.clamp(min=0) / new).to(weight)  # (old, new)
        weight = torch.tensordot(weight, shares, dims=([axis], [0])).movedim(-1, axis)
    return weight.contiguous()


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
