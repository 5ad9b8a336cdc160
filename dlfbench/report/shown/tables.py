"""The analysis as tables of text: for the page, the terminal, and files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from dlfbench.metrics.known import METRICS
from dlfbench.report.basis.analysis import Analysis
from dlfbench.report.basis.comparison import MANY_METHODS
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.shown import format as say

_MANY_LABELS = 6
_LABELS_ON_TERMINAL = 4


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Attributes:
        text: As shown.
        sort: What it is sorted by; the text where it is None.
        style: CSS class.
        link: Where it leads on the page; nowhere if empty.
    """

    text: str
    sort: float | str | None = None
    style: str = ""
    link: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """A table to show.

    Attributes:
        title: What it shows.
        columns: Their heads.
        rows: One entry per column.
        text_columns: How many columns, from the left, are text and not numbers.
        filters: Columns that the page offers to filter by.
        note: How to read it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    text_columns: int = 1
    filters: tuple[str, ...] = ()
    note: str = ""

    def where(self, **values: str) -> "Table":
        """The rows with these texts in these columns, without the columns."""
        at = {self.columns.index(name): text for name, text in values.items()}
        kept = [place for place in range(len(self.columns)) if place not in at]
        rows = (row for row in self.rows if all(row[place].text == text for place, text in at.items()))
        return replace(
            self,
            columns=tuple(self.columns[place] for place in kept),
            rows=tuple(tuple(row[place] for place in kept) for row in rows),
            text_columns=self.text_columns - len(at),
        )


def headline(analysis: Analysis) -> Table:
    """What the terminal shows at the end of a run: Dice of each label, HD95, and n of N, per test set and method."""
    labels = analysis.labels if len(analysis.labels) <= _LABELS_ON_TERMINAL + 1 else (ALL_LABELS,)
    columns = ("test set", "method", "n/N", *(f"Dice {label}" for label in labels), "HD95 mm")
    rows = [
        row
        for scores in analysis.scores
        for method in (*analysis.methods, *(b for b in analysis.bounds if b in ("oracle10", "candidate")))
        if (row := _headline_row(analysis, scores.test_set, method, labels))
    ]
    return Table(f"{analysis.record.name}: mean over cases", columns, tuple(rows), text_columns=2)


def _headline_row(analysis: Analysis, test_set: str, method: str, labels: Sequence[str]) -> tuple[Cell, ...] | None:
    hd95 = analysis.row(test_set, method, ALL_LABELS, "hd95_mm")
    if hd95 is None:
        return None
    dice = [analysis.row(test_set, method, label, "dice") for label in labels]
    means = [Cell(say.number(row["mean"], "dice"), row["mean"]) for row in dice if row is not None]
    return (
        Cell(test_set),
        Cell(say.method_title(method)),
        Cell(f"{hd95['scored']}/{hd95['planned']}"),
        *means,
        Cell(say.number(hd95["mean"], "hd95_mm"), hd95["mean"]),
    )


def results_table(analysis: Analysis, test_set: str, methods: Iterable[str]) -> Table:
    """Dice of each label and over all labels with its interval, HD95 and n of N; one row per method."""
    labels = analysis.labels if len(analysis.labels) <= _MANY_LABELS + 1 else (ALL_LABELS,)
    heads = [f"Dice {label}" for label in labels]
    columns = ("method", "n/N", *heads, f"95% CI, {ALL_LABELS}", f"HD95 {ALL_LABELS} (mm)")
    rows = []
    for method in methods:
        cells = [analysis.row(test_set, method, label, "dice") for label in labels]
        hd95 = analysis.row(test_set, method, ALL_LABELS, "hd95_mm")
        if hd95 is None or cells[-1] is None:
            continue
        mean = cells[-1]
        rows.append(
            (
                Cell(say.method_title(method)),
                _coverage(mean),
                *(_mean_cell(row) for row in cells if row is not None),
                Cell(say.limits(mean["low"], mean["high"], "dice"), mean["low"]),
                Cell(say.mean_sd(hd95["mean"], hd95["sd"], "hd95_mm"), hd95["mean"], _style(hd95)),
            )
        )
    return Table(f"Test set {test_set}", columns, tuple(rows))


def _coverage(row: pd.Series) -> Cell:
    share = row["scored"] / row["planned"]
    return Cell(f"{row['scored']}/{row['planned']}", share, "" if row["complete"] else "lacking")


def _mean_cell(row: pd.Series) -> Cell:
    return Cell(say.mean_sd(row["mean"], row["sd"], row["metric"]), row["mean"], _style(row))


def _style(row: pd.Series) -> str:
    return {"best": "best", "not worse": "close"}.get(row["mark"], "")


def summary_table(analysis: Analysis) -> Table:
    """Every test set, method, label and metric."""
    columns = (
        *("test set", "label", "metric", "method", "n/N", "empty", "mean", "sd", "median", "IQR", "95% CI of mean"),
        "mark",
    )
    rows = tuple(_summary_row(row) for _, row in analysis.summary.iterrows())
    return Table("All metrics", columns, rows, text_columns=4, filters=("test set", "label", "metric"))


def _summary_row(row: pd.Series) -> tuple[Cell, ...]:
    metric = row["metric"]
    sd, median = (Cell(say.number(row[name], metric), row[name]) for name in ("sd", "median"))
    return (
        Cell(row["test_set"]),
        Cell(row["label"]),
        Cell(say.TITLES[metric]),
        Cell(say.method_title(row["method"]), style="bound" if row["kind"] == "bound" else ""),
        _coverage(row),
        Cell(str(row["empty"]), row["empty"]),
        Cell(say.number(row["mean"], metric), row["mean"], _style(row)),
        sd,
        median,
        Cell(say.limits(row["q1"], row["q3"], metric), row["q1"]),
        Cell(say.limits(row["low"], row["high"], metric), row["low"]),
        Cell(_mark(row), style="text"),
    )


def _mark(row: pd.Series) -> str:
    if row["kind"] == "bound":
        return "bound"
    return str(row["mark"]) if row["complete"] else "not ranked"


def comparison_table(analysis: Analysis) -> Table:
    """Every pair of methods; with many methods only over all labels (the files hold the rest)."""
    rows = analysis.comparisons
    if len(analysis.methods) > MANY_METHODS:
        rows = rows[rows["label"] == ALL_LABELS]
    columns = (
        *("test set", "label", "metric", "a", "b", "persons", "a − b", "95% CI", "p", "p (Holm)", "effect"),
        *("win/tie/loss", "p permutation", "p equivalent", "verdict"),
    )
    cells = tuple(_comparison_row(row) for _, row in rows.iterrows())
    return Table("All pairs of methods", columns, cells, text_columns=5, filters=("test set", "label", "metric"))


def pair_table(analysis: Analysis, a: str, b: str, *, everything: bool) -> Table:
    """Method a against method b: means, difference and test of every test set.

    Args:
        analysis: The analysis.
        a: A method.
        b: Another.
        everything: Every metric of every label; otherwise Dice of each label and the other metrics over all labels.
    """
    rows = analysis.comparisons
    shown = everything | (rows["metric"] == METRICS[0].name) | (rows["label"] == ALL_LABELS)
    found = rows[shown & rows["a"].isin((a, b)) & rows["b"].isin((a, b))]
    columns = ("test set", "metric", "label", a, b, f"{a} − {b}", "95% CI", "p (Holm)", "verdict")
    cells = tuple(_pair_row(analysis, row, a, b) for _, row in found.iterrows())
    methods = say.count(len(analysis.methods), "method")
    note = (
        f"Means over cases; {a} − {b} is the mean over persons, with its bootstrap interval. P values: Wilcoxon "
        f"signed-rank tests over persons, Holm-adjusted for all pairs of {methods} within a test set, metric and label."
    )
    return Table(f"{analysis.record.name}: {a} against {b}", columns, cells, text_columns=3, note=note)


def _pair_row(analysis: Analysis, row: pd.Series, a: str, b: str) -> tuple[Cell, ...]:
    metric, turned = row["metric"], row["a"] != a
    low, high = (-row["high"], -row["low"]) if turned else (row["low"], row["high"])
    means = (analysis.row(row["test_set"], method, row["label"], metric)["mean"] for method in (a, b))
    difference = -row["difference"] if turned else row["difference"]
    return (
        Cell(row["test_set"]),
        Cell(say.TITLES[metric]),
        Cell(row["label"]),
        *(Cell(say.number(mean, metric), mean) for mean in means),
        Cell(say.fixed(difference, 4, signed=True), difference),
        Cell(_signed_limits(low, high), low),
        Cell(say.p_value(row["p_holm"]), row["p_holm"]),
        Cell(verdict(row), style="text"),
    )


def _comparison_row(row: pd.Series) -> tuple[Cell, ...]:
    metric = row["metric"]
    return (
        Cell(row["test_set"]),
        Cell(row["label"]),
        Cell(say.TITLES[metric]),
        Cell(row["a"]),
        Cell(row["b"]),
        Cell(str(row["persons"]), row["persons"]),
        Cell(say.fixed(row["difference"], 4, signed=True), row["difference"]),
        Cell(_signed_limits(row["low"], row["high"]), row["low"]),
        Cell(say.p_value(row["p"]), row["p"]),
        Cell(say.p_value(row["p_holm"]), row["p_holm"]),
        Cell(say.fixed(row["effect"], 2, signed=True), row["effect"]),
        Cell(f"{row['wins']}/{row['ties']}/{row['losses']}", row["wins"]),
        Cell(say.p_value(row["p_permutation"]), row["p_permutation"]),
        Cell(say.p_value(row["p_equivalent"]), row["p_equivalent"]),
        Cell(verdict(row), style="text"),
    )


def _signed_limits(low: float, high: float) -> str:
    return say.NONE if pd.isna(low) else f"{say.fixed(low, 4, signed=True)} to {say.fixed(high, 4, signed=True)}"


def verdict(row: pd.Series) -> str:
    """The verdict with the methods' names."""
    text = str(row["verdict"])
    if text[0] in "ab" and text[1:].startswith(" better"):
        return f"{row[text[0]]}{text[1:]}"
    return text


