"""The network of deep label fusion: a weighted vote of atlases, and a network that knows the image.

Axes are (batch, atlas, channel, x, y, z) where an atlas axis is there, else (batch, channel, x, y, z). The class axis
follows the declared labels, background first.
"""

from dataclasses import replace
from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dlfbench.dlf.corrections import correct
from dlfbench.dlf.votes import Parts, shares
from dlfbench.fusion.combination import LEAST_SHARE
from dlfbench.fusion.corrective_trees import Models
from dlfbench.fusion.posterior import Posterior
from dlfbench.fusion.region import Box
from dlfbench.networks.blocks import to_blocks, to_voxels
from dlfbench.networks.image_network import ImageNetwork
from dlfbench.networks.losses import Output
from dlfbench.networks.posteriors import in_tiles
from dlfbench.networks.samples import NetworkInput, Sample, Triple, to_tensors
from dlfbench.networks.tiles import Room
from dlfbench.networks.unet import Architecture, UNet, channels_last, start_at_zero

VOTING_FEATURES = 16
_MOST = 3.0  # logarithm of the largest factor by which a vote is weighed
_LEAST_VOTE = 1e-3


class VotingNetwork(nn.Module):
    """How much each atlas's vote for each label counts at each voxel: a factor, 1 at the start of training.

    One U-Net of two levels on blocks of voxels looks at target and atlas, at the atlas's vote and at that of all.

    Args:
        modalities: Image channels.
        classes: Labels, background included.
        architecture: Its first stride is a block, its second that between the levels.
    """

    def __init__(self, modalities: int, classes: int, architecture: Architecture) -> None:
        super().__init__()
        self.classes, (self.block, *strides) = classes, architecture.strides
        many = prod(self.block)
        levels = replace(architecture, strides=tuple(strides[:1]))
        self.window_vox: Triple | None = None  # looks at few atlases at a time, rather than at parts of an image
        self.unet = UNet(2 * modalities * many + 2 * classes + 3, classes * many, levels)
        start_at_zero(self.unet)

    def forward(self, seen: NetworkInput) -> list[Output]:
        """What is supervised: the consensus as shares (batch, class, x, y, z)."""
        return [Output(shares(self.weighed(seen, shares(seen.votes.sum(dim=1)))))]

    def weighed(self, seen: NetworkInput, plain: Tensor) -> Tensor:
        """Sums over atlases of the weighed votes (batch, class, x, y, z); arguments as of `weights`.

        Of many labels few have a vote in a patch; for the others nothing is computed.
        """
        voted = (seen.votes != 0).amax(dim=(0, 1, 3, 4, 5)).nonzero().squeeze(1)
        summed = (self.weights(seen, plain, voted) * seen.votes.index_select(2, voted)).sum(dim=1)
        return torch.zeros_like(plain).index_copy(1, voted, summed)

    def weights(self, seen: NetworkInput, plain: Tensor, of: Tensor | None = None) -> Tensor:
        """The factors (batch, atlas, class, x, y, z), float32.

        Args:
            seen: Of some atlases or all.
            plain: Share of each label in the votes of all atlases as they come (batch, class, x, y, z).
            of: Indices of the classes to tell them of; of all by default.
        """
        batch, atlases = seen.votes.shape[:2]
        everywhere = functional.avg_pool3d(torch.cat([plain, seen.coordinates], dim=1), self.block)

        def of_each(volume: Tensor) -> Tensor:
            return volume[:, None].expand(-1, atlases, -1, -1, -1, -1).flatten(0, 1)

        fine = torch.cat([of_each(seen.target), seen.atlases.flatten(0, 1)], dim=1)
        votes = functional.avg_pool3d(seen.votes.flatten(0, 1), self.block)
        volumes = [to_blocks(fine, self.block), votes, of_each(everywhere)]
        found: Tensor = self.unet(channels_last(torch.cat(volumes, dim=1)))[0]
        if of is not None:
            found = found.unflatten(1, (self.classes, -1)).index_select(1, of).flatten(1, 2)
        found = to_voxels(found, self.block).float()
        return (_MOST * (found / _MOST).tanh()).exp().unflatten(0, (batch, atlases))

    def predict(self, sample: Sample, *, atlases_at_a_time: int) -> Tensor:
        """Shares of the weighted votes of all atlases (1, class, x, y, z), however many are taken at a time."""
        device, many = next(self.parameters()).device, len(sample.votes)
        plain = plain_consensus(sample).to(device)
        total = torch.zeros_like(plain)
        for start in range(0, many, atlases_at_a_time):
            some = to_tensors(sample, slice(start, start + atlases_at_a_time)).to(device)
            total += self.weighed(some, plain) / many
        return shares(total)


