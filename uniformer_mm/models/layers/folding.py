"""Arithmetic of folding inference-time constants into neighbouring layers.

Every function keeps the output up to rounding. Blocks and embeddings say in their ``fold()`` what
is folded into what.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


@torch.no_grad()
def scale_output(layer: nn.Module, gamma: Tensor) -> None:
    """``gamma * layer(x)`` becomes ``layer(x)``."""
    gamma = gamma.flatten()
    layer.weight.mul_(gamma.reshape(-1, *(1,) * (layer.weight.ndim - 1)))
    layer.bias.mul_(gamma)


@torch.no_grad()
def shift_input(layer: nn.Module, shift: Tensor) -> None:
    """``layer(x)`` becomes ``layer(x - shift)``, for a pointwise convolution."""
    layer.bias.sub_(layer.weight.flatten(1) @ shift)


@torch.no_grad()
def absorb_batch_norm(norm: nn.Module, conv: nn.Module) -> nn.Identity:
    """``conv(norm(x))`` becomes ``conv(x)``, for a pointwise convolution; returns what norm is now.

    A larger kernel would see the zero padding before the norm's shift, not after it.
    """
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    shift_input(conv, norm.running_mean * scale - norm.bias)
    conv.weight.mul_(scale.reshape(1, -1, *(1,) * (conv.weight.ndim - 2)))
    return nn.Identity()


def take_bias(layer: nn.Module) -> Tensor:
    """The bias of a layer, which has none afterwards."""
    bias = layer.bias.detach()
    layer.bias = None
    return bias


def fold_conv_bn_pairs(layers: nn.Sequential) -> nn.Sequential:
    """The same layers, with every BatchNorm that follows a convolution folded into it."""
    folded: list[nn.Module] = []
    for layer in layers:
        if folded and isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            folded[-1] = fuse_conv_bn_eval(folded[-1], layer)
        else:
            folded.append(layer)
    return nn.Sequential(*folded)