def matrix_table(analysis: Analysis, test_set: str, label: str, metric: str = "dice") -> Table:
    """Row against column: mean difference (row - column) and Holm-adjusted p; coloured where significant."""
    pairs = analysis.comparisons
    pairs = pairs[(pairs["test_set"] == test_set) & (pairs["label"] == label) & (pairs["metric"] == metric)]
    by_pair = {(row["a"], row["b"]): row for _, row in pairs.iterrows()}
    rows = []
    for a in analysis.methods:
        cells = [_matrix_cell(by_pair, a, b) for b in analysis.methods]
        rows.append((Cell(a, style="head"), *cells))
    return Table(test_set, ("", *analysis.methods), tuple(rows))


def _matrix_cell(by_pair: dict[tuple[str, str], pd.Series], a: str, b: str) -> Cell:
    if a == b:
        return Cell("", style="self")
    row = by_pair[(a, b) if (a, b) in by_pair else (b, a)]
    sign = 1 if (a, b) in by_pair else -1
    better = str(row["verdict"]).startswith("a better" if sign > 0 else "b better")
    worse = str(row["verdict"]).startswith("b better" if sign > 0 else "a better")
    style = "better" if better else "worse" if worse else "same" if row["verdict"] == "equivalent" else ""
    p = say.p_value(row["p_holm"])
    text = f"{say.number(sign * row['difference'], row['metric'], signed=True)}\np {p if p[0] == '<' else '= ' + p}"
    return Cell(text, style=style)