class DeepLabelFusion(nn.Module):
    """Votes of atlases, weighed by one network, summed, corrected by trees; another network's word is added.

    Args:
        modalities: Image channels.
        classes: Labels, background included.
        architecture: Of both U-Nets; blocks of voxels are the first level.
        parts: Ablations.

    Attributes:
        window_vox: In evaluation, the largest size that is taken at once; larger volumes go window by window.
        part: Of the image network's log odds, that is added to the corrected vote, as a tensor.
        trees: The corrections of each label; none before they are learned.
    """

    part: Tensor

    def __init__(self, modalities: int, classes: int, architecture: Architecture, parts: Parts) -> None:
        super().__init__()
        self.classes, self.parts = classes, parts
        self.window_vox: Triple | None = None
        self.trees: Models = [None] * classes
        self.register_buffer("part", torch.tensor(0.0))
        if parts.voting:
            self.voting = VotingNetwork(modalities, classes, replace(architecture, features=VOTING_FEATURES))
        if parts.fine_tuning:
            self.fine_tuning = ImageNetwork(modalities, classes, architecture)

    def weights(self, seen: NetworkInput, plain: Tensor) -> Tensor:
        """By what factor each atlas's vote for each label counts (batch, atlas, class, x, y, z)."""
        return self.voting.weights(seen, plain) if self.parts.voting else torch.ones_like(seen.votes)

    def consensus(self, sample: Sample, room: Room) -> Posterior:
        """Shares of the votes of all atlases, weighed where there is a voting network."""

        def voted(part: Sample, _: Box) -> Tensor:
            if not self.parts.voting:
                return plain_consensus(part)
            some = room.atlases(part.target.shape[1:], self.classes)
            return self.voting.predict(part, atlases_at_a_time=some)

        return in_tiles(sample, room, voted)

    def own(self, sample: Sample, room: Room) -> Posterior:
        """What the image network says by itself."""
        return in_tiles(sample, room, lambda part, _: self._own(part))

    def predict(self, sample: Sample, room: Room) -> Posterior:
        """The posterior of a sample's padded region, whose labels are the indices of classes."""
        vote = self.consensus(sample, room)
        if self.parts.corrections:
            vote = correct(sample, vote, self.trees)
        return in_tiles(sample, room, lambda part, box: self._heard(part, vote.cut(box)))

    def _own(self, sample: Sample) -> Tensor:
        self.fine_tuning.window_vox = self.window_vox
        return self.fine_tuning.predict(sample)

    def _heard(self, sample: Sample, vote: Posterior) -> Tensor:
        """Scores (1, class, x, y, z) of what was voted, with what the image network says."""
        scores = torch.from_numpy(vote.dense())[None].to(self.part.device)
        if self.parts.fine_tuning and self.part > 0:  # log odds of witnesses are added
            said, own = (shares.clamp_min(LEAST_SHARE).log() for shares in (scores, self._own(sample)))
            scores = (said + self.part * own).softmax(dim=1)
        return scores * self._anywhere(sample).to(scores.device) if self.parts.mask else scores

    def _anywhere(self, sample: Sample) -> Tensor:
        """Where any atlas votes for a label at all (1, class, x, y, z); background everywhere."""
        voted = sample.votes.exceed(_LEAST_VOTE).astype(np.float32)
        voted[0] = 1.0
        return torch.from_numpy(voted)[None]


def plain_consensus(sample: Sample) -> Tensor:
    """Shares of the votes of all atlases as they come (1, class, x, y, z)."""
    return shares(torch.from_numpy(sample.votes.mean())[None])
