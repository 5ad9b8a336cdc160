"""Whether methods that learn were trained long enough."""

from collections.abc import Iterator
from itertools import cycle

import numpy as np
import pandas as pd

from dlfbench.datasets.cases import ALL_LABELS
from dlfbench.files import file_name
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.budgets import budgets, on_cpu
from dlfbench.report.basis.statistics import Array
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
        text=[*_verdicts(found), _NOTE, *_about_runs(basis, found)],
        tables={"budgets": _table(basis, found)},
        frames={"budgets": found},
        pictures=[_picture(basis, found, name) for name in found["test_set"].unique()],
    )


BUDGETS = Section(name="budgets", title="Lengths of training", make=make)

_NOTE = (
    "A gain is that over the next shorter training on the same people. Where a line has not ended, a method may be "
    "better than it is shown here; where it has, longer training of this kind is not what it lacks."
)


def _about_runs(basis: Basis, found: pd.DataFrame) -> Iterator[str]:
    """Lines whose trainings are of several runs: their times may be of several machines."""
    for line, methods in found.groupby("line", sort=False)["method"]:
        runs = list(dict.fromkeys(basis.record.origin(method).folder.resolve().name for method in methods))
        if len(runs) > 1:
            yield f"The trainings of {line} are of runs {' and '.join(runs)}: their times compare on one machine."


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
    """A line for each method over the logarithm of what is missing to 1; methods that are on no line are level."""
    rows = found[found["test_set"] == test_set]
    named = list(rows["line"].unique())
    others = {
        method: basis.mean_dice(test_set, method) for method in basis.methods if method not in set(found["method"])
    }
    level = [method for method, dice in others.items() if not np.isnan(dice)]
    axes = new_axes(HALF_IN, 3.4 + legend_in([*named, *level]))
    colour, marker = colours(named), markers(named)
    said = []
    for line in named:
        mine = rows[rows["line"] == line]
        minutes = mine["fit_s"] / 60
        axes.plot(minutes, mine["dice"], color=colour[line], marker=marker[line], markersize=5, label=line)
        axes.vlines(minutes, mine["low"], mine["high"], color=colour[line], linewidth=1, alpha=0.7)
        points = (f"{m:.2g} min: {say.number(dice, 'dice')}" for m, dice in zip(minutes, mine["dice"], strict=True))
        said.append(f"{line} {', '.join(points)}")
    for method, style in zip(level, cycle(_LEVEL_STYLES), strict=False):
        axes.axhline(others[method], color=BOUND_COLOUR, linestyle=style, linewidth=1, zorder=0, label=method)
        said.append(f"{method} {say.number(others[method], 'dice')}")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.set_yscale("function", functions=(_stretched, _shrunk))
    axes.set_yticks(_ticks(*axes.get_ylim()))
    axes.set_xlabel(f"{_time(basis)}, minutes")
    axes.grid(color=RULE, linewidth=0.6)
    head(axes, f"{test_set}: Dice, {ALL_LABELS}")
    legend_below(axes)
    alt = f"{test_set}: mean Dice by minutes of {_time(basis)}. {'; '.join(said)}."
    return finish(axes, name=file_name("budgets", test_set), title="Dice by length of training", alt=alt)


_LEVEL_STYLES = ("--", ":", "-.")
_TICKS = (0, 0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.83, 0.85, 0.86, 0.87, 0.88, 0.89, 0.9, 0.92, 0.94, 0.96, 0.98, 0.99)


def _ticks(low: float, high: float) -> list[float]:
    """Of `_TICKS` those in sight, each a tenth of the axis or more from the one before."""
    kept: list[float] = []
    for tick in (tick for tick in _TICKS if low <= tick <= high):
        share = np.diff(_stretched(np.array([low, kept[-1] if kept else low, tick, high])))
        if not kept or share[1] >= 0.1 * share.sum():
            kept.append(tick)
    return kept


def _stretched(dice: Array) -> Array:
    return -np.log(np.maximum(1 - dice, 1e-3))


def _shrunk(stretched: Array) -> Array:
    return 1 - np.exp(-stretched)
