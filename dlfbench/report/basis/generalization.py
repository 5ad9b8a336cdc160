"""How much each method loses from one test set to another, and whether methods lose differently."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from dlfbench.metrics.definitions import Metric
from dlfbench.metrics.known import METRICS
from dlfbench.report.basis.scores import Scores, ratio
from dlfbench.report.basis.statistics import Array, bootstrap_means, holm, interval, mean_and_sd, paired_t, welch

PERSON_COLUMNS = ["home_persons", "away_persons"]
DROP_COLUMNS = [
    *("metric", "label", "method", "home", "away", "home_mean", "away_mean", "drop", "low", "high"),
    *PERSON_COLUMNS,
]
DIFFERENCE_COLUMNS = [
    *("metric", "label", "home", "away", "a", "b", "difference", "low", "high", "p", "p_holm"),
    *PERSON_COLUMNS,
]


def drops(test_sets: Sequence[Scores], methods: tuple[str, ...]) -> pd.DataFrame:
    """Loss of each method from the first test set (home) to each other (away), above 0 where away is worse.

    The interval resamples the persons of both test sets; once for both where they are the same (see `_shared`), as in
    changed copies. There the means, too, are of the persons who have a value in both. home_persons, away_persons: how
    many have one.
    """
    if len(test_sets) < 2:
        return pd.DataFrame(columns=DROP_COLUMNS)
    home = test_sets[0]
    tables = [_drops(home, away, metric, methods) for away in test_sets[1:] for metric in METRICS]
    return pd.concat(tables, ignore_index=True)[DROP_COLUMNS]


def drop_differences(test_sets: Sequence[Scores], methods: tuple[str, ...]) -> pd.DataFrame:
    """Whether method a loses more than method b, for each pair of methods; Dice and every label.

    The per-person differences a - b at home are compared with those away: Welch's t test over persons, a paired one
    where both test sets are of the same persons (see `_shared`), of those who have a difference in both; Holm within
    test set and label. `difference` is above 0 where a loses more. home_persons, away_persons: how many have a
    difference.
    """
    if len(test_sets) < 2 or len(methods) < 2:
        return pd.DataFrame(columns=DIFFERENCE_COLUMNS)
    home = test_sets[0]
    families = [
        _differences(home, away, METRICS[0], label, list(combinations(methods, 2)))
        for away in test_sets[1:]
        for label in range(len(home.labels))
    ]
    return pd.concat(families, ignore_index=True)[DIFFERENCE_COLUMNS]


def _drops(home: Scores, away: Scores, metric: Metric, methods: tuple[str, ...]) -> pd.DataFrame:
    sign = 1 if metric.higher_is_better else -1
    (sums, counts), (away_sums, away_counts) = (_person_sums(scores, metric, methods) for scores in (home, away))
    draws, away_draws = home.draws, away.draws
    if shared := _shared(home, away):
        here, far = shared
        both = (counts[here] > 0) & (away_counts[far] > 0)
        sums, counts = sums[here] * both, counts[here] * both
        away_sums, away_counts = away_sums[far] * both, away_counts[far] * both
        draws = away_draws = home.draws[:, here]
    there, elsewhere = _Means.of(sums, counts, draws), _Means.of(away_sums, away_counts, away_draws)
    low, high = interval(sign * (there.resampled - elsewhere.resampled), np.minimum(there.persons, elsewhere.persons))
    names = [(method, label) for method in methods for label in home.labels]
    return pd.DataFrame(
        {
            "metric": metric.name,
            "label": [label for _, label in names],
            "method": [method for method, _ in names],
            "home": home.test_set,
            "away": away.test_set,
            "home_mean": there.mean,
            "away_mean": elsewhere.mean,
            "drop": sign * (there.mean - elsewhere.mean),
            "low": low,
            "high": high,
            "home_persons": there.persons,
            "away_persons": elsewhere.persons,
        }
    )


def _shared(home: Scores, away: Scores) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]] | None:
    """Where the people whom both test sets have stand in each, if they are most of one of the two.

    They are compared with themselves. None where they are fewer: then both test sets are taken for independent.
    """
    names, here, far = np.intersect1d(home.persons, away.persons, assume_unique=True, return_indices=True)
    return (here, far) if 2 * len(names) > min(len(home.persons), len(away.persons)) else None


def _person_sums(scores: Scores, metric: Metric, methods: tuple[str, ...]) -> tuple[Array, Array]:
    """Sum and number of each person's values, of each method and label."""
    at = [scores.methods.index(method) for method in methods]
    return scores.person_sums(scores.values[metric.name][:, at].reshape(len(scores.cases), -1))


@dataclass(frozen=True)
class _Means:
    """Means over cases of one test set, of each method and label.

    Attributes:
        mean: (column,).
        resampled: (resample, column).
        persons: (column,), how many have a value.
    """

    mean: Array
    resampled: Array
    persons: npt.NDArray[np.int64]

    @classmethod
    def of(cls, sums: Array, counts: Array, draws: Array) -> "_Means":
        mean = ratio(sums.sum(axis=0), counts.sum(axis=0))
        return cls(mean, bootstrap_means(sums, counts, draws), (counts > 0).sum(axis=0))


def _differences(home: Scores, away: Scores, metric: Metric, label: int, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    sign = 1 if metric.higher_is_better else -1
    there, elsewhere = (
        sign * scores.paired(pairs, metric=metric.name, label=home.labels[label]) for scores in (home, away)
    )
    test = welch
    if shared := _shared(home, away):
        here, far = shared
        test, both = paired_t, ~np.isnan(there[here]) & ~np.isnan(elsewhere[far])
        there, elsewhere = (np.where(both, values, np.nan) for values in (there[here], elsewhere[far]))
    p, low, high = test(there, elsewhere)
    return pd.DataFrame(
        {
            "metric": metric.name,
            "label": home.labels[label],
            "home": home.test_set,
            "away": away.test_set,
            "a": [a for a, _ in pairs],
            "b": [b for _, b in pairs],
            "difference": _column_means(there) - _column_means(elsewhere),
            "low": low,
            "high": high,
            "p": p,
            "p_holm": holm(p),
            "home_persons": (~np.isnan(there)).sum(axis=0),
            "away_persons": (~np.isnan(elsewhere)).sum(axis=0),
        }
    )


def _column_means(values: Array) -> Array:
    return mean_and_sd(values)[0]
