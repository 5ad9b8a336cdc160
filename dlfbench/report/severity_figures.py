"""What methods withstand: mean Dice against the severity of each kind of shift."""

import numpy as np
from matplotlib.axes import Axes

from dlfbench.files import file_name
from dlfbench.report import format as say
from dlfbench.report.analysis import Analysis
from dlfbench.report.figure_style import (
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
from dlfbench.report.scores import ALL_LABELS
from dlfbench.report.severity import Series, series_of
from dlfbench.shifts import KINDS

_WIDTH_IN = 4.4


def severity_plots(analysis: Analysis) -> list[Picture]:
    """Mean Dice over all labels with its interval against severity: a figure for each kind of shift."""
    return [_severity_plot(analysis, *key, sets) for key, sets in series_of(analysis.record).items()]


def _severity_plot(analysis: Analysis, kind: str, source: str, sets: Series) -> Picture:
    axes = new_axes(_WIDTH_IN, 2.7 + legend_in(analysis.methods))
    said = _draw(axes, analysis, sets)
    amounts = KINDS[kind].amounts
    axes.set_xticks(list(sets), [f"{s} ({amounts[s - 1]:g})" if s else "unchanged" for s in sets])
    axes.set_xlabel(f"severity ({KINDS[kind].what})")
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    head(axes, f"{kind} of {source}: mean Dice, {ALL_LABELS}")
    legend_below(axes)
    alt = f"Mean Dice over all labels against the severity of {kind}, changed copies of {source}. {'; '.join(said)}."
    return finish(axes, name=file_name("severity", kind, source), title=f"Dice by severity of {kind}", alt=alt)


def _draw(axes: Axes, analysis: Analysis, sets: Series) -> list[str]:
    """A line for each method; what it shows, in words."""
    colour, marker = colours(analysis.methods), markers(analysis.methods)
    spread = np.linspace(-0.12, 0.12, len(analysis.methods)) if len(analysis.methods) > 1 else np.zeros(1)
    said = []
    for method, shift in zip(analysis.methods, spread, strict=True):
        rows = [analysis.row(name, method, ALL_LABELS, "dice") for name in sets.values()]
        mean, low, high = (
            np.array([np.nan if row is None else float(row[column]) for row in rows])
            for column in ("mean", "low", "high")
        )
        place = np.array([*sets]) + shift
        axes.vlines(place, low, high, color=colour[method], linewidth=1.2)
        axes.plot(place, mean, marker=marker[method], color=colour[method], markersize=5, linewidth=1.2, label=method)
        said.append(f"{method}: " + ", ".join(say.number(value, "dice") for value in mean))
    return said
