"""SIMPLE: selective and iterative fusion of atlases (Langerak et al., IEEE Trans. Med. Imaging 29:2000, 2010)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.posterior import Entries, Posterior
from dlfbench.fusion.votes import class_indices
from dlfbench.images import UNKNOWN
from dlfbench.segmenters.interface import Context, FusionMethod
from dlfbench.volumes import AtlasSet, Target


@dataclass(frozen=True)
class Simple(FusionMethod):
    """Keeps the atlases that agree with what they say together, again and again, then lets those vote.

    The estimate is the weighted vote of all atlases. An atlas's performance is its Dice with it, the mean over
    labels; atlases whose performance is below the mean less `alpha` standard deviations are dropped; performances are
    the weights of the next vote. It ends when no atlas is dropped (Langerak 2010, section II).

    Attributes:
        alpha: Standard deviations below the mean from which an atlas is dropped.
        least: So many atlases are kept.
        iterations: At most.
    """

    judges_atlases: ClassVar[bool] = True

    alpha: float = 1.0
    least: int = 3
    iterations: int = 20

    def __post_init__(self) -> None:
        low = {"alpha": 0.0, "least": 1, "iterations": 1}
        wrong = [
            f"{name}: expected {least:g} or more, found {getattr(self, name)}"
            for name, least in low.items()
            if getattr(self, name) < least
        ]
        if wrong:
            raise ValueError("; ".join(wrong))

    def fuse(self, target: Target, atlases: AtlasSet, context: Context) -> Posterior:
        """The weighted vote of the atlases that are left."""
        values = atlases.label_values
        candidates = np.stack([class_indices(labels, values) for labels in atlases.labels])
        performance, kept = np.ones(len(atlases)), np.arange(len(atlases))
        for _ in range(self.iterations):
            estimate = class_indices(_vote(candidates[kept], values, performance[kept]).labels(), values)
            performance[kept] = [_agreement(candidates[i], estimate, len(values)) for i in kept]
            found = performance[kept]
            stay = found >= found.mean() - self.alpha * found.std()
            if stay.all() or stay.sum() < self.least:
                break
            kept = kept[stay]
        return _vote(candidates[kept], values, performance[kept])


def _vote(candidates: npt.NDArray[np.int16], values: tuple[int, ...], weights: npt.NDArray[np.float64]) -> Posterior:
    """Share of the weights for each label, where candidates (atlas, x, y, z), indices of labels, are not all the same.

    Plain votes where no weight is left.
    """
    if not weights.any():
        weights = np.ones_like(weights)
    disputed = (candidates != candidates[0]).any(axis=0)
    alone = np.where(disputed, 0, candidates[0]).clip(min=0)  # where nobody votes: background
    votes = candidates[:, disputed]
    atlases, places = np.nonzero(votes != UNKNOWN)
    entries = Entries(np.flatnonzero(disputed)[places], votes[atlases, places], weights[atlases])
    return entries.summed(len(values)).where_sum_exceeds(0).normalised().posterior(alone, values)


def _agreement(candidate: npt.NDArray[np.int16], estimate: npt.NDArray[np.int16], labels: int) -> float:
    """Mean Dice over the labels that either has, where the candidate has a vote."""
    known = candidate != UNKNOWN
    mine, theirs = candidate[known], estimate[known]
    shared, one, other = (np.bincount(of, minlength=labels)[1:] for of in (mine[mine == theirs], mine, theirs))
    total = one + other
    return float(np.mean(2 * shared[total > 0] / total[total > 0])) if total.any() else 1.0
