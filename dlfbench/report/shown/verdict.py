"""What the mean Dice over all labels says, in sentences."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.claims import HOLDS, UNANSWERED, place_of_claim
from dlfbench.report.basis.comparison import LEVEL, smallest_adjusted_p
from dlfbench.report.basis.scores import ALL_LABELS, Scores
from dlfbench.report.shown import format as say
from dlfbench.wording import few

_MOST_NAMED = 6


def declared(basis: Basis) -> str:
    """How many of the declared claims hold, and which do not; empty where none was declared."""
    if basis.analysis is None or basis.claims.empty:
        return ""
    verdicts = basis.claims["verdict"]
    if (verdicts == UNANSWERED).all():
        return f"No result answers any of the {say.count(len(verdicts), 'declared claim')}."
    held = int((verdicts == HOLDS).sum())
    sentences = [f"{held} of {say.count(len(verdicts), 'claim')} {'holds' if held == 1 else 'hold'}."]
    for verdict, rows in basis.claims[verdicts != HOLDS].groupby("verdict", sort=False):
        names = [place_of_claim(row) for _, row in rows.iterrows()]
        sentences.append(f"{str(verdict).capitalize()}: {few(names, _MOST_NAMED)}.")
    return " ".join(sentences)


def finding(basis: Basis, scores: Scores) -> str:
    """Of one test set: which method has the highest mean, which are below it and which are not, and who is unranked."""
    rows = {m: basis.row(scores.test_set, m, ALL_LABELS, "dice") for m in basis.methods}
    complete = {m: row for m, row in rows.items() if row is not None and row["complete"]}
    ranked = {m: row for m, row in complete.items() if not np.isnan(row["mean"])}
    without = [method for method in complete if method not in ranked]
    unranked = [
        f"{method} is not ranked: {row['planned'] - row['scored']} of {row['planned']} cases have no result."
        for method, row in rows.items()
        if row is not None and not row["complete"]
    ]
    if without:
        have = "has" if len(without) == 1 else "have"
        unranked.insert(0, f"{' and '.join(without)} {have} no mean: nobody has a label there, and nothing was found.")
    return " ".join([*(_order(basis, scores, ranked) if ranked else ()), *unranked])


def _order(basis: Basis, scores: Scores, ranked: Mapping[str, Any]) -> list[str]:
    highest = max(row["mean"] for row in ranked.values())
    best, *tied = [method for method, row in ranked.items() if row["mean"] == highest]
    about = f"mean Dice {_with_interval(ranked[best])}"
    if len(ranked) == 1:
        return [f"{best}: {about}."]
    sentences = [f"{' and '.join([best, *tied])} {'have' if tied else 'has'} the highest {about}."]
    against = {method: basis.dice_difference(scores.test_set, best, method) for method in ranked if method != best}
    pairs = len(basis.methods) * (len(basis.methods) - 1) // 2
    corrected = f", corrected for all {pairs} pairs" if pairs > 1 else ""
    persons = max(int(pair["persons"]) for pair in against.values())
    smallest_p = smallest_adjusted_p(persons, pairs)
    if smallest_p >= LEVEL:
        return [*sentences, _too_few(persons, smallest_p, corrected)]
    beaten = [method for method, pair in against.items() if pair["better"] == best]
    ahead = [method for method, pair in against.items() if pair["better"] == method]
    close = [method for method in against if method not in (*beaten, *ahead, *tied)]
    if ahead:
        why = _why_not_by_mean(scores)
        sentences.append(f"Yet significantly above it{corrected}, {why}: {_listed(ranked, ahead)}.")
    if close:
        sentences.append(f"Not significantly below it{corrected}: {_listed(ranked, close)}.")
    if beaten:
        sentences.append(f"Significantly below it{'' if close else corrected}: {_listed(ranked, beaten)}.")
    return sentences


def _why_not_by_mean(scores: Scores) -> str:
    """Where the test may say otherwise than the mean over cases."""
    if len(set(np.bincount(scores.person_of))) > 1:
        return "where every person counts alike however many cases there are of one"
    return "where who rightly finds nothing of a label is best beside a false alarm"


def _too_few(persons: int, smallest_p: float, corrected: str) -> str:
    return (
        f"With {say.count(persons, 'person', 'people')} no difference can be significant{corrected}: the smallest p "
        f"possible is {say.p_value(smallest_p)}."
    )


def _listed(rows: Mapping[str, Any], methods: list[str]) -> str:
    """The methods with their means, the highest first; of many, the first few and how many more."""
    ordered = sorted(methods, key=lambda method: -rows[method]["mean"])
    return few([f"{method} ({say.number(rows[method]['mean'], 'dice')})" for method in ordered], _MOST_NAMED)


def _with_interval(row: Any) -> str:
    return f"{say.number(row['mean'], 'dice')} (95% CI {say.limits(row['low'], row['high'], 'dice')})"
