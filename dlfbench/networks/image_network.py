"""A U-Net of the image and its coordinate maps."""

import torch
from torch import Tensor, nn

from dlfbench.networks.blocks import BlockUNet
from dlfbench.networks.losses import Output, supervised
from dlfbench.networks.samples import NetworkInput, Sample, Triple, to_tensors
from dlfbench.networks.unet import Architecture, UNet, channels_last
from dlfbench.networks.windows import in_windows


class ImageNetwork(nn.Module):
    """Scores of each class from a target's image.

    Args:
        modalities: Image channels.
        classes: Labels, background included.
        architecture: Size of the U-Net.

    Attributes:
        window_vox: In evaluation, the largest size that is taken at once; larger volumes go window by window.
    """

    def __init__(self, modalities: int, classes: int, architecture: Architecture) -> None:
        super().__init__()
        self.mirror_axis = architecture.mirror_axis
        kind = BlockUNet if architecture.blocks else UNet
        self.unet = kind(modalities + 3, classes, architecture, supervised=True)
        self.activation = nn.Softmax(dim=1) if architecture.blocks else nn.Sigmoid()
        self.window_vox: Triple | None = None

    def forward(self, seen: NetworkInput) -> list[Output]:
        """What is supervised: scores (batch, class, x, y, z), 0 to 1, float32, of every level."""
        volume = torch.cat([seen.target, seen.coordinates], dim=1)
        return supervised([self.activation(found.float()) for found in self.unet(channels_last(volume))])

    def predict(self, sample: Sample) -> Tensor:
        """Scores of each class (1, class, x, y, z); the mean of those of the image and of the mirrored image."""
        seen = to_tensors(sample, slice(0)).to(next(self.parameters()).device)
        found = self._scores(seen.target, seen.coordinates)
        if self.mirror_axis is None:
            return found
        axis = 2 + self.mirror_axis
        return (found + self._scores(seen.target.flip(axis), seen.coordinates).flip(axis)) / 2

    def _scores(self, image: Tensor, coordinates: Tensor) -> Tensor:
        volume = torch.cat([image, coordinates], dim=1)
        found = in_windows(lambda part: self.unet(channels_last(part))[0], volume, self.window_vox)
        scores: Tensor = self.activation(found.float())
        return scores
