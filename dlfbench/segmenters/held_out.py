"""Training cases that a method does not know: parts of a training set, people kept whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dlfbench.images import LabelArray
from dlfbench.segmenters.interface import Training, TrainingCase
from dlfbench.segmenters.people import groups_of_people
from dlfbench.volumes import AtlasSet, Target


def left_out(training: Training, parts: int = 2) -> Iterator[tuple[Training, Sequence[TrainingCase]]]:
    """For each part of the people: a training set without it, whose atlases are of the others, and the part's cases.

    Raises:
        ValueError: There are fewer people than parts.
    """
    groups = groups_of_people(training.cases, parts)
    if not all(groups):
        people = len({case.person for case in training.cases})
        raise ValueError(
            f"expected {parts} people or more in the training set, to leave out one part of {parts}; found {people}"
        )
    for asked in groups:
        away = frozenset(case.name for case in asked)
        known = [case for case in training.cases if case.name not in away]
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
        """Those of the case, less those that are away.

        Raises:
            ValueError: None is left.
        """
        found = self.case.read_atlases()
        kept = np.flatnonzero([name not in self.away for name in found.names])
        if len(found) and not len(kept):
            raise ValueError(
                f"case {self.name}: all of its {len(found)} atlases are of people who are left out of this training; "
                "give more atlases, or match on fewer columns"
            )
        return found.some(kept)
