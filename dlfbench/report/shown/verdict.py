"""What the mean Dice over all labels says, in sentences."""

from collections.abc import Mapping
from typing import Any

from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.comparison import LEVEL, smallest_adjusted_p
from dlfbench.report.basis.scores import ALL_LABELS, Scores
from dlfbench.report.shown import format as say

_MOST_NAMED = 6


def finding(basis: Basis, scores: Scores) -> str:
    """Of one test set: which method has the highest mean, which are below it and which are not, and who is unranked."""
    rows = {m: basis.row(scores.test_set, m, ALL_LABELS, "dice") for m in basis.methods}
    ranked = {m: row for m, row in rows.items() if row is not None and row["complete"]}
    unranked = [
        f"{method} is not ranked: {row['planned'] - row['scored']} of {row['planned']} cases have no result."
        for method, row in rows.items()
        if row is not None and not row["complete"]
    ]
    if not ranked:
        return " ".join(unranked)
    return " ".join([*_order(ranked, len(scores.persons), len(basis.methods)), *unranked])


def _order(ranked: Mapping[str, Any], persons: int, methods: int) -> list[str]:
    best = max(ranked, key=lambda method: ranked[method]["mean"])
    about = f"mean Dice {_with_interval(ranked[best])}"
    if len(ranked) == 1:
        return [f"{best}: {about}."]
    sentences = [f"{best} has the highest {about}."]
    smallest_p = smallest_adjusted_p(persons, methods * (methods - 1) // 2)
    if smallest_p >= LEVEL:
        return [*sentences, _too_few(persons, smallest_p)]
    close = [method for method, row in ranked.items() if row["mark"] == "not worse" and method != best]
    beaten = [method for method in ranked if method not in (best, *close)]
    if close:
        sentences.append(f"Not significantly below it: {_listed(ranked, close)}.")
    if beaten:
        sentences.append(f"Significantly below it: {_listed(ranked, beaten)}.")
    return sentences


def _too_few(persons: int, smallest_p: float) -> str:
    return (
        f"With {say.count(persons, 'person')} no difference can be significant: the smallest adjusted p possible is "
        f"{say.p_value(smallest_p)}."
    )


def _listed(rows: Mapping[str, Any], methods: list[str]) -> str:
    """The methods with their means, the highest first; of many, the first few and how many more."""
    ordered = sorted(methods, key=lambda method: -rows[method]["mean"])
    named = [f"{method} ({say.number(rows[method]['mean'], 'dice')})" for method in ordered[:_MOST_NAMED]]
    more = len(ordered) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _with_interval(row: Any) -> str:
    return f"{say.number(row['mean'], 'dice')} (95% CI {say.limits(row['low'], row['high'], 'dice')})"
