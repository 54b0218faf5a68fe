"""Layers shared by all UniFormer backbones; pure PyTorch."""

from .attention import Attention
from .blocks import GlobalBlock, LocalBlock, SplitBlock
from .embeddings import ConvEmbed, ConvStem, PatchEmbed, channel_layer_norm
from .mlp import Mlp
from .ops import OPS, ResidualConv2d, ResidualConv3d
from .windows import window_partition, window_reverse

__all__ = [
    'OPS',
    'Attention',
    'ConvEmbed',
    'ConvStem',
    'GlobalBlock',
    'LocalBlock',
    'Mlp',
    'PatchEmbed',
    'ResidualConv2d',
    'ResidualConv3d',
    'SplitBlock',
    'channel_layer_norm',
    'window_partition',
    'window_reverse',
]
