"""The first screen: the verdict, one table, one figure, and what to know before believing them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from dlfbench.files import file_name
from dlfbench.report.basis.account import times
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.scores import ALL_LABELS, Scores
from dlfbench.report.basis.statistics import Array
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.badges import badges
from dlfbench.report.shown.figure_style import (
    FULL_IN,
    INK,
    RULE,
    Picture,
    colours,
    finish,
    head,
    in_lines,
    new_row,
    rows_in,
)
from dlfbench.report.shown.tables import Cell, Table, mean_style, styled
from dlfbench.report.shown.verdict import declared, finding

SHOWN_BOUNDS = ("oracle10", "candidate")
_SETS_IN_A_ROW = 5
_MANY_POINTS = 3000


def make(basis: Basis) -> Content:
    """Verdicts, the overview, and every case's Dice beside the means."""
    table = overview(basis)
    shown = badges(basis)
    return Content(
        tables={"overview": table},
        pictures=[dot_plot(basis)],
        shown={
            "declared": declared(basis),
            "verdicts": [(name, finding(basis, basis.scores_of(name))) for name in basis.main_sets],
            "badges": shown,
            "variance_held": basis.variance_held,
            "left_out": [scores.test_set for scores in basis.scores if scores.test_set not in basis.main_sets],
        },
    )


RESULTS = Section(name="results", title="Results", make=make)


def overview(basis: Basis) -> Table:
    """Methods by score: Dice with its interval and HD95 in each test set, failures, time; then the bounds."""
    needed = times(basis.record, basis.costs)
    sets = basis.main_sets
    columns = ("method", *("Dice", "HD95, mm") * len(sets), "failures", "training", "one case")
    spans = (("", 1), *((name, 2) for name in sets), ("", 1), ("time with registration", 2))
    rows = []
    for method in basis.by_score:
        time = needed[method]
        cells = [cell for name in sets for cell in _scored(basis, name, method)]
        rows.append((Cell(method), *cells, _failures(basis, method), _time(time.training_s), _time(time.whole_case_s)))
    for bound in (bound for bound in SHOWN_BOUNDS if bound in basis.bounds):
        cells = [cell for name in sets for cell in _scored(basis, name, bound)]
        row = (Cell(say.method_title(bound)), *cells, *[Cell("")] * 3)
        rows.append(styled(row, "bound"))
    return Table(title="Overview", columns=columns, rows=tuple(rows), spans=spans)


def _scored(basis: Basis, test_set: str, method: str) -> tuple[Cell, Cell]:
    dice, hd95 = (basis.row(test_set, method, ALL_LABELS, metric) for metric in ("dice", "hd95_mm"))
    if dice is None or hd95 is None:
        return Cell(say.NONE), Cell(say.NONE)
    interval = say.limits(dice["low"], dice["high"], "dice").replace(" to ", "–")
    return (
        Cell(say.number(dice["mean"], "dice"), dice["mean"], mean_style(dice), detail=interval),
        Cell(say.number(hd95["mean"], "hd95_mm"), hd95["mean"], mean_style(hd95)),
    )


def _failures(basis: Basis, method: str) -> Cell:
    rows = [basis.row(scores.test_set, method, ALL_LABELS, "dice") for scores in basis.scores]
    planned, lacking = (
        sum(int(value(row)) for row in rows if row is not None)
        for value in (lambda row: row["planned"], lambda row: row["planned"] - row["scored"])
    )
    return Cell(f"{lacking} of {planned}" if lacking else "0", lacking, "lacking" if lacking else "")


def _time(time_s: float) -> Cell:
    return Cell("–" if np.isnan(time_s) else "none" if time_s == 0 else say.seconds(time_s), time_s)


def dot_plot(basis: Basis) -> Picture:
    """Every case's Dice over all labels as a dot, and the mean with its interval: methods by score, test sets beside
    each other.
    """
    sets = [basis.scores_of(name) for name in basis.main_sets]
    methods = basis.by_score
    panels = new_row(len(sets), FULL_IN, 0.75 + rows_in(methods))
    left = _left_edge(sets, methods)
    said = []
    for axes, scores in zip(panels, sets, strict=True):
        said.append(_dots(axes, basis, scores, methods, left))
        head(axes, f"{scores.test_set}, {say.count(len(scores.cases), 'case')}")
    panels[0].set_yticks(range(len(methods)), [in_lines(method) for method in methods])
    panels[0].set_ylim(len(methods) - 0.5, -0.5)
    alt = f"Dice over all labels of each method: every case a dot, the mean with its 95% interval. {' '.join(said)}"
    return finish(panels[0], name=file_name("dots", "dice"), title="Dice of every case, and means", alt=alt)


def _left_edge(sets: Sequence[Scores], methods: Sequence[str]) -> float:
    """Where the axis begins: a few far outliers must not squeeze everything else; they are counted at the edge."""
    values = np.concatenate([_dice(scores, methods).ravel() for scores in sets])
    values = values[~np.isnan(values)]
    if not values.size:
        return 0.0
    low, middle = np.quantile(values, [0.02, 0.5])
    return max(float(values.min()), float(low - (middle - low)))


def _dice(scores: Scores, methods: Sequence[str]) -> Array:
    return scores.values["dice"][:, [scores.methods.index(method) for method in methods], -1]


def _dots(axes: Axes, basis: Basis, scores: Scores, methods: Sequence[str], left: float) -> str:
    values, colour = _dice(scores, methods), colours(basis.methods)
    rng = np.random.default_rng(0)
    said = []
    for place, method in enumerate(methods):
        scored = values[:, place][~np.isnan(values[:, place])]
        inside = scored[scored >= left]
        if values.size <= _MANY_POINTS:
            jitter = place + rng.uniform(-0.28, 0.28, inside.size)
            axes.plot(inside, jitter, ".", color=colour[method], markersize=4, alpha=0.35, markeredgewidth=0)
        if scored.size > inside.size:
            axes.annotate(f"◂ {scored.size - inside.size}", (left, place), va="center", fontsize=8, color=INK)
        row = basis.row(scores.test_set, method, ALL_LABELS, "dice")
        if row is not None and scored.size:
            axes.hlines(place, row["low"], row["high"], color=INK, linewidth=2.2)
            axes.plot(row["mean"], place, "o", color=colour[method], markeredgecolor=INK, markersize=7)
            said.append(f"{method} {say.number(row['mean'], 'dice')}")
    axes.set_xlim(left=left - 0.02 * (1 - left))
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"Dice, {ALL_LABELS}")
    return f"{scores.test_set}: {', '.join(said)}."
