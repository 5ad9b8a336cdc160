"""Training cases that a method does not know: parts of a training set, people kept whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dlfbench.images import LabelArray
from dlfbench.segmenters.interface import Training, TrainingCase
from dlfbench.segmenters.people import groups_of_people
from dlfbench.volumes import AtlasSet, Target


def halves(training: Training) -> Iterator[tuple[Training, Sequence[TrainingCase]]]:
    """Twice: a training set of half of the people, whose atlases are among these, and the cases of the other half.

    Raises:
        ValueError: There is one person only.
    """
    parts = groups_of_people(training.cases, 2)
    if not all(parts):
        people = len({case.person for case in training.cases})
        raise ValueError(
            f"expected 2 people or more in the training set, to ask one half about the other; found {people}"
        )
    for asked, known in (parts, parts[::-1]):
        away = frozenset(case.name for case in asked)
        yield replace(training, cases=[WithoutAtlases(case, away) for case in known]), asked


@dataclass(frozen=True)
class WithoutAtlases(TrainingCase):
    """A training case whose atlases lack some cases, as if these were not there.

    Attributes:
        case: The case.
        away: Names of the cases that are no atlases.
    """

    case: TrainingCase
    away: frozenset[str]

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.case.name

    @property
    def person(self) -> str:
        """As of the case."""
        return self.case.person

    @property
    def image_paths(self) -> tuple[Path, ...]:  # type: ignore[override]
        return self.case.image_paths

    @property
    def reference_path(self) -> Path:  # type: ignore[override]
        return self.case.reference_path

    @property
    def undrawn(self) -> tuple[int, ...]:
        """As of the case."""
        return self.case.undrawn

    def read_target(self) -> Target:
        return self.case.read_target()

    def read_reference(self) -> LabelArray:
        return self.case.read_reference()

    def read_atlases(self) -> AtlasSet:
        found = self.case.read_atlases()
        return found.some(np.flatnonzero([name not in self.away for name in found.names]))
