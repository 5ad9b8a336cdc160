"""The worst cases, large: what went wrong, and where."""

from collections.abc import Iterable
from itertools import chain, zip_longest

import numpy as np

from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.chosen import Choice, choose
from dlfbench.report.basis.scores import ALL_LABELS, Scores
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.slices import ADDED, MISSED, WRONG, draw_case, label_colours
from dlfbench.report.shown.tables import Cell, Table

_SHOWN, _LISTED = 3, 10


def make(basis: Basis) -> Content:
    """The worst cases of each main test set as pictures, and the lowest Dice values as a table."""
    pictures = [picture for choice in worst_choices(basis) if (picture := draw_case(basis, choice))]
    return Content(
        tables={"worst": worst_table(basis)},
        pictures=[case.picture for case in pictures],
        shown={"cases": pictures, **legend(basis)},
    )


CASES = Section(name="cases", title="Worst cases", make=make)


def legend(basis: Basis) -> dict[str, object]:
    """The colours of labels and errors."""
    return {"labels": label_colours(basis.record.labels), "missed": MISSED, "added": ADDED, "wrong": WRONG}


def worst_choices(basis: Basis) -> list[Choice]:
    """The first few: of each test set the first choice, then of each the second, .."""
    by_set = [choose(basis, basis.scores_of(name)) for name in basis.main_sets]
    return [choice for choice in in_turn(by_set) if "worst" in choice.why][:_SHOWN]


def in_turn(by_set: Iterable[Iterable[Choice]]) -> list[Choice]:
    """The first choice of each test set, then the second of each, .."""
    return [choice for choice in chain.from_iterable(zip_longest(*by_set)) if choice]


def worst_table(basis: Basis) -> Table:
    """The lowest mean Dice values of any case and method; the case leads to the segmentation."""
    lowest = sorted(found for scores in basis.scores for found in _lowest(scores, basis.methods))[:_LISTED]
    columns = ("case", "person", "test set", "method", f"Dice {ALL_LABELS}", f"HD95 {ALL_LABELS} (mm)")
    rows = tuple(
        (
            Cell(case, link=_segmentation(basis, test_set, case, method)),
            Cell(person),
            Cell(test_set),
            Cell(method),
            Cell(say.number(dice, "dice"), dice),
            Cell(say.number(hd95, "hd95_mm"), hd95),
        )
        for dice, test_set, case, method, person, hd95 in lowest
    )
    return Table(title="The ten lowest Dice values", columns=columns, rows=rows, text_columns=4)


def _lowest(scores: Scores, methods: tuple[str, ...]) -> list[tuple[float, str, str, str, str, float]]:
    """(Dice, test set, case, method, person, HD95) of the lowest values of a test set."""
    at = [scores.methods.index(method) for method in methods]
    dice, hd95 = (scores.values[metric][:, at, -1] for metric in ("dice", "hd95_mm"))
    places = [divmod(int(place), len(methods)) for place in np.argsort(dice, axis=None, kind="stable")[:_LISTED]]
    return [
        (
            float(dice[case, m]),
            scores.test_set,
            scores.cases[case],
            methods[m],
            scores.persons[scores.person_of[case]],
            float(hd95[case, m]),
        )
        for case, m in places
        if not np.isnan(dice[case, m])
    ]


def _segmentation(basis: Basis, test_set: str, case: str, method: str) -> str:
    path = basis.record.segmentations(test_set, case).get(method) if basis.with_links else None
    return str(path or "")
