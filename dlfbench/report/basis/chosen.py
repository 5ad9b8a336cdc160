"""Which cases are worth looking at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.scores import Scores
from dlfbench.report.basis.statistics import Array

ALL_METHODS = "all methods"


@dataclass(frozen=True)
class Choice:
    """A case to show.

    Attributes:
        test_set: Where it was tested.
        case: Its name.
        why: Such as `worst of jlf`.
        dice: Mean Dice over labels by method; NaN where there is no result.
    """

    test_set: str
    case: str
    why: str
    dice: Mapping[str, float]


def choose(basis: Basis, scores: Scores) -> list[Choice]:
    """The worst case of the best method, of the mean over methods, and of each other method; then a median, the best.

    Worst, median and best by mean Dice over labels; cases and methods without a result do not count.
    """
    methods = basis.by_score
    dice = scores.values["dice"][:, [scores.methods.index(method) for method in methods], -1]
    reasons: dict[int, list[str]] = {}
    for at, why in _wanted(methods, dice):
        reasons.setdefault(at, []).append(why)
    return [
        Choice(scores.test_set, scores.cases[at], ", ".join(why), dict(zip(methods, dice[at].tolist(), strict=True)))
        for at, why in reasons.items()
    ]


def _wanted(methods: tuple[str, ...], dice: Array) -> Iterator[tuple[int, str]]:
    columns = dict(zip(methods, dice.T, strict=True))
    whole = np.where(np.isnan(dice).any(axis=1), np.nan, dice.mean(axis=1))
    best, *others = methods
    for name, column in ((best, columns[best]), (ALL_METHODS, whole), *((m, columns[m]) for m in others)):
        yield from _place(column, 0.0, f"worst of {name}")
    for share, rank in ((0.5, "median"), (1.0, "best")):
        yield from _place(whole, share, f"{rank} of {ALL_METHODS}")


def _place(column: Array, share: float, why: str) -> Iterator[tuple[int, str]]:
    """The case at that share of the way from the lowest to the highest value."""
    scored = np.flatnonzero(~np.isnan(column))
    if scored.size:
        order = scored[np.argsort(column[scored], kind="stable")]
        yield int(order[int(share * (order.size - 1))]), why
