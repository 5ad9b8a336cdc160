"""Training curves and tried settings, where a method left `curves.csv` or `tried.csv` beside its model.

`curves.csv`: one row per step; the first column is the step or epoch, each other column a curve such as `loss` or
`dice`. `tried.csv`: the columns settings and dice (on training cases), first the method as it is.
"""

import logging
from collections.abc import Iterator

import pandas as pd

from dlfbench.files import file_name
from dlfbench.records.folder import RunFolder
from dlfbench.records.record import Record
from dlfbench.report.basis.basis import Basis
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import HALF_IN, PALETTE, RULE, Picture, finish, head, legend_below, new_axes
from dlfbench.report.shown.tables import Cell, Table

CURVES, TRIED = "curves.csv", "tried.csv"

log = logging.getLogger(__name__)


def make(basis: Basis) -> Content | None:
    """A figure for each method that left curves; a line for each fit that chose settings."""
    pictures, chosen = training_curves(basis.record), chosen_settings(basis.record)
    if not pictures and not chosen.rows:
        return None
    return Content(tables={"chosen": chosen} if chosen.rows else {}, pictures=pictures)


TRAINING = Section(name="training", title="Training", make=make, folded=True)


def training_curves(record: Record) -> list[Picture]:
    """One picture per method that left curves: a colour per curve, a line per fold."""
    found: dict[str, list[pd.DataFrame]] = {}
    for method, _, table in _read(record, CURVES):
        curves = table.select_dtypes("number")
        if len(curves.columns) > 1 and len(curves):
            found.setdefault(method, []).append(curves)
    return [_picture(method, found[method]) for method in record.methods if method in found]


def chosen_settings(record: Record) -> Table:
    """The settings that each fit chose of those that it tried on training cases."""
    folds = {fold.index for fold in record.folds}  # others are of learning curves
    tried = [one for one in _read(record, TRIED) if one[0] in record.methods and one[1] in folds]
    return Table(
        title="Settings chosen on training cases",
        columns=("method", "fold", "settings chosen", "Dice with these", "Dice as it is", "settings tried"),
        rows=tuple(_chosen(*one) for one in sorted(tried, key=lambda one: (record.methods.index(one[0]), one[1]))),
        note="Chosen by the mean Dice of the training cases, each segmented by what knows nothing of its person.",
    )


def _chosen(method: str, fold: int, tried: pd.DataFrame) -> tuple[Cell, ...]:
    best = tried.iloc[int(tried["dice"].fillna(-1).argmax())]
    dice = (Cell(say.number(value, "dice"), value) for value in (best["dice"], tried["dice"].iloc[0]))
    return Cell(method), Cell(str(fold), fold), Cell(best["settings"], style="text"), *dice, Cell(str(len(tried)))


def _read(record: Record, file: str) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """(method, fold, table) of every fit that left such a file; what cannot be read is left out, and in the log."""
    names = {(origin.folder, origin.method): name for name, origin in record.origins.items()}
    for run in record.runs:
        folder = RunFolder(run.folder)
        for path in folder.left_by_fits(file):
            about = folder.names_of("fit", path.parent.name)
            method = about.get("method")
            if method is None:
                continue
            try:
                table = pd.read_csv(path)
            except (OSError, ValueError) as error:
                log.warning("report: no %s of %s: %s", file, method, error)
                continue
            yield names.get((run.folder, method), method), int(about.get("fold", 0)), table


def _picture(method: str, folds: list[pd.DataFrame]) -> Picture:
    axes = new_axes(HALF_IN, 2.9)
    for curves in folds:
        for place, name in enumerate(curves.columns[1:]):
            colour = PALETTE[place % len(PALETTE)]
            label = name if curves is folds[0] else None
            axes.plot(curves.iloc[:, 0], curves[name], color=colour, linewidth=1.2, alpha=0.8, label=label)
    axes.set_xlabel(str(folds[0].columns[0]))
    axes.grid(color=RULE, linewidth=0.6)
    head(axes, f"Training of {method}")
    legend_below(axes)
    last = ", ".join(f"{name} {folds[0][name].iloc[-1]:.3g}" for name in folds[0].columns[1:])
    alt = f"Training curves of {method}, one line per fit ({len(folds)}). At the end of the first: {last}."
    return finish(axes, name=file_name("training", method), title=f"Training of {method}", alt=alt)
