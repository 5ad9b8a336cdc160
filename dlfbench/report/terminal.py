"""The report's numbers for the terminal: the table that ends a run, and two methods against each other."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from dlfbench.metrics.known import METRICS
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.sections.completeness import failed
from dlfbench.report.shown import format as say
from dlfbench.report.shown.tables import Cell, Table, counted, coverage

_MOST_LABELS = 4
_WIDTH, _OTHERS = 80, 22  # of a terminal; of n/N, HD95 and the methods' names, which fold
_BOUNDS = ("oracle10", "candidate")


def headline_table(basis: Basis) -> Table:
    """Dice of each label, where these are few and their names short, HD95, and n of N, per test set and method."""
    labels = basis.labels if _fit(basis) else (ALL_LABELS,)
    columns = ("test set", "method", "n/N", *(f"Dice {label}" for label in labels), "HD95 mm")
    rows = [
        row
        for scores in basis.scores
        for method in (*basis.methods, *(bound for bound in _BOUNDS if bound in basis.bounds))
        if (row := _headline_row(basis, scores.test_set, method, labels))
    ]
    title, note = f"{basis.record.name}: mean over cases", " ".join(failed(basis))
    return Table(title=title, columns=columns, rows=tuple(rows), text_columns=2, note=note)


def _fit(basis: Basis) -> bool:
    """Whether a column for every label, its heading on two lines, leaves room for the others."""
    headings = sum(1 + max(map(len, f"Dice {label}".rsplit(" ", 1))) for label in basis.labels)
    return len(basis.labels) <= _MOST_LABELS + 1 and headings + _OTHERS <= _WIDTH


def _headline_row(basis: Basis, test_set: str, method: str, labels: Sequence[str]) -> tuple[Cell, ...] | None:
    hd95 = basis.row(test_set, method, ALL_LABELS, "hd95_mm")
    if hd95 is None:
        return None
    dice = [basis.row(test_set, method, label, "dice") for label in labels]
    means = [Cell(counted(say.number(row["mean"], "dice"), row), row["mean"]) for row in dice if row is not None]
    return (
        Cell(test_set),
        Cell(say.method_title(method)),
        Cell(f"{hd95['scored']}/{hd95['planned']}"),
        *means,
        Cell(say.number(hd95["mean"], "hd95_mm"), hd95["mean"]),
    )


def pair_table(basis: Basis, a: str, b: str, *, everything: bool) -> Table:
    """Method a against method b: means, difference and test of every test set.

    Args:
        basis: The run.
        a: A method.
        b: Another.
        everything: Every metric of every label; otherwise Dice of each label and the other metrics over all labels.
    """
    rows = basis.comparisons
    shown = everything | (rows["metric"] == METRICS[0].name) | (rows["label"] == ALL_LABELS)
    of_pair = rows[shown & rows["a"].isin((a, b)) & rows["b"].isin((a, b))]
    columns = ("test set", "metric", "label", a, b, f"{a} − {b}", "95% CI", "p (Holm)", "verdict")
    cells = tuple(_pair_row(basis, row, a, b) for _, row in of_pair.iterrows())
    methods = say.count(len(basis.methods), "method")
    note = (
        f"Means over cases; {a} − {b} is the mean over persons, with its interval (bootstrap; Student's of fewer than "
        f"8). Nobody is better who lacks a result for some cases: these may be the worst. P values: Wilcoxon "
        f"signed-rank tests over persons, Holm-adjusted for all pairs of {methods} within a test set, metric and label."
    )
    title = f"{basis.record.name}: {a} against {b}"
    return Table(title=title, columns=columns, rows=cells, text_columns=3, note=note)


def _lacking(row: Any) -> str:
    return "" if row["complete"] else f" ({coverage(row).text})"


def _pair_row(basis: Basis, row: pd.Series, a: str, b: str) -> tuple[Cell, ...]:
    metric, turned = row["metric"], row["a"] != a
    low, high = (-row["high"], -row["low"]) if turned else (row["low"], row["high"])
    found = [basis.row(row["test_set"], method, row["label"], metric) for method in (a, b)]
    difference = -row["difference"] if turned else row["difference"]
    return (
        Cell(row["test_set"]),
        Cell(say.TITLES[metric]),
        Cell(row["label"]),
        *(Cell(say.number(one["mean"], metric) + _lacking(one), one["mean"]) for one in found),
        Cell(say.fixed(difference, 4, signed=True), difference),
        Cell(say.signed_limits(low, high), low),
        Cell(say.p_value(row["p_holm"]), row["p_holm"]),
        Cell(say.verdict(row), style="text"),
    )
