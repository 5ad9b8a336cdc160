"""What each method loses from the first test set to the others, and by severity of changes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dlfbench.datasets.shifts import KINDS
from dlfbench.files import file_name
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.generalization import drops
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.basis.severity import Series, changed_sets, series_of
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import (
    FULL_IN,
    HALF_IN,
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
from dlfbench.report.shown.tables import Cell, Table


def make(basis: Basis) -> Content | None:
    """The means side by side, and a table of losses in Dice."""
    if len(basis.scores) < 2:
        return None
    pictures = [*(picture for picture in [generalization_plot(basis)] if picture), *severity_plots(basis)]
    return Content(
        tables={"losses": loss_table(basis, drops(basis.scores, basis.methods))},
        pictures=pictures,
        shown={"home": basis.scores[0].test_set, "severity": bool(changed_sets(basis.record))},
    )


GENERALIZATION = Section(name="generalization", title="Generalization", make=make)


def loss_table(basis: Basis, losses: pd.DataFrame) -> Table:
    """Methods by score, and what each loses of its Dice over all labels in each other test set."""
    rows = losses[(losses["metric"] == "dice") & (losses["label"] == ALL_LABELS)]
    row_of = {(row["method"], row["away"]): row for _, row in rows.iterrows()}
    home, persons = len(basis.scores[0].persons), {scores.test_set: len(scores.persons) for scores in basis.scores[1:]}
    return Table(
        title=f"Loss of mean Dice, {ALL_LABELS}, from {basis.scores[0].test_set}",
        columns=("method", *persons),
        rows=tuple(
            (Cell(m), *(_loss(row_of[m, name], home, persons[name]) for name in persons)) for m in basis.by_score
        ),
    )


def _loss(row: pd.Series, home: int, away: int) -> Cell:
    """The loss with its interval, and how many have a value where not all of so many people have one."""
    style = "worse" if row["low"] > 0 else "better" if row["high"] < 0 else ""
    interval = say.limits(row["low"], row["high"], "dice", signed=True)
    few = [f"{row['home_persons']} of {home} people at home"] if row["home_persons"] < home else []
    few += [f"{row['away_persons']} of {away} people"] if row["away_persons"] < away else []
    return Cell(say.number(row["drop"], "dice", signed=True), row["drop"], style, detail="; ".join([interval, *few]))


def generalization_plot(basis: Basis) -> Picture | None:
    """Mean Dice with its interval of every method in every test set, those by severity of a shift left out."""
    names = [scores.test_set for scores in basis.scores if scores.test_set not in changed_sets(basis.record)]
    if len(names) < 2:
        return None
    axes, said = _means(basis, names, range(len(names)), width_in=FULL_IN, room=0.5, linestyle="")
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    head(axes, f"Mean Dice, {ALL_LABELS}, with 95% CI")
    alt = f"Mean Dice over all labels of each method in {', '.join(names)}, with intervals. {said}."
    return finish(axes, name="generalization", title="Mean Dice in each test set", alt=alt)


def severity_plots(basis: Basis) -> list[Picture]:
    """Mean Dice over all labels with its interval against severity: a figure for each kind of shift."""
    return [_severity_plot(basis, *key, sets) for key, sets in series_of(basis.record).items()]


def _severity_plot(basis: Basis, kind: str, source: str, sets: Series) -> Picture:
    axes, said = _means(basis, list(sets.values()), list(sets), width_in=HALF_IN, room=0.24, linestyle="-")
    amounts = KINDS[kind].amounts
    axes.set_xticks(list(sets), [f"{s} ({amounts[s - 1]:g})" if s else "unchanged" for s in sets])
    axes.set_xlabel(f"severity ({KINDS[kind].what})")
    head(axes, f"{kind} of {source}: mean Dice, {ALL_LABELS}")
    alt = f"Mean Dice over all labels against the severity of {kind}, changed copies of {source}. {said}."
    return finish(axes, name=file_name("severity", kind, source), title=f"Dice by severity of {kind}", alt=alt)


def _means(
    basis: Basis, test_sets: Sequence[str], places: Sequence[int], *, width_in: float, room: float, linestyle: str
) -> tuple[Axes, str]:
    """Each method's mean Dice with its interval in each test set, at that place; what is drawn, in words.

    Methods stand beside each other in `room`, so that their intervals can be told apart.
    """
    axes = new_axes(width_in, 2.5 + legend_in(basis.methods))
    colour, marker = colours(basis.methods), markers(basis.methods)
    style: dict[str, Any] = {"markersize": 5, "linewidth": 1.2, "linestyle": linestyle}
    count = len(basis.methods)
    said = []
    for rank, method in enumerate(basis.methods):
        rows = [basis.row(name, method, ALL_LABELS, "dice") for name in test_sets]
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
