"""Volumes as figures: against the reference, and between two scans of a person."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dlfbench.files import file_name
from dlfbench.report.basis.analysis import Analysis
from dlfbench.report.basis.repeatability import repeated_scans, repeated_volumes
from dlfbench.report.basis.scores import ALL_LABELS, Scores
from dlfbench.report.basis.statistics import Array
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import (
    BOUND_COLOUR,
    RULE,
    Picture,
    colours,
    finish,
    head,
    in_lines,
    markers,
    new_axes,
)

_WIDTH_IN = 4.4


def bland_altman(analysis: Analysis, scores: Scores) -> list[Picture]:
    """Predicted less reference volume against their mean, the sum of all labels of each case; one per method."""
    rows = _rows(analysis.volumes, scores)
    volumes = {
        method: tuple(
            scores.volumes_mm3[f"{who}_volume_mm3"][:, scores.methods.index(method), -1]
            for who in ("prediction", "reference")
        )
        for method in analysis.methods
    }
    return [
        _bland_altman(
            axes,
            rows.loc[method],
            name=file_name("volume", scores.test_set, method),
            title=f"{method}, {scores.test_set}",
            what="of predicted less reference volume",
        )
        for method, axes in _panels(
            analysis, volumes, rows, ("mean of predicted and reference volume (mm³)", "predicted − reference (mm³)")
        )
    ]


def repeat_plots(analysis: Analysis, scores: Scores) -> list[Picture]:
    """First less second scan's volume against their mean, the sum of labels; one per method, and of the references."""
    pairs = repeated_scans(analysis.record, scores)
    if not pairs:
        return []
    rows = _rows(analysis.repeatability, scores)
    volumes = {
        method: (found[0, :, -1], found[1, :, -1])
        for method, found in repeated_volumes(scores, analysis.methods, pairs).items()
    }
    return [
        _bland_altman(
            axes,
            rows.loc[method],
            name=file_name("repeatability", scores.test_set, method),
            title=f"{method}, {scores.test_set}",
            what="of the first less the second scan's volume",
        )
        for method, axes in _panels(
            analysis, volumes, rows, ("mean volume of the two scans (mm³)", "first − second scan (mm³)")
        )
    ]


def _rows(table: pd.DataFrame, scores: Scores) -> pd.DataFrame:
    return table[(table["test_set"] == scores.test_set) & (table["label"] == ALL_LABELS)].set_index("method")


def _panels(
    analysis: Analysis, volumes: Mapping[str, tuple[Array, ...]], rows: pd.DataFrame, names: tuple[str, str]
) -> Iterator[tuple[str, Axes]]:
    """Axes with the points of each method, all on one scale: they are to be compared."""
    colour = colours(analysis.methods)
    across = {method: (a + b) / 2 for method, (a, b) in volumes.items()}
    up = {method: a - b for method, (a, b) in volumes.items()}
    lines = rows.loc[list(volumes), ["low_mm3", "high_mm3"]].to_numpy(float).ravel()
    for method in volumes:
        if np.isnan(up[method]).all():
            continue
        axes = new_axes(_WIDTH_IN, 2.7)
        axes.plot(across[method], up[method], "o", color=colour.get(method, BOUND_COLOUR), markersize=4, alpha=0.7)
        axes.set(xlim=_span(across), ylim=_span(up, [lines]), xlabel=names[0], ylabel=names[1])
        yield method, axes


def _span(values: Mapping[str, Array], extra: Sequence[Array] = ()) -> tuple[float, float]:
    """Limits around all values, with room for the limits of agreement."""
    every = np.concatenate([*values.values(), *extra])
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    room = max(0.12 * (high - low), 1e-6)
    return low - room, high + room


def _bland_altman(axes: Axes, row: Any, *, name: str, title: str, what: str) -> Picture:
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


def agreement_plot(analysis: Analysis, scores: Scores) -> Picture:
    """Bias and limits of agreement of the summed volume in percent of the reference, one line per method."""
    rows = _rows(analysis.volumes, scores)
    methods = [method for method in analysis.methods if method in rows.index]
    axes = new_axes(_WIDTH_IN, 0.9 + 0.36 * len(methods))
    colour, marker = colours(analysis.methods), markers(analysis.methods)
    for place, method in enumerate(methods):
        row = rows.loc[method]
        axes.hlines(place, row["low_percent"], row["high_percent"], color=colour[method], linewidth=1.6)
        axes.plot(row["bias_percent"], place, marker=marker[method], color=colour[method], markersize=6)
    axes.axvline(0, color=BOUND_COLOUR, linewidth=0.8)
    axes.set_yticks(range(len(methods)), [in_lines(method) for method in methods])
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlabel("predicted − reference volume, % of reference")
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    head(axes, f"{scores.test_set}, sum of labels")
    said = "; ".join(f"{m} {say.fixed(rows['bias_percent'][m], 1, signed=True)}%" for m in methods)
    alt = f"Bias of the summed volume with 95% limits of agreement in test set {scores.test_set}: {said}."
    return finish(axes, name=file_name("volume-agreement", scores.test_set), title="Volumes of all methods", alt=alt)
