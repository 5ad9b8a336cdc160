"""The consensus of many atlases for many labels, made where they dispute, of labels that have a vote there."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.atlas_votes import AtlasVotes
from dlfbench.fusion.posterior import Entries, Posterior
from dlfbench.fusion.region import Box

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Dispute:
    """Where more than one label has a vote, or one has a vote below nothing.

    Attributes:
        votes: Of all atlases.
        alone: The class that has all votes of a voxel (x, y, z), where there is no dispute.
        inside: Of each class, where in its box it is disputed, as a flat index.
        voxels: Of each class, the same voxels as a flat index in the volume.
    """

    votes: AtlasVotes
    alone: npt.NDArray[np.int32]
    inside: tuple[Indices, ...]
    voxels: tuple[Indices, ...]

    @classmethod
    def of(cls, votes: AtlasVotes) -> "Dispute":
        """Of all atlases' votes."""
        shape = votes.shape[2:]
        labels, alone = np.zeros(shape, np.int16), np.zeros(shape, np.int32)
        voted = [(part != 0).any(axis=0) for part in votes.inside]
        for index, (box, part, there) in enumerate(zip(votes.boxes, votes.inside, voted, strict=True)):
            if box is not None:
                labels[box] += there
                labels[box][(part < 0).any(axis=0)] += 1
                alone[box][there] = index
        inside: list[Indices] = []
        voxels: list[Indices] = []
        for box, there in zip(votes.boxes, voted, strict=True):
            here = np.argwhere(there & (labels[box] > 1)) if box is not None else np.empty((0, 3), np.int64)
            inside.append(np.ravel_multi_index(tuple(here.T), there.shape) if len(here) else here[:, 0])
            corner = [s.start for s in box] if box is not None else [0, 0, 0]
            voxels.append(np.ravel_multi_index(tuple((here + corner).T), shape) if len(here) else here[:, 0])
        alone[labels > 1] = 0
        return cls(votes, alone, tuple(inside), tuple(voxels))

    def of_atlas(self, atlas: int, label: int) -> Floats:
        """An atlas's votes for a label, given by its index, where that is disputed."""
        return self.votes.inside[label][atlas].ravel()[self.inside[label]].astype(np.float32)

    def plain(self) -> list[Floats]:
        """The sum of all atlases' votes for each label where it is disputed."""
        return [
            part.sum(axis=0, dtype=np.float32).ravel()[here]
            for part, here in zip(self.votes.inside, self.inside, strict=True)
        ]

    def consensus(self, sums: Sequence[Floats]) -> Posterior:
        """The posterior, whose labels are the indices of classes, of sums over atlases where labels are disputed.

        Sums below 0 count nothing; background is where nothing is left.
        """
        classes = np.repeat(np.arange(len(sums), dtype=np.int32), [len(found) for found in sums])
        entries = Entries(np.concatenate(self.voxels), classes, np.maximum(np.concatenate(sums), 0))
        shares = entries.summed(len(sums)).where_sum_exceeds(0).normalised()
        return shares.posterior(self.alone, tuple(range(len(sums))))


def in_blocks(
    boxes: Sequence[Box | None], parts: Sequence[Floats], shape: Sequence[int], block: Sequence[int]
) -> Floats:
    """The mean over each block of voxels of what is in boxes.

    Args:
        boxes: Of each class.
        parts: What is in them (..., x, y, z) of the box.
        shape: Of the volume along (x, y, z), a multiple of the block's.
        block: Size of a block along (x, y, z).

    Returns:
        (..., class, x, y, z) of blocks.
    """
    outer = parts[0].shape[:-3]
    found = np.zeros((*outer, len(parts), *(n // b for n, b in zip(shape, block, strict=True))), np.float32)
    for index, (box, part) in enumerate(zip(boxes, parts, strict=True)):
        if box is None:
            continue
        room = [(s.start % b, -s.stop % b) for s, b in zip(box, block, strict=True)]
        padded = np.pad(part, [(0, 0)] * len(outer) + room)
        sides = [side for n, b in zip(padded.shape[-3:], block, strict=True) for side in (n // b, b)]
        place = tuple(slice(s.start // b, -(-s.stop // b)) for s, b in zip(box, block, strict=True))
        means = padded.reshape(*outer, *sides).sum(axis=(-5, -3, -1), dtype=np.float32) / prod(block)
        where: tuple[Any, ...] = (..., index, *place)
        found[where] = means
    return found


def plain_shares(votes: AtlasVotes) -> list[Floats]:
    """Share of each label in the votes of all atlases as they come, in the label's box."""
    means = [np.maximum(part.sum(axis=0, dtype=np.float32) / max(1, len(part)), 0) for part in votes.inside]
    total = np.zeros(votes.shape[2:], np.float32)
    for box, mean in zip(votes.boxes, means, strict=True):
        if box is not None:
            total[box] += mean
    total = np.maximum(total, 1e-12)
    return [mean / total[box] if box is not None else mean for box, mean in zip(votes.boxes, means, strict=True)]
