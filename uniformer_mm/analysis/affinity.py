"""What a token gathers from where: the affinity of the paper's relation aggregator (Figure 2).

A local block gathers with a kernel that it has learnt, the same for all tokens; a global block with
the attention weights that a token gives to all others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniformer_mm.models import UniFormer
from uniformer_mm.models.layers import GlobalBlock, LocalBlock, window_partition

__all__ = ['token_affinity']

_TRANSPOSED = {2: F.conv_transpose2d, 3: F.conv_transpose3d}


@torch.no_grad()
def token_affinity(
    backbone: UniFormer, inputs: Tensor, stage: int, index: int, place: Sequence[float]
) -> tuple[Tensor, tuple[int, ...]]:
    """The share that every token has in what a block's mixer gathers for one of them.

    Of a local block it is the mean over the channels of the kernel's absolute values; of a global
    one, the mean over the heads of the attention weights. Tokens outside the window of the token
    have none; what goes to the padding of a window is left out.

    Args:
        backbone: A UniFormer for images or clips.
        inputs: A batch of one, (1, C, \\*input size).
        stage: 0-based stage.
        index: 0-based block of it.
        place: Where the token is: a share in [0, 1) of each side of the map, T of clips first.

    Returns:
        The shares, (\\*S) with S the size of the map, and the token's place in it.

    Raises:
        ValueError: If the place is not on the map, or the block is none of these kinds.
    """
    block = backbone.layers(stage)[index]
    if type(block) not in (LocalBlock, GlobalBlock):
        raise ValueError(
            f'stage {stage + 1}, block {index + 1} of {type(backbone).__name__} is neither local '
            'nor attends jointly to the tokens of its map or window'
        )
    if len(place) != backbone.ndim or not all(0 <= share < 1 for share in place):
        raise ValueError(
            f'the place of a token is {backbone.ndim} shares in [0, 1), one of each side; '
            f'got {tuple(place)}'
        )
    map_, mixed = _inputs_of((block, block.attn), backbone, inputs)
    size = tuple(map_.shape[2:])
    token = tuple(int(share * side) for share, side in zip(place, size, strict=True))
    shares = map_.new_zeros(size)
    shares[token] = 1
    if type(block) is LocalBlock:
        kernel = block.attn.weight.abs().mean(0, keepdim=True)
        padding = block.attn.padding
        shares = _TRANSPOSED[backbone.ndim](shares[None, None], kernel, padding=padding)[0, 0]
        return shares / shares.sum(), token
    return _attention(block, mixed, shares), token


def _inputs_of(modules: Sequence[nn.Module], network: nn.Module, inputs: Tensor) -> list[Tensor]:
    """What modules get in a run of a network."""
    seen: dict[nn.Module, Tensor] = {}
    hooks = [
        module.register_forward_pre_hook(lambda module, args: seen.update({module: args[0]}))
        for module in modules
    ]
    try:
        network(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return [seen[module] for module in modules]


def _attention(block: GlobalBlock, tokens: Tensor, chosen: Tensor) -> Tensor:
    """Attention weights of a token.

    Args:
        block: The block.
        tokens: What its attention gets, (B, \\*S, C) or (windows, N, C).
        chosen: A map (\\*S), 1 at the token.
    """
    size, side = chosen.shape, block.window_size
    window = (*size[:-2], side, side) if side else size
    tokens = tokens.flatten(1, -2)  # (B, *S, C) -> (B, N, C)
    # Numbers of the map's tokens, from 1, in their windows; 0 is padding: (windows, N).
    numbers = torch.arange(1, chosen.numel() + 1, device=tokens.device).reshape(1, *size, 1)
    numbers = window_partition(numbers, window)[..., 0]
    ((row, column),) = (numbers == chosen.flatten().argmax() + 1).nonzero()
    attn = block.attn
    # (N, 3 C) -> (N, 3, heads, C/heads)
    qkv = attn.qkv(tokens[row]).unflatten(-1, (3, attn.num_heads, attn.head_dim))
    logits = (qkv[:, 1] * qkv[column, 0] * attn.scale).sum(-1)  # (N, heads)
    shares = tokens.new_zeros(chosen.numel() + 1)
    shares[numbers[row]] = logits.softmax(0).mean(1)
    return shares[1:].reshape(size)
