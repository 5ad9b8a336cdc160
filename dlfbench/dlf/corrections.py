"""Corrections of the vote where labels are in dispute: corrective learning (Wang et al. 2011) as a part of DLF.

Registration and voting err in the same way again and again. Boosted trees learn how, on the training cases, from what
is honest of each: votes of other people's atlases, and the log odds of an image network that did not learn from that
person. So they also learn how much either of these two witnesses is to be believed, and where.

Trees that few people taught say the same of too many voxels: a part of the image network's log odds is added to what
they say. How large a part is told by people from whom neither the trees nor the network learned.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from dlfbench.fusion.combination import LEAST_SHARE
from dlfbench.fusion.corrective_regions import Region, make_region
from dlfbench.fusion.corrective_trees import Boosting, Models, Seen, Shelf, Truth, corrected
from dlfbench.fusion.posterior import Posterior
from dlfbench.images import UNKNOWN
from dlfbench.networks.samples import Sample
from dlfbench.segmenters.interface import Context

log = logging.getLogger(__name__)

PARTS = (0.0, 0.125, 0.25, 0.5, 1.0)
_PATCH, _NEAR = (2, 2, 2), (1, 1, 1)

Shares = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Voted:
    """A sample as the trees see it.

    Attributes:
        sample: Its votes are one: the consensus.
        own: What the image network says of each label, log odds (class, x, y, z); None without one.
    """

    sample: Sample
    own: Shares | None

    def region(self, spacing_mm: Sequence[float]) -> Region | None:
        """The voxels in dispute; None where there is no foreground in the vote."""
        (consensus,) = self.sample.votes
        host = Posterior.of_dense(consensus, tuple(range(len(consensus))))
        return make_region(self.sample.target, spacing_mm, host, patch=_PATCH, dilation=_NEAR, witness=self.own)


def see(voted: Voted, spacing_mm: Sequence[float]) -> list[Seen]:
    """What trees learn from a case with a reference; nothing where there is no foreground in its vote."""
    region, reference = voted.region(spacing_mm), voted.sample.reference
    assert reference is not None
    if region is None:
        log.warning("a training case has no foreground in its vote; its corrections are not learned from")
        return []
    (consensus,), undrawn = voted.sample.votes, list(voted.sample.undrawn)
    possible = (consensus[undrawn] > 0).any(axis=0)  # what the background may be besides, if that was not drawn
    known = np.where((reference == 0) & possible, UNKNOWN, reference)
    return [(region, Truth(known.ravel(), tuple(range(len(consensus)))))]


def learn_corrections(seen: Sequence[Seen], shelf: Shelf, *, rounds: int, context: Context) -> None:
    """Learns the trees of each label that are not there yet.

    Args:
        seen: What is honest of each training case.
        shelf: Where trees are kept. Its labels are the declared ones.
        rounds: Trees of each label.
        context: Seed, threads and progress.
    """
    missing = shelf.missing
    for done, label in enumerate(missing):
        context.progress(done / len(missing), f"label {shelf.labels[label]}")
        trees = Boosting(rounds).learn(label, seen, seed=context.seed, threads=context.threads) if seen else None
        shelf.put(label, trees)


def correct(voted: Voted, models: Models, spacing_mm: Sequence[float]) -> Shares:
    """The corrected vote (class, x, y, z)."""
    region = voted.region(spacing_mm)
    consensus: Shares = voted.sample.votes[0]
    return consensus if region is None else corrected(region, models).dense()


def best_part(cases: Sequence[tuple[Seen, Models]]) -> float:
    """Which part of the image network's log odds to add: that of the least cross-entropy over the voxels in dispute.

    Args:
        cases: What is honest of a training case, with a witness; and trees that did not learn from it.
    """
    losses = sum((_losses(seen, models) for seen, models in cases), np.zeros(len(PARTS)))
    return PARTS[int(losses.argmin())]


def _losses(seen: Seen, models: Models) -> npt.NDArray[np.float64]:
    """Cross-entropy, summed over the voxels in dispute of which something is known, for each part."""
    region, known = seen
    assert region.witness is not None
    voxels = np.unique(np.concatenate(region.voxels))
    truth = known.reference[voxels]
    voxels, truth = voxels[truth >= 0], truth[truth >= 0]
    said = np.log(corrected(region, models).at(voxels).clip(LEAST_SHARE))
    own = region.witness.reshape(len(region.witness), -1)[:, voxels].T
    sums = [log_softmax(said + part * own, axis=1)[np.arange(len(truth)), truth].sum() for part in PARTS]
    return -np.array(sums, np.float64)
