"""Training curves, where a method left `curves.csv` beside its model.

One row per step; the first column is the step or epoch, each other column a curve such as `loss` or `dice`.
"""

import logging
from collections.abc import Iterator

import pandas as pd

from dlfbench.files import file_name
from dlfbench.records.folder import RunFolder
from dlfbench.records.record import Record
from dlfbench.report.basis.basis import Basis
from dlfbench.report.section import Content, Section
from dlfbench.report.shown.figure_style import HALF_IN, PALETTE, RULE, Picture, finish, head, legend_below, new_axes

log = logging.getLogger(__name__)


def make(basis: Basis) -> Content | None:
    """A figure for each method that left curves."""
    pictures = training_curves(basis.record)
    return Content(pictures=pictures) if pictures else None


TRAINING = Section(name="training", title="Training curves", make=make, folded=True)


def training_curves(record: Record) -> list[Picture]:
    """One picture per method that left curves: a colour per curve, a line per fold."""
    found: dict[str, list[pd.DataFrame]] = {}
    for method, curves in _read(record):
        found.setdefault(method, []).append(curves)
    return [_picture(method, found[method]) for method in record.methods if method in found]


def _read(record: Record) -> Iterator[tuple[str, pd.DataFrame]]:
    """(method, curves) of every fit that left some; what cannot be read is named in the log and left out."""
    names = {(origin.folder, origin.method): name for name, origin in record.origins.items()}
    for run in record.runs:
        folder = RunFolder(run.folder)
        for path in folder.curve_files():
            method = folder.names_of("fit", path.parent.name).get("method")
            if method is None:
                continue
            try:
                curves = pd.read_csv(path).select_dtypes("number")
            except (OSError, ValueError) as error:
                log.warning("report: no training curve of %s: %s", method, error)
                continue
            if len(curves.columns) > 1 and len(curves):
                yield names.get((run.folder, method), method), curves


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
