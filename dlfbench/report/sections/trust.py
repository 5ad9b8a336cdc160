"""How far to trust a new segmentation: the Dice that can be expected of it, tried on the test sets."""

import pandas as pd
from matplotlib.axes import Axes

from dlfbench.datasets.cases import ALL_LABELS
from dlfbench.files import file_name
from dlfbench.metrics.expectation import FEWEST_PEOPLE, LEVEL
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.trust import BAD_DICE, FALSE_ALARMS, expectations, learned_from, trusted
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

_MOST_LABELS = 8


def make(basis: Basis) -> Content | None:
    """Expected against true Dice: coverage and width of the bound, and bad segmentations that are caught."""
    signs = basis.record.signs
    if signs.empty:
        return None
    source = learned_from(signs, basis.record.test_sets)
    expected = expectations(signs, source)
    trust = trusted(expected)
    people = signs[signs["test_set"] == source]["person"].nunique()
    if trust.empty:
        few = f"Expected Dice needs {FEWEST_PEOPLE + 1} people in {source}, which has {people}: none is given."
        return Content(text=[few])
    return Content(
        text=[_note(source, people)],
        tables={"trust": _table(_shown(trust, len(basis.record.labels)))},
        frames={"trust": trust, "expected_dice": expected},
        pictures=[_scatter(expected, basis)],
    )


TRUST = Section(name="trust", title="Expected Dice", make=make, folded=True)


def _note(source: str, people: int) -> str:
    return (
        f"What dlfbench segment says of a new image, tried here. The {people} people of {source} teach what Dice "
        "goes with which agreement of the atlases, certainty of the posterior and similarity of the images; no case is "
        "asked of what its own person taught. The bound should lie below the true Dice "
        f"{LEVEL:.0%} of the time for people like those of {source}. Of other people, scanners or changed images "
        "nothing is promised: the column says what became of it there."
    )


def _shown(found: pd.DataFrame, labels: int) -> pd.DataFrame:
    """Every label, or of many all together: the rest is in the CSV."""
    return found if labels <= _MOST_LABELS else found[found["label_name"] == ALL_LABELS]


def _table(found: pd.DataFrame) -> Table:
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell(row["label_name"]),
            Cell(row["method"]),
            Cell(str(row["people"]), row["people"]),
            Cell(f"{row['covered']:.0%}", row["covered"]),
            Cell(say.fixed(row["width"], 3), row["width"]),
            Cell(say.fixed(row["error"], 3), row["error"]),
            Cell(say.fixed(row["correlation"], 2), row["correlation"]),
            Cell(f"{row['bad']} of {row['bad'] + row['good']}", row["bad"]),
            Cell(say.NONE if row["caught"] != row["caught"] else f"{row['caught']:.0%}", row["caught"]),
        )
        for _, row in found.iterrows()
    )
    columns = (
        *("test set", "label", "method", "people", f"Dice above the {LEVEL:.0%} bound", "bound below expected"),
        *("error", "correlation", f"Dice below {BAD_DICE:g}", "of these caught"),
    )
    note = (
        f"Caught: expected to be worse than all but {FALSE_ALARMS:.0%} of those above {BAD_DICE:g}; counted are "
        "segmentations, of each case one for each training. Error: mean absolute difference of expected and true Dice. "
        "A share of few people has wide limits: of 20, one is 5%."
    )
    return Table(title="Expected Dice", columns=columns, rows=rows, text_columns=3, filters=("label",), note=note)


def _scatter(expected: pd.DataFrame, basis: Basis) -> Picture:
    """A panel for each of the first test sets: true against expected Dice, every case and label a dot."""
    sets = [name for name in basis.record.test_sets if name in set(expected["test_set"])][:MOST_PANELS]
    methods = [method for method in basis.methods if method in set(expected["method"])]
    axes = new_panels(len(sets), methods)
    low = float(expected[["expected", "dice"]].min().min())
    for panel, name in zip(axes, sets, strict=True):
        _panel(panel, name, expected[expected["test_set"] == name], methods, basis, low)
    axes[0].set_ylabel("true Dice")
    legend_below(axes[0])
    alt = f"True against expected Dice of {', '.join(methods)} in {', '.join(sets)}."
    return finish(axes[0], name=file_name("expected-dice"), title="Expected and true Dice", alt=alt)


def _panel(axes: Axes, title: str, rows: pd.DataFrame, methods: list[str], basis: Basis, low: float) -> None:
    of_method = {method: rows[rows["method"] == method] for method in methods}
    drawn = {method: (mine["expected"], mine["dice"]) for method, mine in of_method.items()}
    against_diagonal(axes, drawn, basis.methods, low=low, ls="", ms=4)
    axes.set_xlabel("expected Dice")
    head(axes, title)
