"""Ranks of the methods of a test set by Dice over all labels, under several rules, and how stable they are."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from dlfbench.report.basis.comparison import better_of
from dlfbench.report.basis.scores import Scores
from dlfbench.report.basis.statistics import Array, bootstrap_means

_FRIEDMAN_PERSONS = 10


@dataclass(frozen=True)
class Ranking:
    """Ranks in one test set, 1 the best. Only complete methods have any, except with failures as 0.

    Attributes:
        test_set: Which one.
        methods: All of them.
        ranks: By rule, (method,): `mean`, `median`, `worst tenth` (mean of the lowest tenth of the cases),
            `mean, failures as 0` (with 0 for cases without a result).
        mean_rank: (method,), mean over persons of the rank of the person's mean; ties share the mean of their ranks
            (Demsar 2006). As in tests, who rightly finds nothing has the best value against a false alarm.
        shares: (method, rank), share of bootstrap resamples of persons in which the method has that rank by mean.
        friedman_p: Friedman test that the complete methods do not differ, persons as blocks; NaN with fewer than
            three methods or ten persons, where its approximation does not hold.
    """

    test_set: str
    methods: tuple[str, ...]
    ranks: dict[str, Array]
    mean_rank: Array
    shares: Array
    friedman_p: float


def rank(scores: Scores, methods: tuple[str, ...]) -> Ranking:
    """Ranks the methods by mean Dice over labels."""
    places = [scores.methods.index(method) for method in methods]
    dice = scores.values["dice"][:, places, -1]
    complete = np.asarray((scores.scored | ~scores.planned)[:, places].all(axis=0) & ~np.isnan(dice).all(axis=0))
    failed = (scores.planned & ~scores.scored)[:, places]
    kept = dice[:, complete]
    by_person = scores.person_means(scores.compared([m for m, whole in zip(methods, complete, strict=True) if whole]))
    by_person = by_person[~np.isnan(by_person).any(axis=1)]
    ranks = {
        "mean": _spread(_ranks(_over_cases(np.nanmean, kept)), complete),
        "median": _spread(_ranks(_over_cases(np.nanmedian, kept)), complete),
        "worst tenth": _spread(_ranks(_over_cases(_worst_tenth, kept)), complete),
        "mean, failures as 0": _ranks(_over_cases(np.nanmean, np.where(failed, 0.0, dice))),
    }
    mean_rank = np.full(kept.shape[1], np.nan)
    if by_person.size:
        mean_rank = stats.rankdata(-by_person, axis=1).mean(axis=0)
    shares = np.full((len(methods), len(methods)), np.nan)
    shares[complete] = _shares(scores, kept, len(methods))
    return Ranking(scores.test_set, methods, ranks, _spread(mean_rank, complete), shares, _friedman_p(by_person))


def ranking_table(rankings: tuple[Ranking, ...]) -> pd.DataFrame:
    """One row per test set and method: its rank by each rule, mean rank, share of resamples in which it is first."""
    rows = [
        {
            "test_set": ranking.test_set,
            "method": method,
            **{f"by {rule}": ranks[place] for rule, ranks in ranking.ranks.items()},
            "mean_rank": ranking.mean_rank[place],
            "first_share": ranking.shares[place, 0],
            "friedman_p": ranking.friedman_p,
        }
        for ranking in rankings
        for place, method in enumerate(ranking.methods)
    ]
    return pd.DataFrame(rows)


def cliques(ordered: Sequence[str], comparisons: pd.DataFrame) -> list[tuple[int, int]]:
    """Runs of neighbours in rank of which no two differ significantly, as (first, last); only the longest.

    Args:
        ordered: Methods by rank.
        comparisons: Rows of `compare` of one test set, metric and label.
    """
    differ = {frozenset((row["a"], row["b"])) for row in comparisons.to_dict("records") if better_of(row)}
    found: list[tuple[int, int]] = []
    for first in range(len(ordered)):
        last = first
        while last + 1 < len(ordered) and not any(
            frozenset((ordered[last + 1], other)) in differ for other in ordered[first : last + 1]
        ):
            last += 1
        if last > max([first, *(end for _, end in found)]):
            found.append((first, last))
    return found


def _ranks(values: Array, axis: int = 0) -> Array:
    """1 for the highest; ties share the better rank; NaN stays."""
    return np.asarray(stats.rankdata(-values, axis=axis, method="min", nan_policy="omit"), float)


def _over_cases(statistic: Callable[..., Any], values: Array) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without any value stays NaN
        return np.asarray(statistic(values, axis=0), float)


def _worst_tenth(values: Array, axis: int) -> Array:
    lowest = np.sort(values, axis=axis)[: max(1, round(len(values) / 10))]
    return np.asarray(np.nanmean(lowest, axis=axis))


def _spread(values: Array, where: npt.NDArray[np.bool_]) -> Array:
    ranks = np.full(where.shape, np.nan)
    ranks[where] = values
    return ranks


def _shares(scores: Scores, values: Array, places: int) -> Array:
    drawn = _ranks(bootstrap_means(*scores.person_sums(values), scores.draws), axis=1)
    return np.stack([(drawn == place).mean(axis=0) for place in range(1, places + 1)], axis=1)


def _friedman_p(by_person: Array) -> float:
    persons, methods = by_person.shape
    if methods < 3 or persons < _FRIEDMAN_PERSONS or np.ptp(by_person, axis=1).max() == 0:
        return float("nan")
    return float(stats.friedmanchisquare(*by_person.T).pvalue)
