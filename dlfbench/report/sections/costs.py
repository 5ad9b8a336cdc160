"""What each method costs: time for training and for a case with the registrations that it needs, and memory."""

import math

import pandas as pd

from dlfbench.report.basis.account import Times, times
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import (
    FULL_IN,
    RULE,
    Picture,
    colours,
    finish,
    head,
    in_lines,
    markers,
    new_axes,
)
from dlfbench.report.shown.tables import Cell, Table

_TASKS = {
    "registration": "registration of one atlas",
    "fit": "training",
    "segmentation": "segmentation of one case",
    "score": "scoring of one case",
    "bounds": "bounds of one case",
}


def make(basis: Basis) -> Content | None:
    """A line for each method, Dice against time, and all work in detail."""
    if basis.costs.empty:
        return None
    needed = times(basis.record, basis.costs)
    drawn = cost_scatter(basis, needed)
    return Content(
        tables={"time": time_table(basis, needed), "costs": work_table(basis)},
        frames={"costs": basis.costs},
        pictures=[drawn] if drawn else [],
    )


COSTS = Section(name="cost", title="Time and memory", make=make)


def time_table(basis: Basis, needed: dict[str, Times]) -> Table:
    """Methods by score: training and a case, each with the registrations in it, and the peak memory of both."""
    peak = basis.costs.groupby(["task", "method"])["peak_bytes"].max()
    columns = ("method", *("total", "method", "registration") * 2, "training", "one case")
    spans = (("", 1), ("training", 3), ("one case", 3), ("peak memory", 2))
    rows = []
    for method in basis.by_score:
        time = needed[method]
        training = (time.training_s, time.train_s, time.train_registration_s)
        case = (time.whole_case_s, time.case_s, time.case_registration_s)
        memory = (float(peak.get((task, method), float("nan"))) for task in ("fit", "segmentation"))
        cells = (*map(_seconds, (*training, *case)), *(Cell(say.memory(size), size) for size in memory))
        rows.append((Cell(method), *cells))
    return Table(title="Time and memory of each method", columns=columns, rows=tuple(rows), spans=spans)


def _seconds(time_s: float) -> Cell:
    return Cell("none" if time_s == 0 else say.seconds(time_s), time_s)


def work_table(basis: Basis) -> Table:
    """Time and memory of each kind of task and method."""
    columns = (
        *("work", "method", "done", "failed", "median time", "longest", "total wall time", "total processor time"),
        *("peak memory", "device", "threads"),
    )
    rows = tuple(_work(row) for _, row in basis.costs.iterrows())
    return Table(title="All work", columns=columns, rows=rows, text_columns=2)


def _work(row: pd.Series) -> tuple[Cell, ...]:
    return (
        Cell(_TASKS.get(row["task"], row["task"])),
        Cell(row["method"]),
        Cell(str(row["n"]), row["n"]),
        Cell(str(row["failed"]), row["failed"], "lacking" if row["failed"] else ""),
        *(Cell(say.seconds(row[name]), row[name]) for name in ("median_s", "longest_s", "total_s", "total_cpu_s")),
        Cell(say.memory(row["peak_bytes"]), row["peak_bytes"]),
        Cell(row["device"], style="text"),
        Cell(row["threads"]),
    )


def cost_scatter(basis: Basis, needed: dict[str, Times]) -> Picture | None:
    """Mean Dice in the first test set against the time for a case, registrations included."""
    time_s = {method: one.whole_case_s for method, one in needed.items() if not math.isnan(one.whole_case_s)}
    if not time_s:
        return None
    axes = new_axes(FULL_IN, 3.2)
    first = basis.scores[0].test_set
    colour, marker = colours(basis.methods), markers(basis.methods)
    for method, seconds in time_s.items():
        row = basis.row(first, method, ALL_LABELS, "dice")
        dice = float("nan") if row is None else float(row["mean"])
        axes.plot(seconds, dice, marker=marker[method], color=colour[method], markersize=8)
        axes.annotate(in_lines(method), (seconds, dice), xytext=(8, 3), textcoords="offset points")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: say.seconds(value))
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.margins(x=0.12, y=0.2)
    axes.set_xlabel("median time to segment a case, registrations included")
    axes.set_ylabel("mean Dice")
    head(axes, f"{first}, {ALL_LABELS}")
    axes.grid(color=RULE, linewidth=0.6)
    listed = ", ".join(f"{m} {say.seconds(s)}" for m, s in time_s.items())
    alt = f"Mean Dice in test set {first} against the median time for a case, registrations included: {listed}."
    return finish(axes, name="accuracy-time", title="Accuracy against time", alt=alt)
