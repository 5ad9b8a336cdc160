"""Losses from the first test set, of every label and metric, and whether methods lose differently."""

import pandas as pd

from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.generalization import PERSON_COLUMNS, drop_differences, drops
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.tables import Cell, Table


def make(basis: Basis) -> Content | None:
    """Two tables to filter."""
    if len(basis.scores) < 2:
        return None
    losses, differences = drops(basis.scores, basis.methods), drop_differences(basis.scores, basis.methods)
    frames = {"losses": losses, "loss_differences": differences}
    return Content(
        # the columns of the files are those of published studies
        frames={name: frame.drop(columns=PERSON_COLUMNS) for name, frame in frames.items()},
        shown={"losses": loss_table(losses), "differences": difference_table(differences)},
    )


LOSSES = Section(name="losses", title="Losses", make=make, folded=True)


def loss_table(losses: pd.DataFrame) -> Table:
    """Loss of each method from the first test set to each other."""
    columns = ("test set", "label", "metric", "method", "people", "mean at home", "mean there", "loss", "95% CI")
    rows = tuple(
        (
            Cell(row["away"]),
            Cell(row["label"]),
            Cell(say.TITLES[row["metric"]]),
            Cell(row["method"]),
            _people(row),
            Cell(say.number(row["home_mean"], row["metric"]), row["home_mean"]),
            Cell(say.number(row["away_mean"], row["metric"]), row["away_mean"]),
            Cell(say.number(row["drop"], row["metric"], signed=True), row["drop"]),
            Cell(say.limits(row["low"], row["high"], row["metric"], signed=True), row["low"]),
        )
        for _, row in losses.iterrows()
    )
    filters = ("test set", "label", "metric")
    return Table(title="Loss from the first test set", columns=columns, rows=rows, text_columns=4, filters=filters)


def difference_table(differences: pd.DataFrame) -> Table:
    """Whether one method loses more Dice than another."""
    columns = ("test set", "label", "a", "b", "people", "loss of a − loss of b", "95% CI", "p", "p (Holm)")
    rows = tuple(
        (
            Cell(row["away"]),
            Cell(row["label"]),
            Cell(row["a"]),
            Cell(row["b"]),
            _people(row),
            Cell(say.fixed(row["difference"], 4, signed=True), row["difference"]),
            Cell(say.signed_limits(row["low"], row["high"]), row["low"]),
            Cell(say.p_value(row["p"]), row["p"]),
            Cell(say.p_value(row["p_holm"]), row["p_holm"]),
        )
        for _, row in differences.iterrows()
    )
    filters = ("test set", "label")
    return Table(title="Differences of losses, Dice", columns=columns, rows=rows, text_columns=4, filters=filters)


def _people(row: pd.Series) -> Cell:
    """How many have a value at home, and there."""
    return Cell(f"{row['home_persons']}, {row['away_persons']}", row["away_persons"])
