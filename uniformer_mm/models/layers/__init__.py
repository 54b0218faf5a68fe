"""Layers shared by all UniFormer backbones; pure PyTorch."""

from .attention import Attention
from .blocks import GlobalBlock, LocalBlock, SplitBlock
from .embeddings import ChannelLayerNorm, ConvEmbed, ConvStem, PatchEmbed
from .mlp import Mlp
from .ops import OPS, ResidualConv2d, ResidualConv3d
from .recompute import checkpoint_block
from .styles import STYLES, Style
from .windows import window_partition, window_reverse

__all__ = [
    'OPS',
    'STYLES',
    'Attention',
    'ChannelLayerNorm',
    'ConvEmbed',
    'ConvStem',
    'GlobalBlock',
    'LocalBlock',
    'Mlp',
    'PatchEmbed',
    'ResidualConv2d',
    'ResidualConv3d',
    'SplitBlock',
    'Style',
    'checkpoint_block',
    'window_partition',
    'window_reverse',
]
