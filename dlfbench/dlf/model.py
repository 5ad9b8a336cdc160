"""The network of deep label fusion: a weighted vote of atlases, and a network that knows the image.

Axes are (batch, atlas, channel, x, y, z) where an atlas axis is there, else (batch, channel, x, y, z). The class axis
follows the declared labels, background first.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from dlfbench.dlf.consensus import Dispute
from dlfbench.dlf.corrections import correct
from dlfbench.dlf.votes import Parts, shares
from dlfbench.dlf.voting import VotingNetwork
from dlfbench.fusion.combination import LEAST_SHARE
from dlfbench.fusion.corrective_trees import Models
from dlfbench.fusion.posterior import Posterior
from dlfbench.networks.image_network import ImageNetwork
from dlfbench.networks.posteriors import in_tiles
from dlfbench.networks.samples import NetworkInput, Sample, Triple
from dlfbench.networks.tiles import Room
from dlfbench.networks.unet import Architecture

VOTING_FEATURES = 16
_LEAST_VOTE = 1e-3


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
        if self.parts.voting:
            return self.voting.consensus(sample, room)
        dispute = Dispute.of(sample.votes)
        return dispute.consensus(dispute.plain())

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
