"""Learning curves: how many cases a method needs."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from dlfbench.files import file_name
from dlfbench.records.record import Record
from dlfbench.records.results import stacked
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.curves import FACTORS, Curves, crossings, points, read_curves
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import (
    HALF_IN,
    RULE,
    Picture,
    colours,
    finish,
    head,
    legend_below,
    legend_in,
    markers,
    new_axes,
)
from dlfbench.report.shown.tables import Cell, Table

_OUTSIDE = "not within what was tried"
_BELOW, _BEYOND = "below what was tried", "beyond what was tried"


def make(basis: Basis) -> Content | None:
    """Dice against the number of training cases or atlases, and where two methods cross."""
    if basis.record.curve.empty:
        return None
    record = basis.record
    asked = [(record, name, factor) for name in basis.main_sets for factor in FACTORS]
    read = [(one, read_curves(*one)) for one in asked]
    table = stacked([points(*one, curves) for one, curves in read])
    crossed = stacked([crossings(*one, curves, _compared(*one)) for one, curves in read])
    panels = table[["test_set", "factor"]].drop_duplicates().itertuples(index=False, name=None)
    return Content(
        text=[_NOTE],
        tables={"learning_curves": points_table(table), "crossings": crossings_table(crossed)},
        frames={"learning_curves": table, "crossings": crossed},
        pictures=[_picture(basis, table, *panel) for panel in panels],
    )


def _compared(record: Record, test_set: str, factor: str) -> Callable[[str, str], Curves]:
    return lambda a, b: read_curves(record, test_set, factor, compared=(a, b))


CURVES = Section(name="curves", title="Learning curves", make=make)

_NOTE = (
    "The same test cases with fewer training cases, or with fewer atlases a target. The largest number is that of all "
    "else on this page. Sets of one draw are nested."
)


def points_table(found: pd.DataFrame) -> Table:
    """Every method and number of cases."""
    columns = (
        "test set",
        "what is varied",
        "method",
        "number",
        "draws",
        "people",
        "Dice",
        "95% CI",
        "a fit, CPU time",
    )
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell(row["factor"]),
            Cell(row["method"]),
            *(Cell(str(row[name]), row[name]) for name in ("number", "draws", "persons")),
            Cell(say.number(row["dice"], "dice"), row["dice"]),
            Cell(say.limits(row["low"], row["high"], "dice"), row["low"]),
            Cell(say.seconds(3600 * row["fit_cpu_h"]) if row["fit_cpu_h"] else say.NONE, row["fit_cpu_h"]),
        )
        for _, row in found.iterrows()
    )
    note = (
        "Mean over people of Dice over all labels. Intervals hold other people, and other draws if there are several."
    )
    return Table(title="Dice by number of cases", columns=columns, rows=rows, text_columns=3, note=note)


def crossings_table(crossed: pd.DataFrame) -> Table:
    """Where each pair of methods crosses."""
    columns = (
        "test set",
        "what is varied",
        "ahead with few",
        "of",
        "overtaken at",
        "95% CI",
        "resamples that cross",
    )
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell(row["factor"]),
            Cell(row["fewer"]),
            Cell(row["more"]),
            Cell(say.fixed(row["number"], 0) if np.isfinite(row["number"]) else _OUTSIDE),
            Cell(" to ".join(dict.fromkeys((_number(row["low"]), _number(row["high"]))))),
            Cell(f"{100 * row['share']:.0f}%", row["share"]),
        )
        for _, row in crossed.iterrows()
    )
    note = (
        "Lines between the numbers that were tried, over the logarithm of the number; interval: bootstrap over people, "
        f"with the draws as they are. {_BELOW.capitalize()}: the second is ahead from the first number on; {_BEYOND}: "
        "the first still is at the last."
    )
    return Table(title="Where methods cross", columns=columns, rows=rows, text_columns=6, note=note)


def _number(value: float) -> str:
    return say.fixed(value, 0) if np.isfinite(value) else _BELOW if value < 0 else _BEYOND


def _picture(basis: Basis, found: pd.DataFrame, test_set: str, factor: str) -> Picture:
    rows = found[(found["test_set"] == test_set) & (found["factor"] == factor)]
    shown = [method for method in basis.methods if method in set(rows["method"])]
    axes = new_axes(HALF_IN, 3.0 + legend_in(shown))
    colour, marker = colours(basis.methods), markers(basis.methods)
    said = []
    for place, method in enumerate(shown):
        mine = rows[rows["method"] == method].sort_values("number")
        number = mine["number"] * 1.015 ** (place - len(shown) / 2)  # beside each other, so that intervals show
        axes.plot(number, mine["dice"], color=colour[method], marker=marker[method], markersize=5, label=method)
        axes.vlines(number, mine["low"], mine["high"], color=colour[method], linewidth=1, alpha=0.7)
        steps = [f"{n}: {say.number(dice, 'dice')}" for n, dice in zip(mine["number"], mine["dice"], strict=True)]
        said.append(f"{method} {', '.join(steps)}")
    axes.set_xscale("log")
    ticks = sorted(set(rows["number"]))
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()
    axes.set_xlabel(factor)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    head(axes, f"{test_set}: Dice, {ALL_LABELS}")
    legend_below(axes)
    alt = f"{test_set}: mean Dice by number of {factor}. {'; '.join(said)}."
    return finish(axes, name=file_name("curve", factor, test_set), title=f"Dice by {factor}", alt=alt)
