"""Corrections of the vote where labels are in dispute: corrective learning (Wang et al. 2011) as a part of DLF.

Registration and voting err in the same way again and again. Boosted trees learn how, on votes of other people's atlases
for the training cases. Then a part of an image network's log odds is added to what they say. How large a part is told
by people from whom neither the trees nor the network learned.
"""

import logging
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from dlfbench.fusion.combination import LEAST_SHARE, some_at_a_time
from dlfbench.fusion.corrective_regions import Region, make_region
from dlfbench.fusion.corrective_trees import Boosting, Models, Seen, Shelf, Truth, corrected
from dlfbench.fusion.posterior import Posterior
from dlfbench.images import UNKNOWN
from dlfbench.networks.samples import Sample
from dlfbench.segmenters.interface import Context

log = logging.getLogger(__name__)

PARTS = (0.0, 0.125, 0.25, 0.5, 1.0)
_PATCH, _NEAR = (2, 2, 2), (1, 1, 1)


def see(sample: Sample, consensus: Posterior) -> Seen | None:
    """What trees learn from a case with a reference and its consensus.

    Returns:
        None where there is no foreground in the vote.
    """
    region, reference = _region(sample, consensus), sample.reference
    assert reference is not None
    if region is None:
        log.warning("a training case has no foreground in its vote; its corrections are not learned from")
        return None
    # what the background may be besides, if that was not drawn
    possible = np.zeros(reference.shape, np.bool_)
    for label in sample.undrawn:
        possible |= consensus.of_class(label) > 0
    known = np.where((reference == 0) & possible, UNKNOWN, reference)
    return region, Truth(known.ravel(), consensus.label_values)


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


def correct(sample: Sample, consensus: Posterior, models: Models) -> Posterior:
    """The consensus of a sample, corrected."""
    region = _region(sample, consensus)
    return consensus if region is None else corrected(region, models)


def best_part(cases: Iterable[tuple[Seen, Posterior]], models: Models) -> float:
    """Which part of the image network's log odds to add: that of the least cross-entropy over the voxels in dispute.

    Args:
        cases: Of people from whom neither network nor trees learned: what trees see, and what the network says.
        models: The trees; None for a label whose vote stands.
    """
    losses = sum((_losses(seen, own, models) for seen, own in cases), np.zeros(len(PARTS)))
    return PARTS[int(losses.argmin())]


def _losses(seen: Seen, own: Posterior, models: Models) -> npt.NDArray[np.float64]:
    """Cross-entropy, summed over the voxels in dispute of which something is known, for each part.

    Of the labels that have a vote in a voxel, as the mask has it in use: the least shares of many others add up, and a
    network that knows nothing but that they are elsewhere would seem to know much.
    """
    region, known = seen
    vote, losses = corrected(region, models), np.zeros(len(PARTS))
    for voxels in some_at_a_time(np.unique(np.concatenate(region.voxels))):
        truth = known.reference[voxels]
        possible = region.host.at(voxels) > 0
        possible[:, 0] = True
        told = (truth >= 0) & possible[np.arange(len(truth)), truth.clip(0)]
        voxels, truth, possible = voxels[told], truth[told], possible[told]
        said, heard = (np.log(shares.at(voxels).clip(LEAST_SHARE)) for shares in (vote, own))
        scores = (np.where(possible, said + part * heard, -np.inf) for part in PARTS)
        losses -= [log_softmax(each, axis=1)[np.arange(len(truth)), truth].sum(dtype=np.float64) for each in scores]
    return losses


def _region(sample: Sample, consensus: Posterior) -> Region | None:
    """The voxels in dispute; None where there is no foreground in the vote."""
    return make_region(sample.target, sample.spacing_mm, consensus, patch=_PATCH, dilation=_NEAR)
