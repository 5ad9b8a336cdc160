"""Trained once more: would the means and the order of methods be the same?"""

from collections.abc import Mapping
from itertools import combinations

import pandas as pd

from dlfbench.files import file_name
from dlfbench.records.results import stacked
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.trainings import (
    Trained,
    means_by_training,
    most_trainings,
    orders,
    read_trained,
    trained_methods,
    trainings,
)
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import FULL_IN, INK, ROW_IN, RULE, Picture, colours, finish, head, new_axes
from dlfbench.report.shown.tables import Cell, Table


def make(basis: Basis) -> Content | None:
    """How much methods vary from one training to the next, against how much people differ."""
    if most_trainings(basis.record) < 2:
        return None
    trained = {name: read_trained(basis.record, name) for name in basis.main_sets}
    means = stacked([trainings(*one) for one in trained.items()])
    if means.empty:
        return None
    learn = trained_methods(basis.record)
    asked = [(name, pair) for name, found in trained.items() for pair in combinations(found, 2)]
    compared = [orders(name, read_trained(basis.record, name, compared=pair), learn) for name, pair in asked]
    pairs = stacked(compared) if compared else orders("", {}, learn)
    return Content(
        text=[_NOTE],
        tables={"trainings": trainings_table(means), "trained_again": orders_table(pairs)},
        frames={"trainings": means, "trained_again": pairs},
        pictures=[_picture(basis, name, means[means["test_set"] == name], one) for name, one in trained.items()],
    )


TRAININGS = Section(name="trainings", title="Trained again", make=make)

_NOTE = (
    "Methods that learn were trained several times, from other seeds, as often as the table says. Everywhere else on "
    "this page a case's value is the mean over trainings, and intervals and tests hold for other people, but for these "
    "trainings. Here the last interval holds for other people and other trainings; of a method that was trained once "
    "it knows nothing of these."
)


def trainings_table(means: pd.DataFrame) -> Table:
    """Every method's mean, and what it varies with."""
    columns = ("test set", "method", "trainings", "people", "Dice", "sd of people", "sd of trainings")
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell(row["method"]),
            Cell(str(row["trainings"]), row["trainings"]),
            Cell(str(row["persons"]), row["persons"]),
            Cell(say.number(row["mean"], "dice"), row["mean"]),
            Cell(say.fixed(row["sd_people"], 4), row["sd_people"]),
            Cell(say.fixed(row["sd_training"], 4), row["sd_training"]),
            Cell(say.limits(row["low_people"], row["high_people"], "dice"), row["low_people"]),
            Cell(say.limits(row["low"], row["high"], "dice"), row["low"]),
        )
        for _, row in means.iterrows()
    )
    note = (
        "Mean over people of Dice over all labels. Sd of people: of their means over trainings; sd of trainings: of "
        "the mean over these people, from one training to the next. Intervals: t, variances by the moments of "
        "people crossed with trainings, Satterthwaite's degrees of freedom."
    )
    heads = (*columns, "95% CI, other people", "95% CI, and other trainings")
    return Table(title="Means and their variance", columns=heads, rows=rows, text_columns=2, note=note)


def orders_table(pairs: pd.DataFrame) -> Table:
    """Every pair of methods of which one or both were trained several times."""
    columns = ("test set", "better", "worse", "people", "difference", "sd of trainings", "95% CI, other people")
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell(row["a"]),
            Cell(row["b"]),
            Cell(str(row["persons"]), row["persons"]),
            Cell(say.number(row["difference"], "dice", signed=True), row["difference"]),
            Cell(say.fixed(row["sd_training"], 4), row["sd_training"]),
            Cell(say.signed_limits(row["low_people"], row["high_people"]), row["low_people"]),
            Cell(say.signed_limits(row["low"], row["high"]), row["low"]),
            Cell(say.fixed(row["same_order"], 2), row["same_order"]),
        )
        for _, row in pairs.iterrows()
    )
    note = (
        "Same order again: the probability that, both being trained once more, the better one is better again on "
        "these people (predictive t distribution of the shrunk difference). A method and an ensemble that it is part "
        "of share its model, and are trained again together. Pairs with a method that learns, or may, and was trained "
        "once are left out."
    )
    heads = (*columns, "95% CI, and other trainings", "same order again")
    return Table(title="Would this order survive retraining?", columns=heads, rows=rows, text_columns=3, note=note)


def _picture(basis: Basis, test_set: str, means: pd.DataFrame, found: Mapping[str, Trained]) -> Picture:
    """Each training's mean as a tick, the mean of all with both intervals."""
    axes = new_axes(FULL_IN, 0.8 + ROW_IN * len(means))
    colour, ticks = colours(basis.methods), means_by_training(found)
    for place, (_, row) in enumerate(means.iterrows()):
        axes.hlines(place, row["low"], row["high"], color=colour[row["method"]], linewidth=1.5)
        axes.hlines(place, row["low_people"], row["high_people"], color=colour[row["method"]], linewidth=5, alpha=0.4)
        axes.plot(ticks[row["method"]], [place] * len(ticks[row["method"]]), "|", color=INK, markersize=12)
    axes.set_yticks(range(len(means)), list(means["method"]))
    axes.set_ylim(len(means) - 0.5, -0.5)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_xlabel("Dice, all labels; broad: 95% interval of people, thin: and of trainings; tick: one training")
    head(axes, test_set)
    said = ", ".join(f"{row['method']} {say.fixed(row['sd_training'], 4)}" for _, row in means.iterrows())
    alt = f"{test_set}: means of each training with intervals. Standard deviation from training to training: {said}."
    return finish(axes, name=file_name("trainings", test_set), title="Trained again", alt=alt)
