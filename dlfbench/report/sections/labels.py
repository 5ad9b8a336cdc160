"""Each label: means, boxes with every case, and every method against every other."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dlfbench.files import file_name
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.comparison import MANY_METHODS
from dlfbench.report.basis.scores import ALL_LABELS, Scores
from dlfbench.report.basis.statistics import Array
from dlfbench.report.section import Content, Section
from dlfbench.report.sections.results import SHOWN_BOUNDS
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import (
    HALF_IN,
    RULE,
    Picture,
    colours,
    finish,
    head,
    in_lines,
    new_axes,
    rows_in,
)
from dlfbench.report.shown.tables import Cell, Table, counted, coverage, mean_style, styled

_MANY_LABELS = 6
_MANY_POINTS = 3000


def make(basis: Basis) -> Content:
    """Per test set a table and boxes; per label matrices."""
    tables = {file_name("results", one.test_set): results_table(basis, one.test_set) for one in basis.scores}
    boxes = {name: box_plots(basis, basis.scores_of(name)) for name in basis.main_sets}
    return Content(
        tables=tables,
        pictures=[picture for pictures in boxes.values() for picture in pictures],
        shown={"boxes": boxes, "matrices": _matrices(basis)},
    )


LABELS = Section(name="labels", title="Each label", make=make, folded=True)


def shown_labels(basis: Basis) -> tuple[str, ...]:
    """All of few labels; of many only their mean."""
    return basis.labels if len(basis.labels) <= _MANY_LABELS + 1 else (ALL_LABELS,)


def results_table(basis: Basis, test_set: str) -> Table:
    """Dice of each label and over all labels with its interval, HD95 and n of N; methods, then bounds."""
    methods = _rows(basis, test_set, basis.methods)
    bounds = _rows(basis, test_set, (bound for bound in SHOWN_BOUNDS if bound in basis.bounds))
    heads = [f"Dice {label}" for label in shown_labels(basis)]
    columns = ("method", "n/N", *heads, f"95% CI, {ALL_LABELS}", f"HD95 {ALL_LABELS} (mm)")
    rows = (*methods, *(styled(row, "bound") for row in bounds))
    return Table(title=f"Test set {test_set}", columns=columns, rows=rows)


def _rows(basis: Basis, test_set: str, methods: Iterable[str]) -> list[tuple[Cell, ...]]:
    rows = []
    for method in methods:
        cells = [basis.row(test_set, method, label, "dice") for label in shown_labels(basis)]
        hd95 = basis.row(test_set, method, ALL_LABELS, "hd95_mm")
        if hd95 is None or cells[-1] is None:
            continue
        mean = cells[-1]
        rows.append(
            (
                Cell(say.method_title(method)),
                coverage(mean),
                *(_mean_cell(row) for row in cells if row is not None),
                Cell(say.limits(mean["low"], mean["high"], "dice"), mean["low"]),
                Cell(say.mean_sd(hd95["mean"], hd95["sd"], "hd95_mm"), hd95["mean"], mean_style(hd95)),
            )
        )
    return rows


def _mean_cell(row: pd.Series) -> Cell:
    said = counted(say.mean_sd(row["mean"], row["sd"], row["metric"]), row)
    return Cell(said, row["mean"], mean_style(row))


def _matrices(basis: Basis) -> list[tuple[str, list[Table]]]:
    """Per label, the mean over all of them first, one matrix per test set."""
    if not 2 <= len(basis.methods) <= MANY_METHODS:
        return []
    labels = (ALL_LABELS, *basis.labels[:-1])
    return [(label, [matrix_table(basis, name, label) for name in basis.main_sets]) for label in labels]


def matrix_table(basis: Basis, test_set: str, label: str, metric: str = "dice") -> Table:
    """Row against column: mean difference (row - column) and Holm-adjusted p; coloured where significant."""
    pairs = basis.comparisons
    pairs = pairs[(pairs["test_set"] == test_set) & (pairs["label"] == label) & (pairs["metric"] == metric)]
    by_pair = {(row["a"], row["b"]): row for _, row in pairs.iterrows()}
    rows = []
    for a in basis.methods:
        cells = [_matrix_cell(by_pair, a, b) for b in basis.methods]
        rows.append((Cell(a, style="head"), *cells))
    return Table(title=test_set, columns=("", *basis.methods), rows=tuple(rows))


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


def box_plots(basis: Basis, scores: Scores) -> list[Picture]:
    """Dice per label and over all labels, HD95 over all labels: a box and every case's point per method.

    With many labels only the panels over all labels are drawn.
    """
    labels = shown_labels(basis)
    panels = [("dice", label) for label in labels] + [("hd95_mm", ALL_LABELS)]
    limits = {metric: _limits(basis, scores, metric, labels) for metric, _ in panels}
    return [_box_plot(basis, scores, metric, label, limits[metric]) for metric, label in panels]


def _box_plot(basis: Basis, scores: Scores, metric: str, label: str, limits: tuple[float, float]) -> Picture:
    values = scores.values[metric][:, _places(basis, scores), scores.labels.index(label)]
    methods, colour = basis.methods, colours(basis.methods)
    axes = new_axes(HALF_IN, 0.6 + rows_in(methods))
    rng = np.random.default_rng(0)
    for row, method in enumerate(methods):
        scored = values[:, row][~np.isnan(values[:, row])]
        if scored.size:
            _box(axes, row, scored, colour[method], points=values.size <= _MANY_POINTS, rng=rng)
    axes.set_yticks(range(len(methods)), [in_lines(method) for method in methods])
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlim(*limits)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    head(axes, f"{say.TITLES[metric]}, {label}")
    medians = [np.nanmedian(column) if not np.isnan(column).all() else np.nan for column in values.T]
    listed = ", ".join(f"{m} {say.number(v, metric)}" for m, v in zip(methods, medians, strict=True))
    return finish(
        axes,
        name=file_name("box", scores.test_set, metric, label),
        title=f"{say.TITLES[metric]} of {label}, test set {scores.test_set}",
        alt=f"Box plot of {say.TITLES[metric]} of {label} in test set {scores.test_set}, one point per case. "
        f"Medians: {listed}.",
    )


def _box(axes: Axes, row: int, values: Array, colour: str, *, points: bool, rng: np.random.Generator) -> None:
    axes.boxplot(
        values,
        positions=[row],
        orientation="horizontal",
        widths=0.62,
        showfliers=not points,
        flierprops={"marker": ".", "markersize": 2, "markeredgecolor": colour},
        patch_artist=True,
        boxprops={"facecolor": f"{colour}22", "edgecolor": colour},
        medianprops={"color": colour, "linewidth": 2},
        whiskerprops={"color": colour},
        capprops={"color": colour},
    )
    if points:
        jitter = row + rng.uniform(-0.2, 0.2, values.size)
        axes.plot(values, jitter, ".", color=colour, markersize=5, alpha=0.75, markeredgewidth=0)


def _places(basis: Basis, scores: Scores) -> list[int]:
    return [scores.methods.index(method) for method in basis.methods]


def _limits(basis: Basis, scores: Scores, metric: str, labels: Sequence[str]) -> tuple[float, float]:
    """Common limits of a metric's panels in one test set: they are to be compared."""
    shown = [scores.labels.index(label) for label in (labels if metric == "dice" else (ALL_LABELS,))]
    values = scores.values[metric][:, _places(basis, scores)][:, :, shown]
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    span = max(float(np.ptp(values)), 1e-3)
    return float(values.min()) - 0.05 * span, float(values.max()) + 0.05 * span
