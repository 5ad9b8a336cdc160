"""Bland-Altman plots: the difference of two volumes against their mean, one panel per method, all on one scale."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dlfbench.files import file_name
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.basis.statistics import Array
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import BOUND_COLOUR, HALF_IN, Picture, colours, finish, head, new_axes


@dataclass(frozen=True, kw_only=True)
class Plot:
    """What is plotted.

    Attributes:
        kind: Of the file's name.
        what: Of which difference, for those who cannot see it.
        across: Name of the horizontal axis.
        up: Name of the vertical axis.
    """

    kind: str
    what: str
    across: str
    up: str


def rows_of(table: pd.DataFrame, test_set: str) -> pd.DataFrame:
    """The rows of one test set of the sum of labels, by method."""
    return table[(table["test_set"] == test_set) & (table["label"] == ALL_LABELS)].set_index("method")


def bland_altman(
    plot: Plot, volumes: Mapping[str, tuple[Array, Array]], rows: pd.DataFrame, *, test_set: str, methods: Sequence[str]
) -> list[Picture]:
    """One picture per method.

    Args:
        plot: What is plotted.
        volumes: By method, the two volumes of each case or pair, mm3.
        rows: By method, bias_mm3, low_mm3 and high_mm3.
        test_set: Its name.
        methods: Of the study, for their colours.
    """
    return [
        _with_lines(
            axes,
            rows.loc[method],
            name=file_name(plot.kind, test_set, method),
            title=f"{method}, {test_set}",
            what=plot.what,
        )
        for method, axes in _panels(plot, volumes, rows, colours(methods))
    ]


def _panels(
    plot: Plot, volumes: Mapping[str, tuple[Array, Array]], rows: pd.DataFrame, colour: Mapping[str, str]
) -> Iterator[tuple[str, Axes]]:
    """Axes with the points of each method, all on one scale: they are to be compared."""
    across = {method: (a + b) / 2 for method, (a, b) in volumes.items()}
    up = {method: a - b for method, (a, b) in volumes.items()}
    lines = rows.loc[list(volumes), ["low_mm3", "high_mm3"]].to_numpy(float).ravel()
    for method in volumes:
        if np.isnan(up[method]).all():
            continue
        axes = new_axes(HALF_IN, 2.7)
        axes.plot(across[method], up[method], "o", color=colour.get(method, BOUND_COLOUR), markersize=4, alpha=0.7)
        axes.set(xlim=_span(across), ylim=_span(up, [lines]), xlabel=plot.across, ylabel=plot.up)
        yield method, axes


def _span(values: Mapping[str, Array], extra: Sequence[Array] = ()) -> tuple[float, float]:
    """Limits around all values, with room for the limits of agreement."""
    every = np.concatenate([*values.values(), *extra])
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    room = max(0.12 * (high - low), 1e-6)
    return low - room, high + room


def _with_lines(axes: Axes, row: Any, *, name: str, title: str, what: str) -> Picture:
    """The lines of bias and limits of agreement, and what they say."""
    colour = axes.lines[0].get_color()
    axes.axhline(0, color=BOUND_COLOUR, linewidth=0.8)
    axes.axhline(row["bias_mm3"], color=colour, linewidth=1.6)
    for limit in (row["low_mm3"], row["high_mm3"]):
        axes.axhline(limit, color=colour, linewidth=1, linestyle="--")
    head(axes, title)
    bias, low, high = (say.fixed(row[name], 0, signed=True) for name in ("bias_mm3", "low_mm3", "high_mm3"))
    alt = f"Bland-Altman plot {what}, {title}: bias {bias} mm³, limits of agreement {low} to {high} mm³."
    return finish(axes, name=name, title=f"Volumes, {title}", alt=alt)
