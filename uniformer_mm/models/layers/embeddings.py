"""Downsampling layers between the stages (paper, section 3.4)."""

from collections.abc import Sequence

from torch import Tensor, nn

from .ops import OPS


def channel_layer_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """LayerNorm over the channels of a map (B, C, \\*S); same shape out.

    The result keeps the memory order of the channels-last tokens, so no copy is made
    for the way back.
    """
    return norm(x.movedim(1, -1)).movedim(-1, 1)


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
        self.norm = nn.LayerNorm(out_channels, eps=norm_eps)
        self.proj = OPS[ndim].conv(in_channels, out_channels, kernel_size, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, \\*S) to (B, C_out, \\*S / stride), odd sizes floored."""
        return channel_layer_norm(self.norm, self.proj(x))


class ConvStem(nn.Module):
    """Overlapping first embedding, stride 4: two 3x3 convolutions with BatchNorms.

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the first stage.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Conv2d(in_channels, out_channels // 2, 3, stride=2, padding=1),
            nn.BatchNorm2d(out_channels // 2),
            nn.GELU(),
            nn.Conv2d(out_channels // 2, out_channels, 3, stride=2, padding=1),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H/4, W/4), odd sizes rounded up."""
        return self.proj(x)


class ConvEmbed(nn.Module):
    """Overlapping embedding between stages, stride 2: 3x3 convolution and BatchNorm.

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

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H/2, W/2), odd sizes rounded up."""
        return self.proj(x)
