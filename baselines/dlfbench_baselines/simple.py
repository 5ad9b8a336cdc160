"""SIMPLE: selective and iterative fusion of atlases (Langerak et al., IEEE Trans. Med. Imaging 29:2000, 2010)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

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

    def fuse(self, target: Target, atlases: AtlasSet, context: Context) -> npt.NDArray[np.float32]:
        """Posterior (class, x, y, z): the weighted vote of the atlases that are left."""
        candidates, values = atlases.labels, atlases.label_values
        performance, kept = np.ones(len(atlases)), np.arange(len(atlases))
        for _ in range(self.iterations):
            estimate = np.asarray(values)[_vote(candidates[kept], values, performance[kept]).argmax(axis=0)]
            performance[kept] = [_agreement(candidates[i], estimate, values) for i in kept]
            found = performance[kept]
            stay = found >= found.mean() - self.alpha * found.std()
            if stay.all() or stay.sum() < self.least:
                break
            kept = kept[stay]
        return _vote(candidates[kept], values, performance[kept])


def _vote(
    candidates: npt.NDArray[Any], values: tuple[int, ...], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Share of the weights for each label (class, x, y, z); plain votes where no weight is left."""
    if not weights.any():
        weights = np.ones_like(weights)
    sums = np.stack([np.tensordot(weights, candidates == value, axes=1) for value in values])
    return (sums / weights.sum()).astype(np.float32)


def _agreement(candidate: npt.NDArray[Any], estimate: npt.NDArray[Any], values: tuple[int, ...]) -> float:
    """Mean Dice over the labels that either has."""
    found = []
    for value in values[1:]:
        one, other = candidate == value, estimate == value
        total = one.sum() + other.sum()
        if total:
            found.append(2 * (one & other).sum() / total)
    return float(np.mean(found)) if found else 1.0
