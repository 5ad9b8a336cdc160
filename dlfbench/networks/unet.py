"""A 3D U-Net of two convolutions a level, with heads for deep supervision.

Volumes are (batch, channel, x, y, z). Strides follow the voxel size: an axis whose voxels are long is halved later.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlfbench.networks.presets import Norm

Stride = tuple[int, int, int]

_GROUPS = 8


@dataclass(frozen=True)
class Architecture:
    """Size and kind of a U-Net.

    Attributes:
        features: Channels at full resolution, doubled per level.
        strides: One per level below the first, along (x, y, z).
        norm: `instance`, or `group` (8 groups): independent of what else is in the batch. `batch`: the batch's own
            statistics, also in evaluation: the paper's layer. Its running statistics do not become usable with one
            target a step, and so are not kept.
        supervision: How the coarser levels' features come to full resolution: `learned` (a chain of transposed
            convolutions, the paper's) or `linear` (the head's output interpolated).
        blocks: Whether networks see blocks of voxels as channels; see `dlfbench.networks.blocks`.
        mirror_axis: Axis along which images were mirrored in training: in use a network of the image is asked of the
            mirrored image, too. None where left is not right.
    """

    features: int
    strides: tuple[Stride, ...]
    norm: Norm = "instance"
    supervision: Literal["learned", "linear"] = "linear"
    blocks: bool = False
    mirror_axis: int | None = None

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels per level, full resolution first."""
        return tuple(self.features * 2**level for level in range(len(self.strides) + 1))


def level_strides(spacing_mm: Sequence[float], levels: int) -> tuple[Stride, ...]:
    """Strides of a U-Net: each level halves the axes whose voxels are not yet twice as long as the shortest.

    Args:
        spacing_mm: Voxel size along (x, y, z).
        levels: Resolution levels, the first included.
    """
    size, strides = list(spacing_mm), []
    for _ in range(levels - 1):
        x, y, z = (2 if length < 2 * min(size) else 1 for length in size)
        strides.append((x, y, z))
        size = [length * stride for length, stride in zip(size, strides[-1], strict=True)]
    return tuple(strides)


def total_stride(strides: Sequence[Stride]) -> Stride:
    """What the size along (x, y, z) must be a multiple of."""
    total = torch.ones(3, dtype=torch.int64)
    for stride in strides:
        total *= torch.tensor(stride)
    x, y, z = total.tolist()
    return x, y, z


class UNet(nn.Module):
    """A 3D U-Net.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        architecture: Its size.
        supervised: Whether there are heads on the coarser levels too.
        last: Channels of the last convolution, of two levels or more; as many as the finest level's by default.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        architecture: Architecture,
        *,
        supervised: bool = False,
        last: int | None = None,
    ) -> None:
        super().__init__()
        widths, strides = architecture.widths, architecture.strides
        ends = (last or widths[0], *widths[1:]) if strides else widths
        _warn_of(architecture.norm)
        self.strides = strides
        self.down = nn.ModuleList(
            Block(before, width, architecture.norm) for before, width in zip((inputs, *widths), widths, strict=False)
        )
        self.up = nn.ModuleList(
            enlarge(below, width, stride) for below, width, stride in zip(widths[1:], widths, strides, strict=False)
        )
        self.merge = nn.ModuleList(
            Block(2 * width, width, architecture.norm, end) for width, end in zip(widths[:-1], ends, strict=False)
        )
        learned = architecture.supervision == "learned"
        self.heads = nn.ModuleList(
            Head((*widths[:level], ends[level]), strides[:level], outputs, learned=learned)
            for level in range(len(widths) if supervised else 1)
        )

    def forward(self, volume: Tensor) -> list[Tensor]:
        """Outputs at full resolution, from the finest level's features first; only that one where not supervised."""
        features = [self.down[0](volume)]
        for stride, block in zip(self.strides, self.down[1:], strict=True):
            features.append(block(functional.max_pool3d(features[-1], stride)))
        for level in reversed(range(len(self.strides))):
            risen = self.up[level](features[level + 1])
            features[level] = self.merge[level](torch.cat([features[level], risen], dim=1))
        heads = zip(self.heads, features, strict=False) if self.training else [(self.heads[0], features[0])]
        return [head(found, volume.shape[2:]) for head, found in heads]


