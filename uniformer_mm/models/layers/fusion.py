"""Folding of inference-time constants into neighbouring layers.

Each function changes a module in place and keeps its output up to rounding.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .blocks import GlobalBlock, LocalBlock
from .ops import OPS


def _per_output(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.reshape(-1, *(1,) * (weight.ndim - 1))


def _scale_output(layer: nn.Module, gamma: Tensor) -> None:
    """``gamma * layer(x)`` becomes ``layer(x)``."""
    gamma = gamma.flatten()
    layer.weight.mul_(_per_output(gamma, layer.weight))
    layer.bias.mul_(gamma)


def _absorb_batch_norm(norm: nn.Module, conv: nn.Module) -> None:
    """``conv(norm(x))`` becomes ``conv(x)``, for a pointwise convolution.

    A larger kernel would see the zero padding before the norm's shift, not after it.
    """
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    shift = norm.bias - norm.running_mean * scale
    conv.bias.add_(conv.weight.flatten(1) @ shift)
    conv.weight.mul_(scale.reshape(1, -1, *(1,) * (conv.weight.ndim - 2)))


def _fold_residual(conv: nn.Conv2d | nn.Conv3d) -> nn.Module:
    """A plain depthwise convolution equal to ``x + conv(x)``."""
    plain = OPS[conv.weight.ndim - 2].conv(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        padding=conv.padding,
        groups=conv.groups,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    )
    plain.load_state_dict(conv.state_dict())
    center = tuple(k // 2 for k in conv.kernel_size)
    plain.weight[(slice(None), 0, *center)] += 1
    return plain


@torch.no_grad()
def fuse_block(block: LocalBlock | GlobalBlock) -> None:
    """Fold the position residual, the BatchNorms and the layer scales of a block."""
    if not isinstance(block.pos_embed, nn.Identity):
        block.pos_embed = _fold_residual(block.pos_embed)
    if isinstance(block, LocalBlock):
        mixer_out = block.conv2
        _absorb_batch_norm(block.norm1, block.conv1)
        _absorb_batch_norm(block.norm2, block.mlp.fc1)
        block.norm1, block.norm2 = nn.Identity(), nn.Identity()
    else:
        mixer_out = block.attn.proj
    if block.gamma_1 is not None:
        _scale_output(mixer_out, block.gamma_1)
        _scale_output(block.mlp.fc2, block.gamma_2)
        block.gamma_1 = block.gamma_2 = None


def fuse_conv_bn_pairs(layers: nn.Sequential) -> nn.Sequential:
    """Fold every BatchNorm that follows a convolution into it."""
    fused: list[nn.Module] = []
    for layer in layers:
        if fused and isinstance(layer, nn.BatchNorm2d):
            fused[-1] = fuse_conv_bn_eval(fused[-1], layer)
        else:
            fused.append(layer)
    return nn.Sequential(*fused)
