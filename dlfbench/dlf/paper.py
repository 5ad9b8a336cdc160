"""The network of Xie et al., Medical Image Analysis 83:102683 (2023), as they trained it: `preset=paper`.

Axes are (batch, atlas, channel, x, y, z) where an atlas axis is there, else (batch, channel, x, y, z). The class axis
follows the declared labels, background first.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from dlfbench.dlf.votes import HALF, Parts, grown, label_mask, voters
from dlfbench.networks.losses import Output, supervised
from dlfbench.networks.samples import NetworkInput, Sample, Triple, to_tensors
from dlfbench.networks.unet import Architecture, UNet, channels_last
from dlfbench.networks.windows import in_windows

VOTING_LEVELS = 3


class PaperNetwork(nn.Module):
    """Votes of atlases, weighted by one U-Net, summed, and corrected by another.

    Args:
        modalities: Image channels.
        classes: Labels, background included.
        architecture: Of the fine-tuning subnet, with four levels; the weighted voting subnet has the first three.
        parts: Ablations.

    Attributes:
        window_vox: In evaluation, the largest size that is taken at once; larger volumes go window by window.
    """

    def __init__(self, modalities: int, classes: int, architecture: Architecture, parts: Parts) -> None:
        super().__init__()
        self.classes, self.parts = classes, parts
        self.window_vox: Triple | None = None
        if parts.voting:
            strides = architecture.strides[: VOTING_LEVELS - 1]
            self.voting = UNet(2 * modalities + 3, classes, replace(architecture, strides=strides))
        if parts.fine_tuning:
            self.fine_tuning = UNet(classes + 3, classes, architecture, supervised=True)

    def forward(self, seen: NetworkInput) -> list[Output]:
        """What is supervised: scores (batch, class, x, y, z), 0 to 1, float32; the final ones first."""
        consensus, mask = self.vote(seen) / voters(seen.votes), self.mask(seen.votes)
        if not self.parts.fine_tuning:
            return [Output(consensus * mask)]
        return supervised([(consensus + found).sigmoid() * mask for found in self.corrections(consensus, seen)])

    def vote(self, seen: NetworkInput) -> Tensor:
        """Sum over atlases of weight x vote, V = W [S = label]: (batch, class, x, y, z), float32."""
        return (self.weights(seen) * seen.votes).sum(dim=1)

    def weights(self, seen: NetworkInput) -> Tensor:
        """How much each atlas is trusted for each label: (batch, atlas, class, x, y, z), 0 to 1, float32.

        Every atlas by itself, so that atlases can be given in any number at a time.
        """
        if not self.parts.voting:
            return torch.ones_like(seen.votes)
        batch, atlases = seen.votes.shape[:2]
        around = torch.cat([seen.target, seen.coordinates], dim=1)[:, None].expand(-1, atlases, -1, -1, -1, -1)
        volumes = torch.cat([around, seen.atlases], dim=2).flatten(0, 1)
        found = in_windows(lambda part: self.voting(channels_last(part))[0], volumes, self._window)
        return found.float().unflatten(0, (batch, atlases)).sigmoid()

    def corrections(self, consensus: Tensor, seen: NetworkInput) -> list[Tensor]:
        """The fine-tuning subnet's output (batch, class, x, y, z), float32; in training that of every level."""
        volume = torch.cat([consensus, seen.coordinates], dim=1)
        if self.training:
            return [found.float() for found in self.fine_tuning(channels_last(volume))]
        return [in_windows(lambda part: self.fine_tuning(channels_last(part))[0], volume, self._window).float()]

    def mask(self, votes: Tensor) -> Tensor:
        """Where each label may be (batch, class, x, y, z), of votes (batch, atlas, class, x, y, z)."""
        return label_mask(votes) if self.parts.mask else votes.new_ones(())

    def predict(self, sample: Sample, *, atlases_at_a_time: int) -> Tensor:
        """Scores of each class (1, class, x, y, z) from all atlases of a sample.

        However many atlases are taken at a time, the result is the same: a vote's weight depends on no other atlas. Not
        so with batch norm, whose statistics are those of the atlases taken together.
        """
        device = next(self.parameters(), torch.empty(0)).device
        consensus = torch.zeros((1, self.classes, *sample.target.shape[1:]), device=device)
        for start in range(0, len(sample.atlases), atlases_at_a_time):
            consensus += self.vote(to_tensors(sample, slice(start, start + atlases_at_a_time)).to(device))
        seen, mask = to_tensors(sample, slice(0)).to(device), consensus.new_ones(())
        if self.parts.mask:  # of all atlases' votes, which are 0 or 1
            mask = grown(torch.from_numpy(sample.votes.exceed(HALF / 2)).float()[None].to(device))
        voted = torch.from_numpy(sample.votes.mean().sum(axis=0))[None, None] * len(sample.votes)
        consensus /= voted.to(device).clamp_min(1)
        if not self.parts.fine_tuning:
            return consensus * mask
        return (consensus + self.corrections(consensus, seen)[0]).sigmoid() * mask

    @property
    def _window(self) -> Triple | None:
        return None if self.training else self.window_vox
