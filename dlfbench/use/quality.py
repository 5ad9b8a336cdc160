"""How good a new segmentation probably is: what the run's held-out cases teach, asked of a new image's signs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from dlfbench.datasets.cases import LabelSet
from dlfbench.metrics.expectation import FEWEST_PEOPLE, LEVEL, Expectation
from dlfbench.metrics.signs import SIGNS
from dlfbench.report.basis.trust import learn, learned_from
from dlfbench.study.splits import Fold

_LOW = 0.05  # of the known Dice values: what is expected to be worse is told


@dataclass(frozen=True)
class Quality:
    """What is expected of one label of an image.

    Attributes:
        label: Its name.
        expected: Dice; NaN where nothing can be said.
        bound: Above which it is with a probability of `LEVEL`, for people like those that taught it.
        flags: What is odd.
    """

    label: str
    expected: float = float("nan")
    bound: float = float("nan")
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Teacher:
    """What the held-out cases of a run teach of one method.

    Attributes:
        rows: Columns of `SIGN_COLUMNS`: the method's, of one test set.
        source: The test set.
        lacking: Why nothing can be said; empty where something can.
    """

    rows: pd.DataFrame = field(repr=False)
    source: str
    lacking: str = ""

    @classmethod
    def of(cls, signs: pd.DataFrame, method: str, folds: Sequence[Fold]) -> "Teacher":
        """The teacher of a method.

        Args:
            signs: Of the run, columns of `SIGN_COLUMNS`.
            method: Its name.
            folds: The run's; in the order of their test sets the first that there is teaches.
        """
        test_sets = tuple(dict.fromkeys(name for fold in folds for name in fold.tests))
        mine = signs[(signs["method"] == method) & signs["dice"].notna()]
        if mine.empty:
            return cls(mine, "", "the run has no scored test cases of this version of dlfbench; start it again")
        source = learned_from(mine, (*test_sets, *mine["test_set"].unique()))
        mine = mine[mine["test_set"] == source]
        people = mine["person"].nunique()
        few = f"{people} people were held out ({source}), and {FEWEST_PEOPLE} are needed"
        return cls(mine, source, few if people < FEWEST_PEOPLE else "")

    @property
    def told(self) -> str:
        """On what expectations rest, in a sentence."""
        people = self.rows["person"].nunique()
        if self.lacking:
            return f"No expected Dice: {self.lacking}."
        return (
            f"Expected Dice and its {LEVEL:.0%} bound rest on {people} people of {self.source}, whom the method was "
            "tested on. The bound promises something for people and images like theirs, and nothing for others."
        )

    def judged(self, signs: Mapping[int, Mapping[str, float]], labels: LabelSet) -> tuple[Quality, ...]:
        """Of each foreground label what is expected.

        Args:
            signs: Of the new segmentation, by label value.
            labels: The study's.
        """
        return tuple(self._judged(value, name, signs.get(value, {})) for value, name in labels.foreground)

    @cached_property
    def _lessons(self) -> Mapping[int, tuple[pd.DataFrame, Expectation]]:
        """By label, its rows and what they teach; not of labels with too few people."""
        of_label = [(int(rows["label"].iloc[0]), rows) for _, rows in self.rows.groupby("label", sort=False)]
        taught = {value: (rows, learn(rows)) for value, rows in of_label}
        return {value: (rows, learned) for value, (rows, learned) in taught.items() if learned is not None}

    def _judged(self, value: int, name: str, signs: Mapping[str, float]) -> Quality:
        lesson = None if self.lacking or not signs else self._lessons.get(value)
        if lesson is None:
            return Quality(name)
        mine, learned = lesson
        asked = np.array([[signs.get(sign, np.nan) for sign in SIGNS]], float)
        expected, bound = (float(found[0]) for found in learned.of(asked))
        flags = [
            f"{sign} {asked[0, place]:.2f} is outside of all that was learned from ({low:.2f} to {high:.2f})"
            for place, sign in enumerate(SIGNS)
            if learned.used[place] and not np.isnan(asked[0, place])
            for low, high in [(mine[sign].min(), mine[sign].max())]
            if not low - 0.005 <= asked[0, place] <= high + 0.005
        ]
        worst = float(mine["dice"].quantile(_LOW))
        if expected < worst:
            flags.insert(0, f"expected to be worse than 19 of 20 that were tested ({worst:.2f})")
        return Quality(name, expected, bound, tuple(flags))


def mean_signs(rows: Sequence[Sequence[Mapping[str, float]]]) -> dict[int, dict[str, float]]:
    """Signs by label, the mean over folds.

    Args:
        rows: Of each fold, its signs label by label.
    """
    found: dict[int, dict[str, float]] = {}
    for of_label in zip(*rows, strict=True):
        means = {sign: float(np.mean([row[sign] for row in of_label])) for sign in SIGNS}
        found[int(of_label[0]["label"])] = means
    return found
