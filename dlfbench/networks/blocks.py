"""A U-Net that sees blocks of voxels as channels: an eighth of the places, at full detail (space to depth)."""

from dataclasses import replace
from math import prod

from torch import Tensor, nn

from dlfbench.networks.unet import Architecture, Stride, UNet, channels_last

_WIDEST = 4


class BlockUNet(nn.Module):
    """A U-Net whose first level is blocks of voxels, of the size of the first stride, instead of voxels.

    Convolutions at full resolution are most of a U-Net's time. Here a place has all voxels of its block as channels,
    in the input and in the output, and nothing works at full resolution. The last convolution has a channel for each
    voxel and class of a block, up to four times the finest level's: with fewer, whole classes are never told apart.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        architecture: Its size; it has one level fewer than strides say.
        supervised: Whether there are heads on the coarser levels too.
    """

    def __init__(self, inputs: int, outputs: int, architecture: Architecture, *, supervised: bool = False) -> None:
        super().__init__()
        self.block, *strides = architecture.strides
        many, features = prod(self.block), architecture.features
        inside = replace(architecture, strides=tuple(strides))
        last = min(max(features, outputs * many), _WIDEST * features)
        self.unet = UNet(inputs * many, outputs * many, inside, supervised=supervised, last=last)

    def forward(self, volume: Tensor) -> list[Tensor]:
        """As of `UNet`; the size must be a multiple of the block's."""
        return [to_voxels(found, self.block) for found in self.unet(channels_last(to_blocks(volume, self.block)))]


def to_blocks(volume: Tensor, block: Stride) -> Tensor:
    """(batch, channel, x, y, z) to (batch, channel x voxel of the block, x, y, z of blocks)."""
    (batch, channels, *size), (a, b, c) = volume.shape, block
    x, y, z = (n // step for n, step in zip(size, block, strict=True))
    parts = volume.reshape(batch, channels, x, a, y, b, z, c).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return parts.reshape(batch, channels * a * b * c, x, y, z)


def to_voxels(volume: Tensor, block: Stride) -> Tensor:
    """The inverse of `to_blocks`."""
    (batch, channels, x, y, z), (a, b, c) = volume.shape, block
    parts = volume.reshape(batch, channels // (a * b * c), a, b, c, x, y, z).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return parts.reshape(batch, channels // (a * b * c), x * a, y * b, z * c)
