"""Layers shared by all backbones; pure PyTorch."""

from .attention import Attention, PooledAttention
from .blocks import GlobalBlock, LocalBlock, MobileBlock, PooledBlock, SplitBlock
from .embeddings import ChannelLayerNorm, ConvEmbed, ConvStem, PatchEmbed
from .mlp import Mlp
from .ops import OPS, ResidualConv2d, ResidualConv3d
from .pyramid import (
    PositionGenerator,
    PyramidAttention,
    PyramidBlock,
    WindowBlock,
    pyramid_kernels,
)
from .recompute import checkpoint_block
from .shrinking import ClassAttention, Ranking, ShrinkingBlock, pool_score
from .styles import STYLES, Style
from .windows import window_partition, window_reverse

__all__ = [
    'OPS',
    'STYLES',
    'Attention',
    'ChannelLayerNorm',
    'ClassAttention',
    'ConvEmbed',
    'ConvStem',
    'GlobalBlock',
    'LocalBlock',
    'Mlp',
    'MobileBlock',
    'PatchEmbed',
    'PooledAttention',
    'PooledBlock',
    'PositionGenerator',
    'PyramidAttention',
    'PyramidBlock',
    'Ranking',
    'ResidualConv2d',
    'ResidualConv3d',
    'ShrinkingBlock',
    'SplitBlock',
    'Style',
    'WindowBlock',
    'checkpoint_block',
    'pool_score',
    'pyramid_kernels',
    'window_partition',
    'window_reverse',
]
