"""Every pair of methods, in every test set, label and metric."""

import pandas as pd

from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.comparison import MANY_METHODS
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.tables import Cell, Table


def make(basis: Basis) -> Content | None:
    """A table to filter; for papers, Dice over all labels."""
    if len(basis.methods) < 2:
        return None
    table = comparison_table(basis)
    paper = table.where(label=ALL_LABELS, metric=say.TITLES["dice"])
    return Content(frames={"comparisons": basis.comparisons}, tables={"comparisons": paper}, shown={"table": table})


COMPARISONS = Section(name="comparisons", title="All pairs", make=make, folded=True)


def comparison_table(basis: Basis) -> Table:
    """Every pair of methods; with many methods only over all labels (the files hold the rest)."""
    rows = basis.comparisons
    if len(basis.methods) > MANY_METHODS:
        rows = rows[rows["label"] == ALL_LABELS]
    columns = (
        *("test set", "label", "metric", "a", "b", "persons", "a − b", "95% CI", "p", "p (Holm)", "effect"),
        *("win/tie/loss", "p permutation", "p equivalent", "verdict"),
    )
    cells = tuple(_row(row) for _, row in rows.iterrows())
    filters = ("test set", "label", "metric")
    return Table(title="All pairs of methods", columns=columns, rows=cells, text_columns=5, filters=filters)


def _row(row: pd.Series) -> tuple[Cell, ...]:
    metric = row["metric"]
    return (
        Cell(row["test_set"]),
        Cell(row["label"]),
        Cell(say.TITLES[metric]),
        Cell(row["a"]),
        Cell(row["b"]),
        Cell(str(row["persons"]), row["persons"]),
        Cell(say.fixed(row["difference"], 4, signed=True), row["difference"]),
        Cell(say.signed_limits(row["low"], row["high"]), row["low"]),
        Cell(say.p_value(row["p"]), row["p"]),
        Cell(say.p_value(row["p_holm"]), row["p_holm"]),
        Cell(say.fixed(row["effect"], 2, signed=True), row["effect"]),
        Cell(f"{row['wins']}/{row['ties']}/{row['losses']}", row["wins"]),
        Cell(say.p_value(row["p_permutation"]), row["p_permutation"]),
        Cell(say.p_value(row["p_equivalent"]), row["p_equivalent"]),
        Cell(say.verdict(row), style="text"),
    )
