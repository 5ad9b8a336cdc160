"""STAPLE: each atlas's confusion matrix and the segmentation, estimated together."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from dlfbench.fusion.posterior import NEGLIGIBLE, Entries, Posterior
from dlfbench.fusion.region import disputed
from dlfbench.fusion.votes import class_indices
from dlfbench.images import UNKNOWN, LabelArray
from dlfbench.segmenters.interface import Context, FusionMethod
from dlfbench.volumes import AtlasSet, Target

_VOXELS_AT_A_TIME = 2**16


@dataclass(frozen=True)
class Staple(FusionMethod):
    """Multi-label STAPLE: votes weighted by how reliable each atlas proves to be for each label.

    SimpleITK estimates the confusion matrices by expectation maximisation; each label's prior is its share of votes.
    The posterior is one expectation step with those matrices. Voxels that SimpleITK calls undecided go to the lower
    label, as ties do everywhere (Warfield et al. 2004; Rohlfing et al., IEEE TMI 2004).
    SimpleITK multiplies in single precision: with some 80 atlases that err in half of the voxels it underflows.

    Attributes:
        everywhere: Estimate over the whole image, and not only where the atlases disagree. The many voxels that nobody
            disputes make every atlas look nearly perfect, and labels grow where few atlases have them.
        threshold: The estimation ends where no entry of a confusion matrix changes by more.
        iterations: At most.
    """

    judges_atlases: ClassVar[bool] = True

    everywhere: bool = False
    threshold: float = 1e-5
    iterations: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1 or self.iterations < 1:
            raise ValueError(
                f"threshold and iterations: expected 0 to 1 and at least 1, found {self.threshold} and "
                f"{self.iterations}"
            )

    def fuse(self, target: Target, atlases: AtlasSet, context: Context) -> Posterior:
        """What the label is, given every atlas's vote and confusion matrix."""
        plain = Posterior.of_votes(atlases.labels, atlases.label_values)
        counted = disputed(atlases.labels, (0, 0, 0))
        if self.everywhere:
            counted = (atlases.labels != UNKNOWN).any(axis=0)
        votes = atlases.labels[:, counted]
        # matrices are estimated where every atlas has a vote
        complete = (votes != UNKNOWN).all(axis=0)
        if not complete.any():
            return plain
        found = self._estimate(votes, complete, atlases.label_values, context.threads)
        return plain.replaced(replace(found, voxels=np.flatnonzero(counted)[found.voxels]))

    def _estimate(
        self, votes: LabelArray, complete: npt.NDArray[np.bool_], label_values: tuple[int, ...], threads: int
    ) -> Entries:
        """Shares of each voxel's labels, from votes (atlas, voxel) of which some voxels have all."""
        # only labels that somebody votes for have a column in the matrices
        voted = np.unique(votes[:, complete])
        places = np.searchsorted(voted, votes).clip(max=len(voted) - 1)
        places[voted[places] != votes] = UNKNOWN
        prior = np.bincount(places[places != UNKNOWN]) / (places != UNKNOWN).sum()
        matrices, classes = self._confusion(places[:, complete], prior, threads), class_indices(voted, label_values)
        found = []
        for start in range(0, votes.shape[1], _VOXELS_AT_A_TIME):
            shares = expectation(places[:, start : start + _VOXELS_AT_A_TIME], prior, matrices)
            voxels, labels = np.nonzero(shares.T > NEGLIGIBLE)
            found.append(Entries(voxels + start, classes[labels], shares[labels, voxels]))
        return found[0].joined(*found[1:])

    def _confusion(
        self, votes: npt.NDArray[np.intp], prior: npt.NDArray[np.float64], threads: int
    ) -> npt.NDArray[np.float64]:
        """P(vote | label) of each atlas (atlas, vote, label)."""
        filter = sitk.MultiLabelSTAPLEImageFilter()
        filter.SetTerminationUpdateThreshold(self.threshold)
        filter.SetMaximumNumberOfIterations(self.iterations)
        filter.SetPriorProbabilities(prior.tolist())
        filter.SetNumberOfThreads(threads)
        # to STAPLE every voxel is by itself: an image of one row does
        filter.Execute([sitk.GetImageFromArray(vote[None].astype(np.uint16)) for vote in votes])
        matrices = [np.reshape(filter.GetConfusionMatrix(i), (-1, len(prior))) for i in range(len(votes))]
        return np.stack(matrices)[:, : len(prior)]


def expectation(
    votes: npt.NDArray[np.intp], prior: npt.NDArray[np.float64], matrices: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """What the label is, given each atlas's vote and confusion matrix.

    Args:
        votes: Index of the label voted for (atlas, voxel); `UNKNOWN` says nothing.
        prior: Share of each label.
        matrices: P(vote | label) (atlas, vote, label).

    Returns:
        Posterior (label, voxel), sums to 1: prior times the product of P(vote | label) over atlases.
    """
    # a vote never seen with a label must not veto it for good: two such votes would leave no label at all
    likelihood = np.log(np.maximum(matrices, np.finfo(np.float64).tiny))
    evidence = np.tile(np.log(prior)[:, None], votes.shape[1])
    for vote, table in zip(votes, likelihood, strict=True):
        evidence += np.where(vote == UNKNOWN, 0.0, table[vote].T)
    posterior = np.exp(evidence - evidence.max(axis=0))
    shares: npt.NDArray[np.float64] = posterior / posterior.sum(axis=0)
    return shares
