"""Two scans of one person: how much their segmentations differ."""

import pandas as pd

from dlfbench.records.results import stacked
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.repeatability import REFERENCE, repeatability, repeated_scans, repeated_volumes
from dlfbench.report.basis.scores import ALL_LABELS, Scores
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.bland_altman import Plot, bland_altman, rows_of
from dlfbench.report.shown.figure_style import Picture
from dlfbench.report.shown.tables import Cell, Table, limits_cell

_MANY_PLOTS = 6
_PLOT = Plot(
    kind="repeatability",
    what="of the first less the second scan's volume",
    across="mean volume of the two scans (mm³)",
    up="first − second scan (mm³)",
)


def make(basis: Basis) -> Content | None:
    """A table to filter, and a figure of each of few methods and of the references."""
    tables = [repeatability(basis.record, one, basis.methods) for one in basis.scores]
    table = stacked(tables)
    if table.empty:
        return None
    few = len(basis.methods) <= _MANY_PLOTS
    return Content(
        tables={"repeatability": repeatability_table(table)},
        frames={"repeatability": table},
        pictures=[plot for one in basis.scores if few for plot in repeat_plots(basis, one, table)],
        shown={"aligned": bool((table["dice_pairs"] > 0).any())},
    )


REPEATABILITY = Section(name="repeatability", title="Repeatability", make=make, folded=True)


def repeatability_table(found: pd.DataFrame) -> Table:
    """Volume differences between two scans of a person, and Dice of the two segmentations."""
    columns = (
        *("test set", "label", "method", "pairs", "mean |difference| (%)", "sd of difference (%)", "bias (mm³)"),
        *("limits of agreement (mm³)", "Dice, aligned"),
    )
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell("sum of labels" if row["label"] == ALL_LABELS else row["label"]),
            Cell(row["method"], style="bound" if row["method"] == REFERENCE else ""),
            Cell(str(row["pairs"]), row["pairs"]),
            Cell(say.fixed(row["difference_percent"], 1), row["difference_percent"]),
            Cell(say.fixed(row["spread_percent"], 1), row["spread_percent"]),
            Cell(say.fixed(row["bias_mm3"], 0, signed=True), row["bias_mm3"]),
            limits_cell(row, "mm3", 0),
            Cell(say.number(row["dice"], "dice"), row["dice"]),
        )
        for _, row in found.iterrows()
    )
    return Table(
        title="Two scans of one person", columns=columns, rows=rows, text_columns=3, filters=("test set", "label")
    )


def repeat_plots(basis: Basis, scores: Scores, found: pd.DataFrame) -> list[Picture]:
    """First less second scan's volume against their mean, the sum of labels; one per method, and of the references."""
    pairs = repeated_scans(basis.record, scores)
    if not pairs:
        return []
    every = repeated_volumes(scores, basis.methods, pairs)
    volumes = {method: (volume[0, :, -1], volume[1, :, -1]) for method, volume in every.items()}
    rows = rows_of(found, scores.test_set)
    return bland_altman(_PLOT, volumes, rows, test_set=scores.test_set, methods=basis.methods)
