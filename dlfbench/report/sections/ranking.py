"""Ranks by Dice under several rules, and how stable they are."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dlfbench.files import file_name
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.comparison import MANY_METHODS
from dlfbench.report.basis.ranking import Ranking, cliques, ranking_table
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import (
    HALF_IN,
    INK,
    RULE,
    Picture,
    colours,
    finish,
    head,
    in_lines,
    new_axes,
    rows_in,
)
from dlfbench.report.shown.tables import Cell, Table

_LEVEL_IN = 0.28
_BAR = 0.35  # distance of bars, in levels


def make(basis: Basis) -> Content | None:
    """Ranks by rule, critical-difference diagrams, and how often each method has each rank."""
    if not basis.rankings:
        return None
    main = [one for one in basis.rankings if one.test_set in basis.main_sets]
    rows = basis.comparisons[(basis.comparisons["label"] == ALL_LABELS) & (basis.comparisons["metric"] == "dice")]
    diagrams = [critical_difference(one, rows[rows["test_set"] == one.test_set]) for one in main]
    blobs = [rank_plot(one) for one in main if not np.isnan(one.shares).all()]
    friedman = [
        f"{one.test_set}: Friedman test over persons p {'' if one.friedman_p < 0.001 else '= '}"
        f"{say.p_value(one.friedman_p)}."
        for one in basis.rankings
        if not np.isnan(one.friedman_p)
    ]
    return Content(
        tables={"ranks": rank_table(basis.rankings)},
        frames={"ranks": ranking_table(basis.rankings)},
        pictures=[*(picture for picture in diagrams if picture), *blobs],
        shown={"friedman": friedman},
    )


RANKING = Section(name="ranking", title="Ranking rules", make=make, folded=True)


def rank_table(rankings: Sequence[Ranking]) -> Table:
    """Ranks under each rule, per test set and method."""
    rules = tuple(rankings[0].ranks)
    columns = ("test set", "method", *(f"by {rule}" for rule in rules), "mean rank over persons", "first in resamples")
    rows = tuple(_row(ranking, place) for ranking in rankings for place in range(len(ranking.methods)))
    return Table(title="Ranks by Dice over all labels", columns=columns, rows=rows, text_columns=2)


def _row(ranking: Ranking, place: int) -> tuple[Cell, ...]:
    first = float(ranking.shares[place, 0])
    return (
        Cell(ranking.test_set),
        Cell(ranking.methods[place]),
        *(Cell(say.fixed(ranks[place], 0), float(ranks[place])) for ranks in ranking.ranks.values()),
        Cell(say.fixed(ranking.mean_rank[place], 2), float(ranking.mean_rank[place])),
        Cell(say.NONE if np.isnan(first) else f"{100 * first:.0f}%", first),
    )


def rank_plot(ranking: Ranking) -> Picture:
    """How often each method has each rank when persons are drawn anew."""
    methods = ranking.methods
    axes = new_axes(HALF_IN, 0.9 + rows_in(methods))
    colour = colours(methods)
    for row, method in enumerate(methods):
        area = 240 * np.nan_to_num(ranking.shares[row])
        axes.scatter(np.arange(1, len(methods) + 1), [row] * len(methods), s=area, color=colour[method], linewidth=0)
    axes.set_yticks(range(len(methods)), [in_lines(method) for method in methods])
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlim(0.4, len(methods) + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("rank by mean Dice in bootstrap resamples")
    axes.grid(color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    head(axes, ranking.test_set)
    first = ", ".join(
        f"{m} {100 * s:.0f}%" for m, s in zip(methods, ranking.shares[:, 0], strict=True) if not np.isnan(s)
    )
    alt = f"Ranks of the methods in {ranking.test_set} when persons are drawn anew; area is the share. First: {first}."
    return finish(axes, name=file_name("ranks", ranking.test_set), title=f"Ranks, {ranking.test_set}", alt=alt)


def critical_difference(ranking: Ranking, comparisons: pd.DataFrame) -> Picture | None:
    """Mean ranks over persons on one axis; bars join methods between which no test found a difference (Demšar 2006).

    By Holm-adjusted Wilcoxon tests, as everywhere in the report, not by Nemenyi's (Benavoli 2016). None with fewer
    than three complete methods, or many.
    """
    place = np.argsort(ranking.mean_rank, kind="stable")[: np.count_nonzero(~np.isnan(ranking.mean_rank))]
    if not 3 <= place.size <= MANY_METHODS:
        return None
    methods = [ranking.methods[at] for at in place]
    ranks = ranking.mean_rank[place]
    bars = cliques(methods, comparisons)
    depth = _BAR * len(bars) + 0.7
    axes = new_axes(HALF_IN, 0.9 + _LEVEL_IN * (depth + (place.size + 1) // 2))
    _scale(axes, place.size)
    _labels(axes, methods, ranks, colours(ranking.methods), depth)
    for level, (first, last) in enumerate(bars):
        at = -0.4 - _BAR * level
        axes.plot([ranks[first] - 0.04, ranks[last] + 0.04], [at, at], color=INK, linewidth=4, solid_capstyle="butt")
    axes.set_ylim(-depth - (place.size + 1) // 2, 1.2)
    head(axes, ranking.test_set)
    joined = "; ".join(", ".join(methods[first : last + 1]) for first, last in bars) or "none"
    listed = ", ".join(f"{method} {rank:.2f}" for method, rank in zip(methods, ranks, strict=True))
    alt = f"Critical-difference diagram of {ranking.test_set}. Mean ranks: {listed}. No difference found: {joined}."
    return finish(
        axes,
        name=file_name("critical-difference", ranking.test_set),
        title=f"Mean ranks, {ranking.test_set}",
        alt=alt,
    )


def _scale(axes: Axes, methods: int) -> None:
    """The axis of ranks, drawn at 0; everything else hangs below it."""
    axes.set_axis_off()
    axes.set_xlim(1 - 0.12 * methods, methods + 0.12 * methods)
    axes.plot([1, methods], [0, 0], color=INK, linewidth=1)
    for rank in range(1, methods + 1):
        axes.plot([rank, rank], [0, 0.2], color=INK, linewidth=1)
        axes.text(rank, 0.35, str(rank), ha="center", va="bottom", fontsize=8)


def _labels(axes: Axes, methods: list[str], ranks: np.ndarray, colour: dict[str, str], depth: float) -> None:
    """The better half named on the left, the others on the right, each with a line to its rank."""
    count = len(methods)
    for at, (method, rank) in enumerate(zip(methods, ranks, strict=True)):
        left = at < (count + 1) // 2
        level = -depth - (at if left else count - 1 - at)
        edge = 1 - 0.06 * count if left else count + 0.06 * count
        axes.plot([rank, rank, edge], [0, level, level], color=colour[method], linewidth=1.4)
        name = in_lines(method)
        text = f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}"
        gap = -0.03 * count if left else 0.03 * count
        axes.text(edge + gap, level, text, ha="right" if left else "left", va="center", fontsize=8)
