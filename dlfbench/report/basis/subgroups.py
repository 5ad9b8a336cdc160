"""Whether a method, or the difference of two, is otherwise for some people: by a column of `cases.tsv`."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from dlfbench.report.basis.scores import Scores
from dlfbench.report.basis.statistics import Array, holm, mean_and_sd, welch

FEWEST_PERSONS = 5
GAP_COLUMNS = ["test_set", "column", "method", "a", "b", "persons_a", "persons_b", "gap", "low", "high", "p", "p_holm"]
INTERACTION_COLUMNS = ["test_set", "column", "a", "b", "groups", "persons", "spread", "p", "p_holm"]


def gaps(scores: Scores, methods: tuple[str, ...], column: str, value_of: Mapping[str, str]) -> pd.DataFrame:
    """How far each method's mean Dice over all labels differs between two groups of persons: `GAP_COLUMNS`.

    Welch's t test over persons who have a value of the method, Holm over all rows. Groups of fewer than five such
    persons are left out: nothing is said. So is a method without a result for some cases: if these are hard ones of
    one group, it seems to do well there.

    Args:
        scores: One test set.
        methods: Which methods.
        column: Name of the column.
        value_of: The column's value by case; persons whose cases disagree, or without one, are left out.
    """
    groups = _groups(scores, value_of)
    methods = tuple(method for method in methods if scores.complete(method))
    at = [scores.methods.index(method) for method in methods]
    dice = scores.person_means(scores.values["dice"][:, at, -1])
    rows = []
    for a, b in combinations(groups, 2):
        p, low, high = welch(dice[groups[a]], dice[groups[b]])
        means = mean_and_sd(dice[groups[a]])[0] - mean_and_sd(dice[groups[b]])[0]
        counts = [(~np.isnan(dice[groups[value]])).sum(axis=0) for value in (a, b)]
        for place in np.flatnonzero(np.min(counts, axis=0) >= FEWEST_PERSONS):
            about = {"test_set": scores.test_set, "column": column, "method": methods[place], "a": a, "b": b}
            about |= {"persons_a": counts[0][place], "persons_b": counts[1][place]}
            rows.append({**about, "gap": means[place], "low": low[place], "high": high[place], "p": p[place]})
    table = pd.DataFrame(rows, columns=GAP_COLUMNS[:-1])
    return table.assign(p_holm=holm(table["p"].to_numpy(float)))


def interactions(scores: Scores, methods: tuple[str, ...], column: str, value_of: Mapping[str, str]) -> pd.DataFrame:
    """Whether the difference of two methods depends on the group: `INTERACTION_COLUMNS`.

    Welch's analysis of variance (Welch 1951) of the per-person differences, of cases that both methods have a result
    for; Holm over all pairs of methods. `spread`:
    largest less smallest mean difference of a group. Groups of fewer than five persons with a difference are left out,
    and pairs of methods with fewer than two groups.
    """
    groups, pairs = _groups(scores, value_of), list(combinations(methods, 2))
    rows = []
    for (a, b), differences in zip(pairs, scores.paired(pairs).T, strict=True):
        parts = [_present(differences[members]) for members in groups.values()]
        parts = [part for part in parts if part.size >= FEWEST_PERSONS]
        if len(parts) < 2:
            continue
        means = [float(part.mean()) for part in parts]
        rows.append(
            {
                "test_set": scores.test_set,
                "column": column,
                "a": a,
                "b": b,
                "groups": len(parts),
                "persons": sum(part.size for part in parts),
                "spread": max(means) - min(means),
                "p": welch_anova(parts),
            }
        )
    table = pd.DataFrame(rows, columns=INTERACTION_COLUMNS[:-1])
    return table.assign(p_holm=holm(table["p"].to_numpy(float)))


def welch_anova(parts: list[Array]) -> float:
    """P value of Welch's analysis of variance of means with unequal variances (Welch 1951); NaN where undefined."""
    spreads = [part.var(ddof=1) for part in parts if part.size > 1]
    if len(spreads) < max(2, len(parts)) or min(spreads) == 0:
        return float("nan")
    sizes = np.array([part.size for part in parts], float)
    means = np.array([part.mean() for part in parts])
    weights = sizes / np.array(spreads)
    centre = (weights * means).sum() / weights.sum()
    k = len(parts)
    slack = ((1 - weights / weights.sum()) ** 2 / (sizes - 1)).sum()
    statistic = (weights * (means - centre) ** 2).sum() / (k - 1) / (1 + 2 * (k - 2) / (k**2 - 1) * slack)
    return float(stats.f.sf(statistic, k - 1, (k**2 - 1) / (3 * slack)))


def _groups(scores: Scores, value_of: Mapping[str, str]) -> dict[str, list[int]]:
    """Persons (indices) by value."""
    values: dict[int, set[str]] = {}
    for case, person in zip(scores.cases, scores.person_of, strict=True):
        values.setdefault(int(person), set()).add(value_of.get(case, ""))
    groups: dict[str, list[int]] = {}
    for person, found in sorted(values.items()):
        if len(found) == 1 and found != {""}:
            groups.setdefault(next(iter(found)), []).append(person)
    return dict(sorted(groups.items()))


def _present(values: Array) -> Array:
    return values[~np.isnan(values)]
