"""Every method against every other: tests on per-person mean differences, and what follows from them."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from dlfbench.metrics.definitions import Metric
from dlfbench.metrics.known import METRICS
from dlfbench.report.basis.scores import Scores
from dlfbench.report.basis.statistics import (
    Array,
    equivalence_p,
    holm,
    mean_interval,
    paired_tests,
    permutation_p,
)

LEVEL = 0.05
MANY_METHODS = 12
EQUIVALENCE_MARGIN = {"dice": 0.01}


def compare(scores: Scores, methods: tuple[str, ...]) -> pd.DataFrame:
    """One row per pair of methods, label and metric; with many methods, per label for Dice only.

    Columns: test_set, metric, label, a, b; persons; difference (mean over persons of a - b), low, high (95% interval,
    bootstrap over persons); p, p_holm (family: all pairs within test set, metric and label); effect (rank-biserial,
    above 0 where a is better); wins, ties, losses (persons with a better, equal, worse); p_equivalent (TOST, Holm in
    the same family; Dice only); p_permutation (permutation test of the mean difference, Holm in the same family; not
    with many methods); verdict (by p_holm and p_equivalent; nobody is better where ranks and mean disagree, or who
    has no result for some cases: these may be the worst).
    """
    if len(methods) < 2:
        return pd.DataFrame(columns=_COLUMNS)
    every = range(len(scores.labels))
    families = [
        _family(scores, methods, metric, label)
        for metric in METRICS
        for label in (every if metric.name == "dice" or len(methods) <= MANY_METHODS else every[-1:])
    ]
    return pd.concat(families, ignore_index=True)


_COLUMNS = [
    *("test_set", "metric", "label", "a", "b", "persons", "difference", "low", "high", "p", "p_holm", "effect"),
    *("wins", "ties", "losses", "p_permutation", "p_equivalent", "verdict"),
]


def _family(scores: Scores, methods: tuple[str, ...], metric: Metric, label: int) -> pd.DataFrame:
    pairs = list(combinations(methods, 2))
    differences = scores.paired(pairs, metric=metric.name, label=scores.labels[label])
    tests = paired_tests(differences)
    low, high = mean_interval(differences, scores.draws)
    sign = 1 if metric.higher_is_better else -1
    p_holm = holm(tests.p)
    p_equivalent = _equivalence(differences, metric.name)
    return pd.DataFrame(
        {
            "test_set": scores.test_set,
            "metric": metric.name,
            "label": scores.labels[label],
            "a": [a for a, _ in pairs],
            "b": [b for _, b in pairs],
            "persons": tests.persons,
            "difference": tests.mean,
            "low": low,
            "high": high,
            "p": tests.p,
            "p_holm": p_holm,
            "effect": sign * tests.rank_biserial,
            "wins": tests.wins if sign > 0 else tests.losses,
            "ties": tests.ties,
            "losses": tests.losses if sign > 0 else tests.wins,
            "p_permutation": _permutation(scores, differences, len(methods)),
            "p_equivalent": p_equivalent,
            "verdict": _verdicts(
                _toward(sign * tests.rank_biserial, sign * tests.mean),
                p_holm,
                p_equivalent,
                [(scores.complete(a), scores.complete(b)) for a, b in pairs],
            ),
        }
    )


def _permutation(scores: Scores, differences: Array, methods: int) -> Array:
    # adjusted for so many pairs the smallest p of so few flips would not be significant
    if methods > MANY_METHODS:
        return np.full(differences.shape[1], np.nan)
    return holm(permutation_p(differences, scores.signs))


def _equivalence(differences: Array, metric: str) -> Array:
    if metric not in EQUIVALENCE_MARGIN:
        return np.full(differences.shape[1], np.nan)
    return holm(equivalence_p(differences, EQUIVALENCE_MARGIN[metric]))


def _toward(effect: Any, mean: Any) -> Any:
    """Which is better (1, -1), by ranks and by mean; 0 where these disagree: a few persons far off decide the mean."""
    return np.where(np.sign(effect) == np.sign(mean), np.sign(effect), 0)


def _verdicts(towards: Any, p_holm: Array, p_equivalent: Array, complete: Sequence[tuple[bool, bool]]) -> list[str]:
    """`a better`, `b better` (`slightly` where the difference is surely within the margin), `equivalent`, `open`."""
    verdicts = []
    found = zip(towards, p_holm < LEVEL, p_equivalent < LEVEL, complete, strict=True)
    for toward, different, within, (whole_a, whole_b) in found:
        equal = within and whole_a and whole_b
        if different and toward and (whole_a if toward > 0 else whole_b):
            verdicts.append(f"{'a' if toward > 0 else 'b'} better{', slightly' if equal else ''}")
        else:
            verdicts.append("equivalent" if equal else "open")
    return verdicts


def mark_best(summary: pd.DataFrame, comparisons: pd.DataFrame) -> Any:
    """Of each test set, label and metric: `best` mean, `not worse` than it by test, or empty.

    Only methods that scored every planned case take part; alone, a method is not marked. Where so few persons cannot
    give any p below the level, `not worse` would say nothing: only the best is marked.
    """
    marks = dict.fromkeys(summary.index, "")
    taking_part = summary[(summary["kind"] == "method") & summary["complete"] & summary["mean"].notna()]
    worse = _significantly_worse(comparisons)
    tested = _decidable(comparisons)
    better_high = {metric.name: metric.higher_is_better for metric in METRICS}
    family: Any
    for family, group in taking_part.groupby(["test_set", "label", "metric"], sort=False):
        if len(group) > 1 and family in tested:
            marks |= _marks_of(group, family, worse, highest=better_high[family[-1]], decidable=tested[family])
    return pd.Series(marks, dtype=object)


def smallest_adjusted_p(persons: int, tests: int) -> float:
    """The smallest Holm-adjusted p that the signed-rank test of so many persons, among so many tests, can give."""
    return min(1.0, tests * 2.0 ** (1 - persons))


def _decidable(comparisons: pd.DataFrame) -> dict[tuple[str, ...], bool]:
    """By test set, label and metric that was tested: whether any p could have reached the level."""
    families = comparisons.groupby(["test_set", "label", "metric"], sort=False)
    counts = families.agg(persons=("persons", "max"), tests=("p", "count"))
    return {
        tuple(family): smallest_adjusted_p(int(persons), int(tests)) < LEVEL
        for family, persons, tests in counts.itertuples(name=None)
    }


def _marks_of(
    group: Any, family: tuple[str, ...], worse: set[tuple[str, ...]], *, highest: bool, decidable: bool
) -> dict[Any, str]:
    best = group.index[group["mean"] == (group["mean"].max() if highest else group["mean"].min())]  # several where tied
    winner = group.at[best[0], "method"]
    close = "not worse" if decidable else ""
    beaten = {worst for *where, _, worst in worse if tuple(where) == family}
    if winner in beaten:  # tests count people alike, a mean over cases does not: nobody is best
        return {i: "" if method in beaten else close for i, method in group["method"].items()}
    marks = {i: "" if (*family, winner, method) in worse else close for i, method in group["method"].items()}
    return marks | dict.fromkeys(best, "best")


def better_of(row: Any) -> str:
    """The method that a row of `compare` finds significantly better; empty where it finds none."""
    return str({"a": row["a"], "b": row["b"]}.get(row["verdict"].partition(" better")[0], ""))


def _significantly_worse(comparisons: pd.DataFrame) -> set[tuple[str, ...]]:
    """(test set, label, metric, better, worse)."""
    found: set[tuple[str, ...]] = set()
    for row in comparisons[comparisons["verdict"].str.contains("better")].to_dict("records"):
        better = better_of(row)
        worse = row["b"] if better == row["a"] else row["a"]
        found.add((row["test_set"], row["label"], row["metric"], better, str(worse)))
    return found
