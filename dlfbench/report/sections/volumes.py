"""Predicted against reference volumes: bias and limits of agreement."""

import pandas as pd

from dlfbench.files import file_name
from dlfbench.records.results import stacked
from dlfbench.report.basis.agreement import volume_agreement
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.scores import ALL_LABELS, Scores
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.bland_altman import Plot, bland_altman, rows_of
from dlfbench.report.shown.figure_style import (
    BOUND_COLOUR,
    HALF_IN,
    RULE,
    Picture,
    colours,
    finish,
    head,
    in_lines,
    markers,
    new_axes,
    rows_in,
)
from dlfbench.report.shown.tables import Cell, Table, limits_cell

_MANY_PLOTS = 6
_PLOT = Plot(
    kind="volume",
    what="of predicted less reference volume",
    across="mean of predicted and reference volume (mm³)",
    up="predicted − reference (mm³)",
)


def make(basis: Basis) -> Content:
    """A table to filter, all methods in one figure per test set, and each of few in one of its own."""
    volumes = stacked([volume_agreement(one, basis.methods) for one in basis.scores])
    table = volume_table(volumes)
    pictures = [agreement_plot(basis, name, volumes) for name in basis.main_sets]
    if len(basis.methods) <= _MANY_PLOTS:
        pictures += [plot for name in basis.main_sets for plot in volume_plots(basis, basis.scores_of(name), volumes)]
    return Content(tables={"volumes": table}, frames={"volumes": volumes}, pictures=pictures)


VOLUMES = Section(name="volumes", title="Volumes", make=make, folded=True)


def volume_table(volumes: pd.DataFrame) -> Table:
    """Bias and limits of agreement of volumes."""
    columns = (
        *("test set", "label", "method", "n", "mean reference (mm³)", "bias (mm³)", "limits of agreement (mm³)"),
        *("bias (%)", "limits of agreement (%)", "correlation"),
    )
    rows = tuple(_volume_row(row) for _, row in volumes.iterrows() if row["n"])
    return Table(title="Volumes", columns=columns, rows=rows, text_columns=3, filters=("test set", "label"))


def _volume_row(row: pd.Series) -> tuple[Cell, ...]:
    label = "sum of labels" if row["label"] == ALL_LABELS else row["label"]
    return (
        Cell(row["test_set"]),
        Cell(label),
        Cell(row["method"]),
        Cell(str(row["n"]), row["n"]),
        Cell(say.fixed(row["reference_mm3"], 0), row["reference_mm3"]),
        Cell(say.fixed(row["bias_mm3"], 0, signed=True), row["bias_mm3"]),
        limits_cell(row, "mm3", 0),
        Cell(say.fixed(row["bias_percent"], 1, signed=True), row["bias_percent"]),
        limits_cell(row, "percent", 1),
        Cell(say.fixed(row["correlation"], 3), row["correlation"]),
    )


def volume_plots(basis: Basis, scores: Scores, volumes: pd.DataFrame) -> list[Picture]:
    """Predicted less reference volume against their mean, the sum of all labels of each case; one per method."""
    pairs = {
        method: (
            scores.volumes_mm3["prediction_volume_mm3"][:, scores.methods.index(method), -1],
            scores.volumes_mm3["reference_volume_mm3"][:, scores.methods.index(method), -1],
        )
        for method in basis.methods
    }
    rows = rows_of(volumes, scores.test_set)
    return bland_altman(_PLOT, pairs, rows, test_set=scores.test_set, methods=basis.methods)


def agreement_plot(basis: Basis, test_set: str, table: pd.DataFrame) -> Picture:
    """Bias and limits of agreement of the summed volume in percent of the reference, one line per method."""
    rows = rows_of(table, test_set)
    methods = [method for method in basis.methods if method in rows.index]
    axes = new_axes(HALF_IN, 0.9 + rows_in(methods))
    colour, marker = colours(basis.methods), markers(basis.methods)
    for place, method in enumerate(methods):
        row = rows.loc[method]
        axes.hlines(place, row["low_percent"], row["high_percent"], color=colour[method], linewidth=1.6)
        axes.plot(row["bias_percent"], place, marker=marker[method], color=colour[method], markersize=6)
    axes.axvline(0, color=BOUND_COLOUR, linewidth=0.8)
    axes.set_yticks(range(len(methods)), [in_lines(method) for method in methods])
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlabel("predicted − reference volume, % of reference")
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    head(axes, f"{test_set}, sum of labels")
    said = "; ".join(f"{m} {say.fixed(rows['bias_percent'][m], 1, signed=True)}%" for m in methods)
    alt = f"Bias of the summed volume with 95% limits of agreement in test set {test_set}: {said}."
    return finish(axes, name=file_name("volume-agreement", test_set), title="Volumes of all methods", alt=alt)
