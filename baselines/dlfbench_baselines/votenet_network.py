"""The network of VoteNet: from a target and a warped atlas to the chance that the atlas's label is right."""

import torch
from torch import Tensor, nn

from dlfbench.networks.blocks import BlockUNet
from dlfbench.networks.losses import Output
from dlfbench.networks.samples import NetworkInput, Sample, Triple, to_tensors
from dlfbench.networks.unet import Architecture, UNet, channels_last
from dlfbench.networks.windows import in_windows

_HALF = 0.5


class VoteNetwork(nn.Module):
    """A U-Net of target and atlas; every atlas by itself.

    Args:
        modalities: Image channels.
        architecture: Size of the U-Net.

    Attributes:
        window_vox: In evaluation, the largest size that is taken at once; larger volumes go window by window.
    """

    def __init__(self, modalities: int, architecture: Architecture) -> None:
        super().__init__()
        kind = BlockUNet if architecture.blocks else UNet
        self.unet = kind(2 * modalities, 2, architecture)
        self.window_vox: Triple | None = None

    def forward(self, seen: NetworkInput) -> list[Output]:
        """What is supervised: chances to be wrong and right (batch x atlas, 2, x, y, z), with the truth of it."""
        # whether a vote for a label that was not drawn is right, or one for the background beside it, nobody knows
        possible = (seen.votes * seen.undrawn[:, None, :, None, None, None]).sum(dim=(1, 2)) > 0
        truth = torch.cat([seen.truth[:, :1] * ~possible[:, None], seen.truth[:, 1:]], dim=1)
        right = (seen.votes * truth[:, None]).sum(dim=2).flatten(0, 1)
        known = truth.sum(dim=1)[:, None].expand(-1, seen.votes.shape[1], -1, -1, -1).flatten(0, 1)
        return [Output(self.chances(seen).flatten(0, 1), truth=torch.stack([known - right, right], dim=1))]

    def chances(self, seen: NetworkInput) -> Tensor:
        """Chances of each atlas to be wrong and right (batch, atlas, 2, x, y, z)."""
        batch, atlases = seen.votes.shape[:2]
        target = seen.target[:, None].expand(-1, atlases, -1, -1, -1, -1)
        volumes = torch.cat([target, seen.atlases], dim=2).flatten(0, 1)
        window = None if self.training else self.window_vox
        found = in_windows(lambda part: self.unet(channels_last(part))[0], volumes, window)
        return found.float().softmax(dim=1).unflatten(0, (batch, atlases))

    def predict(self, sample: Sample, *, atlases_at_a_time: int) -> Tensor:
        """Votes for each class (1, class, x, y, z) of the atlases that are right; of all where none is."""
        device, many = next(self.parameters()).device, len(sample.atlases)
        chosen = everybody = torch.zeros(())
        for start in range(0, many, atlases_at_a_time):
            some = to_tensors(sample, slice(start, start + atlases_at_a_time)).to(device)
            right = (self.chances(some)[:, :, 1:] > _HALF).float()
            chosen, everybody = chosen + (right * some.votes).sum(dim=1), everybody + some.votes.sum(dim=1)
        return torch.where(chosen.sum(dim=1, keepdim=True) > 0, chosen, everybody)
