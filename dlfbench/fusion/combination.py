"""Posteriors of several methods as one: by their mean, their summed log odds, or what most of them say.

Only voxels where the methods or their labels dispute are worked on, some at a time: memory grows with the dispute.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import softmax

from dlfbench.fusion.posterior import NEGLIGIBLE, Entries, Posterior

By = Literal["odds", "mean", "majority"]
LEAST_SHARE = 0.01
"""What a smaller share counts as where log odds are summed: nobody is so sure that others have no say."""

_AT_A_TIME = 2**16  # voxels
_ROUNDS = 200  # of expectation maximisation, which is at rest long before

Array = npt.NDArray[np.floating[Any]]


def combined(posteriors: Sequence[Posterior], weights: Sequence[float], by: By) -> Posterior:
    """The posterior of several methods together.

    Only labels to which a method gives a share in a voxel get one there.

    Args:
        posteriors: One per method, on one grid.
        weights: One per method.
        by: `mean`: the weighted mean. `odds`: log shares are weighted, summed, and made shares again (a product of
            experts). `majority`: the weight of the methods whose largest share it is.
    """
    first = posteriors[0]
    mix = MIXES[by]
    parts = [Entries.none()]
    for voxels in some_at_a_time(disputed(posteriors)):
        shares = np.stack([posterior.at(voxels) for posterior in posteriors], axis=1)
        mixed = mix(shares, np.asarray(weights, np.float32))
        rows, classes = np.nonzero(mixed > NEGLIGIBLE)
        parts.append(Entries(voxels[rows], classes, mixed[rows, classes]))
    return parts[0].joined(*parts[1:]).normalised().posterior(first.alone, first.label_values)


def disputed(posteriors: Sequence[Posterior]) -> npt.NDArray[np.int64]:
    """Flat index, ascending, of the voxels that are disputed within or between posteriors."""
    alone = [posterior.alone.ravel() for posterior in posteriors]
    open_ = np.zeros(alone[0].shape, np.bool_)
    for posterior, own in zip(posteriors, alone, strict=True):
        open_ |= own != alone[0]
        open_[posterior.voxels] = True
    return np.flatnonzero(open_)


def some_at_a_time(voxels: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Many voxels in parts, so that something can be told of each of their classes."""
    for start in range(0, len(voxels), _AT_A_TIME):
        yield voxels[start : start + _AT_A_TIME]


def _mean(shares: Array, weights: Array) -> Array:
    """The weighted mean (voxel, class) of shares (voxel, method, class)."""
    found: Array = np.einsum("vmc,m->vc", shares, weights / weights.sum())
    return found


def _odds(shares: Array, weights: Array) -> Array:
    """Shares (voxel, class) whose logarithms are the weighted sums of those of the methods (voxel, method, class)."""
    named = (shares > NEGLIGIBLE).any(axis=1)
    logits = np.einsum("vmc,m->vc", np.log(np.maximum(shares, LEAST_SHARE)), weights)
    found: Array = softmax(np.where(named, logits, -np.inf), axis=1)
    return found


def _majority(shares: Array, weights: Array) -> Array:
    votes = np.arange(shares.shape[2]) == shares.argmax(axis=2)[..., None]
    return _mean(votes.astype(np.float32), weights)


MIXES: dict[By, Callable[[Array, Array], Array]] = {"mean": _mean, "odds": _odds, "majority": _majority}


def learned_weights(shares: Array, truth: npt.NDArray[np.integer[Any]], by: Literal["odds", "mean"]) -> Array:
    """The weights (method) under which voxels' true labels are likeliest; none below 0.

    Args:
        shares: Of voxels that the methods did not learn from (voxel, method, class).
        truth: Index of each voxel's true class.
        by: As of `combined`. Weights of a mean sum to 1.
    """
    methods = shares.shape[1]
    if by == "odds":
        named = np.asarray(
            (shares > NEGLIGIBLE).any(axis=1)
        )  # as in `combined`: others get no share, whatever the weights
        known = named[np.arange(len(truth)), truth]
        logs = np.log(np.maximum(shares[known], LEAST_SHARE)).astype(np.float64)
        about = (logs, named[known], truth[known])
        if not known.any():
            return np.ones(methods)
        found = minimize(_surprise, np.ones(methods), about, jac=True, bounds=[(0, None)] * methods)
        return np.asarray(found.x)
    mine = np.maximum(shares[np.arange(len(truth)), :, truth], NEGLIGIBLE).astype(np.float64)
    weights = np.full(methods, 1 / methods)
    for _ in range(_ROUNDS):  # of a mixture of which only the weights are unknown
        blame = mine * weights
        weights = (blame / blame.sum(axis=1, keepdims=True)).mean(axis=0)
    return weights


def _surprise(
    weights: Array, logs: Array, named: npt.NDArray[np.bool_], truth: npt.NDArray[np.integer[Any]]
) -> tuple[float, Array]:
    """Mean negative log likelihood of the true classes under summed log odds, and its gradient by weights.

    Args:
        weights: Of the methods.
        logs: Logarithms of their shares (voxel, method, class).
        named: Whether any of them names a class (voxel, class).
        truth: Index of each voxel's true class, which is named.
    """
    logits = np.where(named, np.einsum("vmc,m->vc", logs, weights), -np.inf)
    highest = logits.max(axis=1, keepdims=True)
    scores = np.exp(logits - highest)
    total = scores.sum(axis=1, keepdims=True)
    rows = np.arange(len(truth))
    loss = float((np.log(total[:, 0]) + highest[:, 0] - logits[rows, truth]).mean())
    expected = np.einsum("vmc,vc->m", logs, scores / total) / len(truth)
    return loss, expected - logs[rows, :, truth].mean(axis=0)
