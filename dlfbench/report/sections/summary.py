"""Every test set, label, metric and method."""

import pandas as pd

from dlfbench.report.basis.basis import Basis
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.tables import Cell, Table, coverage, mean_style


def make(basis: Basis) -> Content:
    """A table to filter."""
    return Content(frames={"summary": basis.summary}, shown={"table": summary_table(basis)})


SUMMARY = Section(name="summary", title="All metrics", make=make, folded=True)


def summary_table(basis: Basis) -> Table:
    """One row per row of the summary."""
    columns = (
        *("test set", "label", "metric", "method", "n/N", "empty", "mean", "sd", "median", "IQR", "95% CI of mean"),
        "mark",
    )
    rows = tuple(_row(row) for _, row in basis.summary.iterrows())
    filters = ("test set", "label", "metric")
    return Table(title="All metrics", columns=columns, rows=rows, text_columns=4, filters=filters)


def _row(row: pd.Series) -> tuple[Cell, ...]:
    metric = row["metric"]
    sd, median = (Cell(say.number(row[name], metric), row[name]) for name in ("sd", "median"))
    return (
        Cell(row["test_set"]),
        Cell(row["label"]),
        Cell(say.TITLES[metric]),
        Cell(say.method_title(row["method"]), style="bound" if row["kind"] == "bound" else ""),
        coverage(row),
        Cell(str(row["empty"]), row["empty"]),
        Cell(say.number(row["mean"], metric), row["mean"], mean_style(row)),
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
