"""Mean Dice of every method across test sets: side by side, and against the severity of each kind of shift."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from dlfbench.datasets.shifts import KINDS
from dlfbench.files import file_name
from dlfbench.report.basis.analysis import Analysis
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.basis.severity import Series, changed_sets, series_of
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import (
    RULE,
    Picture,
    colours,
    finish,
    head,
    legend_below,
    legend_in,
    markers,
    new_axes,
)

_WIDTH_IN = 4.4


def generalization_plot(analysis: Analysis) -> Picture | None:
    """Mean Dice with its interval of every method in every test set, those by severity of a shift left out."""
    names = [scores.test_set for scores in analysis.scores if scores.test_set not in changed_sets(analysis.record)]
    if len(names) < 2:
        return None
    axes, said = _means(analysis, names, range(len(names)), room=0.5, linestyle="")
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    head(axes, f"Mean Dice, {ALL_LABELS}, with 95% CI")
    alt = f"Mean Dice over all labels of each method in {', '.join(names)}, with intervals. {said}."
    return finish(axes, name="generalization", title="Mean Dice in each test set", alt=alt)


def severity_plots(analysis: Analysis) -> list[Picture]:
    """Mean Dice over all labels with its interval against severity: a figure for each kind of shift."""
    return [_severity_plot(analysis, *key, sets) for key, sets in series_of(analysis.record).items()]


def _severity_plot(analysis: Analysis, kind: str, source: str, sets: Series) -> Picture:
    axes, said = _means(analysis, list(sets.values()), list(sets), room=0.24, linestyle="-")
    amounts = KINDS[kind].amounts
    axes.set_xticks(list(sets), [f"{s} ({amounts[s - 1]:g})" if s else "unchanged" for s in sets])
    axes.set_xlabel(f"severity ({KINDS[kind].what})")
    head(axes, f"{kind} of {source}: mean Dice, {ALL_LABELS}")
    alt = f"Mean Dice over all labels against the severity of {kind}, changed copies of {source}. {said}."
    return finish(axes, name=file_name("severity", kind, source), title=f"Dice by severity of {kind}", alt=alt)


def _means(
    analysis: Analysis, test_sets: Sequence[str], places: Sequence[int], *, room: float, linestyle: str
) -> tuple[Axes, str]:
    """Each method's mean Dice with its interval in each test set, at that place; what is drawn, in words.

    Methods stand beside each other in `room`, so that their intervals can be told apart.
    """
    axes = new_axes(_WIDTH_IN, 2.8 + legend_in(analysis.methods))
    colour, marker = colours(analysis.methods), markers(analysis.methods)
    style: dict[str, Any] = {"markersize": 5, "linewidth": 1.2, "linestyle": linestyle}
    count = len(analysis.methods)
    said = []
    for rank, method in enumerate(analysis.methods):
        rows = [analysis.row(name, method, ALL_LABELS, "dice") for name in test_sets]
        mean, low, high = (
            np.array([np.nan if row is None else float(row[column]) for row in rows])
            for column in ("mean", "low", "high")
        )
        place = np.array([*places]) + room * ((rank + 0.5) / count - 0.5)
        axes.vlines(place, low, high, color=colour[method], linewidth=1.4)
        axes.plot(place, mean, marker=marker[method], color=colour[method], label=method, **style)
        said.append(f"{method}: " + ", ".join(say.number(value, "dice") for value in mean))
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    legend_below(axes)
    return axes, "; ".join(said)
