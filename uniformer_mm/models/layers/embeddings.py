"""Downsampling layers between the stages (paper, section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .folding import fold_conv_bn_pairs
from .ops import OPS, channels_first, channels_last


class ChannelLayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of a map (B, C, \\*S); same shape out.

    The result keeps the memory order of the channels-last tokens, so no copy is made
    for the way back.
    """

    def forward(self, x: Tensor) -> Tensor:
        return channels_first(super().forward(channels_last(x)))


class PatchEmbed(nn.Module):
    """Strided convolution followed by a LayerNorm over channels.

    Args:
        in_channels: Channels of the incoming map.
        out_channels: Channels of the outgoing map.
        kernel_size: Kernel, one entry per axis.
        stride: Stride, one entry per axis.
        padding: Zero padding, one entry per axis. Defaults to 0.
        norm_eps: LayerNorm epsilon. Defaults to 1e-5, unlike the blocks' 1e-6.
        ndim: Number of spatial axes, 2 or 3. Defaults to 2.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        stride: Sequence[int],
        padding: int | Sequence[int] = 0,
        norm_eps: float = 1e-5,
        ndim: int = 2,
    ) -> None:
        super().__init__()
        self.norm = ChannelLayerNorm(out_channels, norm_eps)
        self.proj = OPS[ndim].conv(in_channels, out_channels, kernel_size, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, \\*S) to (B, C_out, \\*S / stride), odd sizes floored."""
        return self.norm(self.proj(x))

    def fold(self) -> None:
        """Nothing to fold: a LayerNorm is not constant."""


class _ConvBN(nn.Module):
    """Overlapping convolutions with BatchNorms."""

    proj: nn.Sequential

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)

    def fold(self) -> None:
        """Fold the BatchNorms into the convolutions, in place."""
        self.proj = fold_conv_bn_pairs(self.proj)


class ConvStem(_ConvBN):
    """Overlapping first embedding: two convolutions of kernel 3 with BatchNorms.

    Maps (B, C_in, H, W) to (B, C_out, H/4, W/4), and with three axes (B, C_in, T, H, W) to
    (B, C_out, T/2, H/4, W/4); odd sizes are rounded up.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the first stage.
        ndim: Number of axes, 2 or 3. Defaults to 2.
    """

    def __init__(self, in_channels: int, out_channels: int, ndim: int = 2) -> None:
        super().__init__()
        ops = OPS[ndim]
        # Of clips, only the second convolution halves the number of frames.
        first, second = ((2, 2), (2, 2)) if ndim == 2 else ((1, 2, 2), (2, 2, 2))
        self.proj = nn.Sequential(
            ops.conv(in_channels, out_channels // 2, 3, first, padding=1),
            ops.batch_norm(out_channels // 2),
            nn.GELU(),
            ops.conv(out_channels // 2, out_channels, 3, second, padding=1),
            ops.batch_norm(out_channels),
        )


class ConvEmbed(_ConvBN):
    """Overlapping embedding between stages, stride 2: 3x3 convolution and BatchNorm.

    Maps (B, C_in, H, W) to (B, C_out, H/2, W/2), odd sizes rounded up.

    Args:
        in_channels: Channels of the incoming map.
        out_channels: Channels of the outgoing map.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1),
            nn.BatchNorm2d(out_channels),
        )
