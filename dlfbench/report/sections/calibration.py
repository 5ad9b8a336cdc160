"""Whether shares can be taken at their word: calibration of the posteriors that a run kept."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from dlfbench.files import file_name
from dlfbench.metrics.calibration import BINS, MARGIN_MM
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.calibration import FEWEST_VOXELS, calibrated, reliability
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import (
    MOST_PANELS,
    Picture,
    against_diagonal,
    finish,
    head,
    legend_below,
    new_panels,
)
from dlfbench.report.shown.tables import Cell, Table


def make(basis: Basis) -> Content | None:
    """Reliability diagrams, expected calibration error and Brier score of methods that gave posteriors."""
    counts = basis.record.calibration
    if counts.empty:
        return None
    bins = calibrated(counts, basis.record.seed)
    without = [method for method in basis.methods if method not in set(counts["method"])]
    text = [_NOTE] + ([f"No posteriors of {', '.join(without)}."] if without else [])
    sets = [name for name in basis.main_sets if name in set(counts["test_set"])]
    pictures = [_diagram(counts[counts["test_set"] == name], name, basis) for name in sets]
    return Content(text=text, tables={"calibration": _table(bins)}, frames={"calibration": bins}, pictures=pictures)


CALIBRATION = Section(name="calibration", title="Calibration", make=make, folded=True)

_NOTE = (
    "Of the voxels to which a method gives a share of 0.8 for a label, 8 in 10 should have it. Voxels count within "
    f"{MARGIN_MM:g} mm of the box around the reference's foreground, the same voxels for every method; shares were "
    f"kept in steps of 1/255. A point of a diagram rests on {FEWEST_VOXELS} voxels at least."
)


def _table(found: pd.DataFrame) -> Table:
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell(row["label_name"]),
            Cell(row["method"]),
            Cell(str(row["persons"]), row["persons"]),
            *(cell for name in ("ece", "brier") for cell in _mean_and_limits(row, name)),
        )
        for _, row in found.iterrows()
    )
    note = (
        f"ECE: expected calibration error, the mean over voxels of the difference between share and truth in {BINS} "
        "equal bins of the share. Brier: mean squared difference between share and truth. Both of each person and "
        "training, then mean over a person's trainings, then over people with bootstrap interval; 0 is best. Much of "
        "the box is background that no method doubts, so values are small: compare methods, not studies."
    )
    columns = ("test set", "label", "method", "people", "ECE", "95% CI", "Brier", "95% CI ")
    return Table(title="Calibration", columns=columns, rows=rows, text_columns=3, note=note)


def _mean_and_limits(row: pd.Series, name: str) -> tuple[Cell, Cell]:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    limits = say.NONE if low != low else f"{say.fixed(low, 4)} to {say.fixed(high, 4)}"
    return Cell(say.fixed(row[name], 4), row[name]), Cell(limits, low)


def _diagram(counts: pd.DataFrame, test_set: str, basis: Basis) -> Picture:
    """A panel for each of few labels, else one for all."""
    labels = list(basis.record.labels)
    panels = {label: [label] for label in labels} if len(labels) <= MOST_PANELS else {"all labels": labels}
    methods = [method for method in basis.methods if method in set(counts["method"])]
    axes = new_panels(len(panels), methods)
    for panel, (title, chosen) in zip(axes, panels.items(), strict=True):
        _panel(panel, f"{test_set}, {title}", reliability(counts, chosen), methods, basis.methods)
    axes[0].set_ylabel("share that have the label")
    legend_below(axes[0])
    title = f"Reliability, {test_set}"
    alt = f"Share that have the label against the share given, {test_set}: {', '.join(methods)}."
    return finish(axes[0], name=file_name("calibration", test_set), title=title, alt=alt)


def _panel(axes: Axes, title: str, points: pd.DataFrame, methods: Sequence[str], every: Sequence[str]) -> None:
    of_method = {method: points[points["method"] == method] for method in methods}
    drawn = {method: (mine["expected"], mine["observed"]) for method, mine in of_method.items()}
    against_diagonal(axes, drawn, every)
    axes.set_xlabel("share given to the label")
    head(axes, title)
