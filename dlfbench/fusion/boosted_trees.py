"""Boosted trees as plain arrays: a model that can be stored and read without running anybody's code."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numba
import numpy as np
import numpy.typing as npt
from scipy.special import expit

from dlfbench.files import write_checked

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier


@dataclass(frozen=True)
class BoostedTrees:
    """What a trained HistGradientBoostingClassifier of two classes and numbers as features answers with.

    Attributes:
        baseline: Log odds before the first tree (1,).
        roots: Node at which each tree begins (tree,).
        feature: What a node asks for (node,); -1 in a leaf.
        threshold: Up to it, one goes left (node,).
        left: Next node (node,).
        right: Next node (node,).
        value: Of a leaf, added to the log odds (node,).
    """

    baseline: npt.NDArray[np.float64]
    roots: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]

    @classmethod
    def of(cls, classifier: "HistGradientBoostingClassifier") -> "BoostedTrees":
        """The trees of a trained classifier."""
        trees = [predictor.nodes for (predictor,) in classifier._predictors]
        roots = np.cumsum([0, *map(len, trees)])
        nodes = np.concatenate(trees)
        shift = np.repeat(roots[:-1], np.diff(roots))
        return cls(
            np.asarray(classifier._baseline_prediction, np.float64).reshape(1),
            roots[:-1].astype(np.int64),
            np.where(nodes["is_leaf"], -1, nodes["feature_idx"]).astype(np.int64),
            nodes["num_threshold"].astype(np.float64),
            nodes["left"].astype(np.int64) + shift,
            nodes["right"].astype(np.int64) + shift,
            nodes["value"].astype(np.float64),
        )

    def probability(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """The probability of the second class (sample,) for features (sample, feature)."""
        odds = _log_odds(
            features, self.baseline[0], self.roots, self.feature, self.threshold, self.left, self.right, self.value
        )
        return np.asarray(expit(odds))


def write_trees(path: Path, trees: BoostedTrees | None) -> None:
    """Writes trees, or that there are none, as an .npz file with a digest beside it."""
    arrays = {f.name: getattr(trees, f.name) for f in fields(BoostedTrees)} if trees else {}

    def write(part: str) -> None:
        with open(part, "wb") as file:
            np.savez(file, **arrays)

    write_checked(path, write)


def read_trees(path: Path) -> BoostedTrees | None:
    """Reads what `write_trees` left."""
    with np.load(path, allow_pickle=False) as arrays:
        return BoostedTrees(**arrays) if arrays.files else None


@numba.njit(nogil=True, cache=True)
def _log_odds(features, baseline, roots, feature, threshold, left, right, value):  # type: ignore[no-untyped-def]
    found = np.full(len(features), baseline)
    for sample in range(len(features)):
        for root in roots:
            node = root
            while feature[node] >= 0:
                node = left[node] if np.float64(features[sample, feature[node]]) <= threshold[node] else right[node]
            found[sample] += value[node]
    return found