class Block(nn.Module):
    """Two 3x3x3 convolutions, each normalised and rectified; the second gives `end` channels."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, end: int | None = None) -> None:
        super().__init__()
        end = end or outputs
        self.first = Convolution(inputs, outputs)
        self.second = Convolution(outputs, end)
        self.after_first = make_norm(norm, outputs)
        # one batch norm for both convolutions, as in the authors' implementation
        shared = norm == "batch" and end == outputs
        self.after_second = self.after_first if shared else make_norm(norm, end)

    def forward(self, volume: Tensor) -> Tensor:
        """(batch, inputs, x, y, z) to (batch, end, x, y, z)."""
        volume = functional.relu(self.after_first(self.first(volume)), inplace=True)
        return functional.relu(self.after_second(self.second(volume)), inplace=True)


class Convolution(nn.Conv3d):
    """A 3x3x3 convolution that keeps the size.

    On a CPU, PyTorch takes a path many times slower where a batch holds one small volume: such a volume is convolved
    as a batch of its two halves, which gives the same numbers.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, volume: Tensor) -> Tensor:
        """(batch, inputs, x, y, z) to (batch, outputs, x, y, z)."""
        size = volume.shape[2]
        if volume.device.type != "cpu" or len(volume) > 1 or size < 2:
            return super().forward(volume)
        half = (size + 1) // 2
        padded = functional.pad(volume, (0, 0, 0, 0, 1, 1 + size % 2))
        halves = torch.cat([padded[:, :, : half + 2], padded[:, :, half : 2 * half + 2]])
        found = functional.conv3d(channels_last(halves), self.weight, self.bias, padding=(0, 1, 1))
        return channels_last(torch.cat([found[:1], found[1:]], dim=2)[:, :, :size])


class Head(nn.Module):
    """From the features of a level to outputs at full resolution.

    A chain of transposed convolutions has a ReLU between each two of them, as the authors' newest network has.
    Linear interpolation is of features or of outputs, whichever are fewer: it gives the same.
    """

    def __init__(self, widths: Sequence[int], strides: Sequence[Stride], outputs: int, *, learned: bool) -> None:
        super().__init__()
        levels = reversed(range(len(strides))) if learned else ()
        steps = [part for i in levels for part in (enlarge(widths[i + 1], widths[i], strides[i]), nn.ReLU())]
        self.rise = nn.Sequential(*steps[:-1])
        self.classify = nn.Conv3d(widths[0] if learned else widths[-1], outputs, 1)

    def forward(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """(batch, width, x, y, z) of a level to (batch, outputs, *size)."""
        risen, many = self.rise(features), self.classify.out_channels > self.classify.in_channels
        return _interpolated(self.classify(_interpolated(risen, size) if many else risen), size)


def _interpolated(volume: Tensor, size: Sequence[int]) -> Tensor:
    if volume.shape[2:] == torch.Size(size):
        return volume
    return functional.interpolate(volume, size=list(size), mode="trilinear", align_corners=False)


def start_at_zero(network: nn.Module) -> None:
    """Outputs of 0, whatever the features, until the network has learned."""
    for head in (module for module in network.modules() if isinstance(module, Head)):
        for parameter in head.classify.parameters():
            nn.init.zeros_(parameter)


def channels_last(volume: Tensor) -> Tensor:
    """The layout in which 3D convolutions are fast."""
    return volume.contiguous(memory_format=torch.channels_last_3d)


def enlarge(inputs: int, outputs: int, stride: Stride) -> nn.ConvTranspose3d:
    """A transposed convolution (kernel 3) that multiplies the size by the stride exactly."""
    x, y, z = (s - 1 for s in stride)
    return nn.ConvTranspose3d(inputs, outputs, 3, stride=stride, padding=1, output_padding=(x, y, z))


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """A normalisation layer."""
    if norm == "batch":
        return nn.BatchNorm3d(channels, track_running_stats=False)
    # GroupNorm with a group a channel is instance norm, and keeps the memory format
    return nn.GroupNorm(channels if norm == "instance" else min(_GROUPS, channels), channels)


def _warn_of(norm: Norm) -> None:
    if norm == "batch":
        warnings.warn(
            "norm='batch' uses the batch's own statistics: a target's result depends on which atlases are in it",
            UserWarning,
            stacklevel=3,
        )
