"""Whether methods do otherwise for some people: by the columns of `cases.tsv`."""

from collections.abc import Iterator, Mapping

import pandas as pd

from dlfbench.records.results import stacked
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.scores import Scores
from dlfbench.report.basis.subgroups import FEWEST_PERSONS, gaps, interactions
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.tables import Cell, Table

_MOST_VALUES = 6
_NOT_GROUPS = ("person", "session", "case", "labels")


def make(basis: Basis) -> Content | None:
    """Gaps between groups of people, and whether the difference of two methods depends on the group."""
    answers = [(gaps(*about), interactions(*about)) for about in _questions(basis)]
    between = stacked([table for table, _ in answers])
    depends = stacked([table for _, table in answers])
    if between.empty:
        return None
    tables = {"subgroups": gap_table(between)}
    frames = {"subgroups": between}
    if len(depends):
        tables["subgroup_interactions"], frames["subgroup_interactions"] = interaction_table(depends), depends
    return Content(text=[_NOTE], tables=tables, frames=frames)


SUBGROUPS = Section(name="subgroups", title="Groups of people", make=make, folded=True)

_NOTE = (
    f"Mean Dice over all labels. Groups of fewer than {FEWEST_PERSONS} people are left out, and people whose cases "
    "differ in the column; of a method without a result for some cases no gap is told. A gap says nothing of its "
    "cause: groups may differ in much else."
)


def _questions(basis: Basis) -> Iterator[tuple[Scores, tuple[str, ...], str, Mapping[str, str]]]:
    """Arguments of `gaps` and `interactions`: each main test set and each column that has few values there."""
    for name in basis.main_sets:
        scores = basis.scores_of(name)
        for column in basis.record.data.columns:
            value_of = {case: basis.record.case_column(case, column) for case in scores.cases}
            if column not in _NOT_GROUPS and 1 < len(_values(value_of)) <= _MOST_VALUES:
                yield scores, basis.methods, column, value_of


def _values(value_of: Mapping[str, str]) -> set[str]:
    return set(value_of.values()) - {""}


def gap_table(between: pd.DataFrame) -> Table:
    """Every method's gap between two groups."""
    columns = ("test set", "column", "groups", "method", "people", "gap", "95% CI", "p", "p (Holm)")
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell(row["column"]),
            Cell(f"{row['a']} − {row['b']}"),
            Cell(row["method"]),
            Cell(f"{row['persons_a']}, {row['persons_b']}"),
            Cell(say.fixed(row["gap"], 3, signed=True), row["gap"]),
            Cell(say.signed_limits(row["low"], row["high"]), row["low"]),
            Cell(say.p_value(row["p"]), row["p"]),
            Cell(say.p_value(row["p_holm"]), row["p_holm"]),
        )
        for _, row in between.iterrows()
    )
    note = "Welch's t test over people; Holm over the methods and groups of a test set and column."
    return Table(title="Gaps between groups", columns=columns, rows=rows, text_columns=4, note=note)


def interaction_table(depends: pd.DataFrame) -> Table:
    """Every pair of methods: does their difference depend on the group?"""
    columns = ("test set", "column", "a", "b", "people", "groups", "spread of a − b", "p", "p (Holm)")
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell(row["column"]),
            Cell(row["a"]),
            Cell(row["b"]),
            Cell(str(row["persons"]), row["persons"]),
            Cell(str(row["groups"]), row["groups"]),
            Cell(say.fixed(row["spread"], 3), row["spread"]),
            Cell(say.p_value(row["p"]), row["p"]),
            Cell(say.p_value(row["p_holm"]), row["p_holm"]),
        )
        for _, row in depends.iterrows()
    )
    note = "Welch's analysis of variance of the per-person differences; Holm over the pairs of a test set and column."
    title = "Does a difference of methods depend on the group?"
    return Table(title=title, columns=columns, rows=rows, text_columns=4, note=note)
