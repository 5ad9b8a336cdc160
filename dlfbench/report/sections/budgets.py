"""Whether methods that learn were trained long enough."""

import pandas as pd

from dlfbench.datasets.cases import ALL_LABELS
from dlfbench.files import file_name
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.budgets import budgets, on_cpu
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import (
    BOUND_COLOUR,
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


def make(basis: Basis) -> Content | None:
    """Dice against the time of a training, of methods that differ in the length of their training alone."""
    found = budgets(basis)
    if found.empty:
        return None
    return Content(
        text=[*_verdicts(found), _NOTE],
        tables={"budgets": _table(basis, found)},
        frames={"budgets": found},
        pictures=[_picture(basis, found, name) for name in found["test_set"].unique()],
    )


BUDGETS = Section(name="budgets", title="Lengths of training", make=make)

_NOTE = (
    "A gain is that over the next shorter training on the same people. Where a line has not ended, a method may be "
    "better than it is shown here; where it has, longer training of this kind is not what it lacks."
)


def _verdicts(found: pd.DataFrame) -> list[str]:
    """Of the longest training of each method: whether it still gained."""
    last = found[found["shorter"] != ""].groupby(["test_set", "line"], sort=False).tail(1)
    return [_verdict(row) for _, row in last.iterrows()]


def _verdict(row: pd.Series) -> str:
    what = "still rises" if row["rises"] else "no longer rises, as far as these people can tell"
    gain = say.number(row["gain"], "dice", signed=True)
    limits = say.limits(row["gain_low"], row["gain_high"], "dice", signed=True)
    return f"{row['test_set']}: {row['line']} {what}: {gain} ({limits}) from {row['shorter']} to {row['method']}."


def _time(basis: Basis) -> str:
    return "a training, CPU time" if on_cpu(basis.record) else "a training, wall time"


def _table(basis: Basis, found: pd.DataFrame) -> Table:
    columns = ("test set", "line", "method", _time(basis), "people", "Dice", "95% CI", "gain", "95% CI", "p")
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell(row["line"]),
            Cell(row["method"]),
            Cell(say.seconds(row["fit_s"]), row["fit_s"]),
            Cell(str(row["persons"]), row["persons"]),
            Cell(say.number(row["dice"], "dice"), row["dice"]),
            Cell(say.limits(row["low"], row["high"], "dice"), row["low"]),
            Cell(say.number(row["gain"], "dice", signed=True), row["gain"]),
            Cell(say.limits(row["gain_low"], row["gain_high"], "dice", signed=True), row["gain_low"]),
            Cell(say.p_value(row["p"]), row["p"]),
        )
        for _, row in found.iterrows()
    )
    note = f"Mean Dice over {ALL_LABELS}. Signed-rank test over people, each gain by itself."
    return Table(title="Dice by length of training", columns=columns, rows=rows, text_columns=3, note=note)


def _picture(basis: Basis, found: pd.DataFrame, test_set: str) -> Picture:
    """A line for each method; those that are on none and do not train as dashed lines, others as points."""
    rows = found[found["test_set"] == test_set]
    named = list(rows["line"].unique())
    axes = new_axes(HALF_IN, 3.0 + legend_in(named))
    colour, marker = colours(named), markers(named)
    said = []
    for line in named:
        mine = rows[rows["line"] == line]
        minutes = mine["fit_s"] / 60
        axes.plot(minutes, mine["dice"], color=colour[line], marker=marker[line], markersize=5, label=line)
        axes.vlines(minutes, mine["low"], mine["high"], color=colour[line], linewidth=1, alpha=0.7)
        points = (f"{m:.2g} min: {say.number(dice, 'dice')}" for m, dice in zip(minutes, mine["dice"], strict=True))
        said.append(f"{line} {', '.join(points)}")
    for method in (method for method in basis.methods if method not in set(found["method"])):
        dice = basis.mean_dice(test_set, method)
        axes.axhline(dice, color=BOUND_COLOUR, linestyle="--", linewidth=0.8, zorder=0)
        axes.annotate(method, (0.99, dice), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
        said.append(f"{method} {say.number(dice, 'dice')}")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.set_xlabel(f"{_time(basis)}, minutes")
    axes.grid(color=RULE, linewidth=0.6)
    head(axes, f"{test_set}: Dice, {ALL_LABELS}")
    legend_below(axes)
    alt = f"{test_set}: mean Dice by minutes of {_time(basis)}. {'; '.join(said)}."
    return finish(axes, name=file_name("budgets", test_set), title="Dice by length of training", alt=alt)
