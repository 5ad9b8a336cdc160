"""The weighted voting network of deep label fusion.

Axes are (batch, atlas, channel, x, y, z) where an atlas axis is there, else (batch, channel, x, y, z). The class axis
follows the declared labels, background first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dlfbench.dlf.consensus import Dispute, Floats, Indices, in_blocks, plain_shares
from dlfbench.dlf.votes import shares
from dlfbench.fusion.posterior import Posterior
from dlfbench.fusion.region import Box
from dlfbench.networks.blocks import to_blocks, to_voxels
from dlfbench.networks.losses import Output
from dlfbench.networks.samples import NetworkInput, Sample
from dlfbench.networks.tiles import Room, tiles
from dlfbench.networks.unet import Architecture, Head, UNet, channels_last, start_at_zero

_MOST = 3.0  # logarithm of the largest factor by which a vote is weighed


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
        self.channels = 2 * modalities * many + 2 * classes + 3
        self.unet = UNet(self.channels, classes * many, levels)
        start_at_zero(self.unet)
        head = self.unet.heads[0]
        assert isinstance(head, Head)
        # apart: in use it is asked of a few labels of each voxel
        self.classify, self.unet.heads[0] = head.classify, _Features()
        self.register_load_state_dict_pre_hook(_of_versions_before)

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
        volume = [plain, seen.coordinates]
        everywhere = functional.avg_pool3d(torch.cat(volume, dim=1), self.block)
        votes = functional.avg_pool3d(seen.votes.flatten(0, 1), self.block)
        features = self._features(seen.target, seen.atlases, votes.unflatten(0, seen.votes.shape[:2]), everywhere)
        found: Tensor = self.classify(features)
        if of is not None:
            found = found.unflatten(1, (self.classes, -1)).index_select(1, of).flatten(1, 2)
        return _factors(to_voxels(found, self.block)).unflatten(0, seen.votes.shape[:2])

    def consensus(self, sample: Sample, room: Room) -> Posterior:
        """The posterior of the weighted votes of all atlases, whose labels are the indices of classes.

        The same as `forward` says, but that factors are found where labels are in dispute, of those that have a vote.
        """
        shape = sample.target.shape[1:]
        # the input of one atlas, three times: its parts, the whole, and that in another layout
        most = room.memory_mb * 2**20 * prod(self.block) // (3 * 4 * self.channels)

        def parts() -> Iterator[tuple[Box, Posterior]]:
            for tile in tiles(shape, most):
                yield tile.told, self._consensus(sample.part(tile.seen), room).cut(tile.inner)

        return Posterior.of_parts(parts(), shape)

    def _consensus(self, sample: Sample, room: Room) -> Posterior:
        dispute, shape = Dispute.of(sample.votes), sample.target.shape[1:]
        sums = [np.zeros(len(found), np.float32) for found in dispute.voxels]
        places = [_places(found, shape, self.block) for found in dispute.voxels]
        for atlas, features in enumerate(self._features_of_each(sample, room)):
            for label, (blocks, inner) in enumerate(places):
                own = dispute.of_atlas(atlas, label)
                voted = np.flatnonzero(own)
                if len(voted):
                    factors = self._factors_at(features, label, blocks[voted], inner[voted])
                    sums[label][voted] += factors * own[voted] / len(sample.votes)
        return dispute.consensus(sums)

    def _features_of_each(self, sample: Sample, room: Room) -> Iterator[Tensor]:
        """What the U-Net finds of each atlas (block, width), some atlases at a time."""
        device, shape = self.classify.weight.device, sample.target.shape[1:]
        plain = in_blocks(sample.votes.boxes, plain_shares(sample.votes), shape, self.block)
        coordinates = functional.avg_pool3d(torch.from_numpy(sample.coordinates)[None], self.block)
        everywhere = torch.cat([torch.from_numpy(plain)[None], coordinates], dim=1).to(device)
        target = torch.from_numpy(np.ascontiguousarray(sample.target))[None].to(device)
        at_a_time = room.atlases(shape, 0)
        for start in range(0, len(sample.votes), at_a_time):
            some = slice(start, start + at_a_time)
            inside = sample.votes.of_atlases(some).inside
            votes = torch.from_numpy(in_blocks(sample.votes.boxes, inside, shape, self.block))[None].to(device)
            images = torch.from_numpy(np.ascontiguousarray(sample.atlases[some]))[None].to(device)
            yield from self._features(target, images, votes, everywhere).permute(0, 2, 3, 4, 1).flatten(1, 3)

    def _features(self, target: Tensor, atlases: Tensor, votes: Tensor, everywhere: Tensor) -> Tensor:
        """What the U-Net finds of each atlas (batch x atlas, width, x, y, z of blocks).

        Args:
            target: (batch, modality, x, y, z).
            atlases: (batch, atlas, modality, x, y, z).
            votes: The mean over each block (batch, atlas, class, x, y, z of blocks).
            everywhere: Alike, the share of each label in the votes of all atlases, and the coordinates.
        """
        many = atlases.shape[1]

        def of_each(volume: Tensor) -> Tensor:
            return volume[:, None].expand(-1, many, -1, -1, -1, -1).flatten(0, 1)

        fine = torch.cat([of_each(target), atlases.flatten(0, 1)], dim=1)
        volumes = [to_blocks(fine, self.block), votes.flatten(0, 1), of_each(everywhere)]
        found: Tensor = self.unet(channels_last(torch.cat(volumes, dim=1)))[0]
        return found

    def _factors_at(self, features: Tensor, label: int, blocks: Indices, inner: Indices) -> Floats:
        """The factors of one atlas's votes for a label.

        Args:
            features: Of the atlas (block, width).
            label: Index of the class.
            blocks: Flat index of the block of each voxel.
            inner: Flat index of each voxel in its block.
        """
        weight = self.classify.weight.flatten(1).unflatten(0, (self.classes, -1))[label]
        bias = self.classify.bias
        assert bias is not None
        here = torch.from_numpy(inner).to(features.device)
        found = features[torch.from_numpy(blocks).to(features.device)] @ weight.T
        found = found.gather(1, here[:, None])[:, 0] + bias.unflatten(0, (self.classes, -1))[label][here]
        return _factors(found).cpu().numpy()


class _Features(nn.Module):
    """In place of a head: the features themselves."""

    def forward(self, features: Tensor, size: Sequence[int]) -> Tensor:
        return features


def _of_versions_before(module: nn.Module, weights: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Until November 2026 the last layer was in the U-Net's head."""
    for name in ("weight", "bias"):
        if (found := weights.pop(f"{prefix}unet.heads.0.classify.{name}", None)) is not None:
            weights[f"{prefix}classify.{name}"] = found


def _factors(found: Tensor) -> Tensor:
    return (_MOST * (found.float() / _MOST).tanh()).exp()


def _places(voxels: Indices, shape: Sequence[int], block: Sequence[int]) -> tuple[Indices, Indices]:
    """In which block each voxel of a volume is, and where in it, all as flat indices."""
    indices = np.array(np.unravel_index(voxels, tuple(shape))).reshape(3, -1)
    steps = np.reshape(block, (3, 1))
    blocks = [n // b for n, b in zip(shape, block, strict=True)]
    found = np.ravel_multi_index(tuple(indices // steps), blocks)
    return found, np.ravel_multi_index(tuple(indices % steps), tuple(block))
