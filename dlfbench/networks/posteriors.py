"""From scores of networks to posteriors of whole images."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from torch import Tensor

from dlfbench.fusion.posterior import NEGLIGIBLE, Posterior
from dlfbench.fusion.region import Box
from dlfbench.networks.samples import Sample
from dlfbench.networks.tiles import Room, tiles

_LISTED = 16  # classes of a voxel

Scores = Callable[[Sample, Box], Tensor]


def in_tiles(sample: Sample, room: Room, scores: Scores) -> Posterior:
    """The posterior of a sample's padded region, whose labels are the indices of classes.

    Args:
        sample: An image.
        room: How much of it is asked for at a time.
        scores: Of a part of the sample, and where in its padded region that is: (1, class, x, y, z).
    """
    classes, *shape = sample.votes.shape[1:]

    def parts() -> Iterator[tuple[Box, Posterior]]:
        for tile in tiles(shape, room.voxels(classes)):
            found = scores_to_posterior(scores(sample.part(tile.seen), tile.seen))[0].float().cpu().numpy()
            yield tile.told, Posterior.of_dense(_listed(found[(slice(None), *tile.inner)]), tuple(range(classes)))

    return Posterior.of_parts(parts(), tuple(shape))


def scores_to_posterior(scores: Tensor) -> Tensor:
    """Scores (batch, class, x, y, z) made to sum to 1 over classes; background where all are 0."""
    scores = scores.clamp_min(0)
    total = scores.sum(dim=1, keepdim=True)
    posterior = scores / total.clamp_min(1e-12)
    posterior[:, :1] += (total <= 0).float()
    return posterior


def _listed(shares: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Shares (class, x, y, z), but no more than so many in a voxel: a network gives every class one, however small."""
    many = (shares > NEGLIGIBLE).sum(axis=0) > _LISTED
    if not many.any():
        return shares
    found = shares[:, many]
    least = np.partition(found, -_LISTED, axis=0)[-_LISTED]
    larger, equal = found > least, found == least
    first = equal & (equal.cumsum(axis=0) <= _LISTED - larger.sum(axis=0))  # of ties the lower classes
    kept = np.where(larger | first, found, 0)
    shares = shares.copy()
    shares[:, many] = kept / kept.sum(axis=0)
    return shares
