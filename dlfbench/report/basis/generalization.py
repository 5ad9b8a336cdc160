"""How much each method loses from one test set to another, and whether methods lose differently."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from dlfbench.metrics.definitions import Metric
from dlfbench.metrics.known import METRICS
from dlfbench.report.basis.scores import Scores, ratio
from dlfbench.report.basis.statistics import Array, bootstrap_means, holm, interval, mean_and_sd, paired_t, welch

DROP_COLUMNS = ["metric", "label", "method", "home", "away", "home_mean", "away_mean", "drop", "low", "high"]
DIFFERENCE_COLUMNS = ["metric", "label", "home", "away", "a", "b", "difference", "low", "high", "p", "p_holm"]


def drops(test_sets: Sequence[Scores], methods: tuple[str, ...]) -> pd.DataFrame:
    """Loss of each method from the first test set (home) to each other (away), above 0 where away is worse.

    The interval resamples the persons of both test sets; once for both where they are the same, as in changed copies.
    """
    if len(test_sets) < 2:
        return pd.DataFrame(columns=DROP_COLUMNS)
    home = test_sets[0]
    tables = [_drops(home, away, metric, methods) for away in test_sets[1:] for metric in METRICS]
    return pd.concat(tables, ignore_index=True)[DROP_COLUMNS]


def drop_differences(test_sets: Sequence[Scores], methods: tuple[str, ...]) -> pd.DataFrame:
    """Whether method a loses more than method b, for each pair of methods; Dice and every label.

    The per-person differences a - b at home are compared with those away: Welch's t test over persons, a paired one
    where both test sets are of the same persons; Holm within test set and label. `difference` is above 0 where a loses
    more.
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
    draws = home.draws if home.persons == away.persons else away.draws
    there, elsewhere = _means(home, home.draws, metric, methods), _means(away, draws, metric, methods)
    low, high = interval(sign * (there[1] - elsewhere[1]), np.minimum(there[2], elsewhere[2]))
    names = [(method, label) for method in methods for label in home.labels]
    return pd.DataFrame(
        {
            "metric": metric.name,
            "label": [label for _, label in names],
            "method": [method for method, _ in names],
            "home": home.test_set,
            "away": away.test_set,
            "home_mean": there[0],
            "away_mean": elsewhere[0],
            "drop": sign * (there[0] - elsewhere[0]),
            "low": low,
            "high": high,
        }
    )


def _means(scores: Scores, draws: Array, metric: Metric, methods: tuple[str, ...]) -> tuple[Array, Array, Array]:
    """Mean over cases, resampled means, number of persons, of each method and label."""
    at = [scores.methods.index(method) for method in methods]
    values = scores.values[metric.name][:, at].reshape(len(scores.cases), -1)
    sums, counts = scores.person_sums(values)
    mean = ratio(sums.sum(axis=0), counts.sum(axis=0))
    return mean, bootstrap_means(sums, counts, draws), (counts > 0).sum(axis=0)


def _differences(home: Scores, away: Scores, metric: Metric, label: int, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    sign = 1 if metric.higher_is_better else -1
    there, elsewhere = (sign * _pair_differences(scores, metric, label, pairs) for scores in (home, away))
    p, low, high = (paired_t if home.persons == away.persons else welch)(there, elsewhere)
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
        }
    )


def _pair_differences(scores: Scores, metric: Metric, label: int, pairs: list[tuple[str, str]]) -> Array:
    values = scores.values[metric.name][:, :, label]
    at = {name: index for index, name in enumerate(scores.methods)}
    return scores.person_means(values[:, [at[a] for a, _ in pairs]] - values[:, [at[b] for _, b in pairs]])


def _column_means(values: Array) -> Array:
    return mean_and_sd(values)[0]
