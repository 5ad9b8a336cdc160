"""Where the Dice is lost: what is worth improving."""

import pandas as pd

from dlfbench.records.results import stacked
from dlfbench.report.basis.account import registers
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.basis.shares import ORACLE, lost, means_of_atlases, single_atlases
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import (
    FULL_IN,
    PALETTE,
    Picture,
    finish,
    head,
    in_lines,
    legend_below,
    new_axes,
    rows_in,
)
from dlfbench.report.shown.tables import Cell, Table

_COLOURS = {"registration": PALETTE[1], "fusion": PALETTE[0], "network": PALETTE[2]}


def make(basis: Basis) -> Content | None:
    """What each method loses to registration, to fusion or to its network, and what single atlases are worth."""
    uses = {
        method: "cases" in found for method in basis.methods if (found := registers(basis.record, method)) is not None
    }
    if ORACLE not in basis.bounds or not uses:
        return None
    shares = stacked([lost(basis.scores_of(name), uses) for name in basis.main_sets])
    if shares.empty:  # every method failed
        return None
    candidates = basis.record.candidates
    singles, atlases = single_atlases(candidates, basis.labels), means_of_atlases(candidates)
    return Content(
        text=[_NOTE],
        tables={"lost": lost_table(shares), **({"single_atlases": atlas_table(singles)} if len(singles) else {})},
        frames={"lost": shares, **({"single_atlases": singles, "atlases": atlases} if len(singles) else {})},
        pictures=[_bars(shares, name) for name in basis.main_sets],
    )


SHARES = Section(name="lost", title="Where Dice is lost", make=make, folded=True)

_NOTE = (
    "The oracle is right wherever any atlas carries the true label. What it lacks of 1 is lost to registration: no "
    "fusion of these atlases can have it. What a method lacks of the oracle is lost to fusion; with the oracle's "
    "choice of votes it would have so much more. Below 0: a network that sees what no atlas has. A method without "
    "atlases loses all to its network."
)


def lost_table(shares: pd.DataFrame) -> Table:
    """Every method and label."""
    columns = ("test set", "label", "method", "people", "Dice", "lost to registration", "to fusion", "to the network")
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell(row["label"]),
            Cell(row["method"]),
            Cell(str(row["persons"]), row["persons"]),
            *(Cell(say.number(row[name], "dice"), row[name]) for name in ("dice", "registration", "fusion", "network")),
            Cell(say.signed_limits(row["low"], row["high"]), row["low"]),
        )
        for _, row in shares.iterrows()
    )
    note = "Means over people; interval of oracle − method: bootstrap over people."
    heads = (*columns, "95% CI, oracle − method")
    return Table(title="Lost Dice", columns=heads, rows=rows, text_columns=3, note=note, filters=("test set", "label"))


def atlas_table(singles: pd.DataFrame) -> Table:
    """What one atlas alone is worth, and what choosing among them could give."""
    columns = ("test set", "label", "atlases", "cases", "one atlas", "sd of atlases", "best atlas for all")
    values = ("mean", "sd_atlases", "best_atlas", "best_of_case", "worst_of_case")
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell(row["label"]),
            Cell(str(row["atlases"]), row["atlases"]),
            Cell(str(row["cases"]), row["cases"]),
            *(Cell(say.number(row[name], "dice"), row[name]) for name in values),
        )
        for _, row in singles.iterrows()
    )
    note = "Dice of labels warped from one atlas. The best and worst of each case are chosen by the reference."
    heads = (*columns, "best of each case", "worst of each case")
    return Table(title="Single atlases", columns=heads, rows=rows, text_columns=2, note=note)


def _bars(shares: pd.DataFrame, test_set: str) -> Picture:
    """Stacked bars of lost Dice over all labels, methods below each other."""
    rows = shares[(shares["test_set"] == test_set) & (shares["label"] == ALL_LABELS)]
    axes = new_axes(FULL_IN, 1.2 + rows_in(list(rows["method"])))
    parts = rows[list(_COLOURS)].fillna(0.0)
    gained = parts.clip(upper=0).sum(axis=1)  # what fusion has beyond the oracle shortens the rest: a bar is the loss
    start = pd.Series(0.0, rows.index)
    for name, colour in _COLOURS.items():
        width = (parts[name].clip(lower=0) + gained).clip(lower=0)
        gained += parts[name].clip(lower=0) - width
        if width.any():
            axes.barh(range(len(rows)), width, left=start, color=colour, height=0.7, label=f"lost to {name}")
        start = start + width
    axes.set_yticks(range(len(rows)), [in_lines(method) for method in rows["method"]])
    axes.invert_yaxis()
    axes.set_xlabel(f"1 − Dice, {ALL_LABELS}")
    head(axes, test_set)
    legend_below(axes)
    said = "; ".join(
        f"{row['method']}: " + ", ".join(f"{name} {say.number(row[name], 'dice')}" for name in _COLOURS)
        for _, row in rows.iterrows()
    )
    place = shares["test_set"].drop_duplicates().tolist().index(test_set) + 1
    return finish(axes, name=f"lost-{place}", title="Lost Dice", alt=f"{test_set}, lost Dice. {said}.")
