"""What methods and registrations work on: images in memory, without any reference of the case to segment."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.posterior import Posterior
from dlfbench.images import FloatArray, Grid, LabelArray


@dataclass(frozen=True)
class Target:
    """An image to segment. Its reference is not in here, nor a path to it.

    Attributes:
        name: The case's name.
        images: Intensities (modality, x, y, z), float32 to methods, float64 to registrations.
        grid: Where the voxels lie.
        columns: Person, session and side, where `cases.tsv` has these columns.
    """

    name: str
    images: FloatArray
    grid: Grid
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def person(self) -> str:
        """Whose image it is."""
        return person_of(self.name, self.columns)


def person_of(name: str, columns: Mapping[str, str]) -> str:
    """Whose image a case is: the unit of splits and statistics.

    Column `person`; else `session` (images of one session are of one person); else the case stands for itself.
    """
    return columns.get("person") or columns.get("session") or name


@dataclass(frozen=True)
class Atlas:
    """An image with its manual label map, on its own grid.

    Attributes:
        name: The case's name.
        images: Intensities (modality, x, y, z), float32 to methods, float64 to registrations.
        labels: Label map (x, y, z).
        grid: Where the voxels lie.
    """

    name: str
    images: FloatArray
    labels: LabelArray
    grid: Grid


@dataclass(frozen=True)
class OpenVotes:
    """Where a label may be one of several, since not every label was drawn in an atlas.

    Attributes:
        where: (atlas, x, y, z), uint8: 0 where the label is known, else 1 + the index of the choices.
        choices: Sets of possible labels, each ascending, background included.
    """

    where: npt.NDArray[np.uint8]
    choices: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class AtlasSet:
    """Atlases warped onto one target's grid.

    Attributes:
        names: One per atlas.
        images: Warped intensities (atlas, modality, x, y, z), float32. Beyond an atlas's field of view made up:
            its border goes on.
        labels: Candidate segmentations (atlas, x, y, z), values out of `label_values`; `UNKNOWN` (-1) beyond the
            atlas's field of view, where it has no vote.
        label_values: The declared labels, background (0) first, ascending: the class axis of posteriors.
        open: Where `labels` has what the other atlases say, since not every label was drawn in this one; else None.
    """

    names: tuple[str, ...]
    images: npt.NDArray[np.float32]
    labels: LabelArray
    label_values: tuple[int, ...]
    open: OpenVotes | None = None

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def none(cls, label_values: tuple[int, ...]) -> "AtlasSet":
        """No atlases, for methods that need none."""
        return cls((), np.empty((0, 0, 0, 0, 0), np.float32), np.empty((0, 0, 0, 0), np.int16), label_values)

    def some(self, chosen: npt.NDArray[np.intp]) -> "AtlasSet":
        """The atlases of these indices."""
        open_votes = self.open and replace(self.open, where=self.open.where[chosen])
        names = tuple(self.names[index] for index in chosen)
        return AtlasSet(names, self.images[chosen], self.labels[chosen], self.label_values, open_votes)


@dataclass(frozen=True, init=False)
class Segmentation:
    """A method's answer on the target's grid.

    Attributes:
        labels: Label map (x, y, z), values out of the declared labels.
        found: The posterior as the method gave it, as an array or as a `Posterior`; or None.
    """

    labels: LabelArray
    found: npt.NDArray[np.float32] | Posterior | None

    def __init__(self, labels: LabelArray, posterior: npt.NDArray[np.float32] | Posterior | None = None) -> None:
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "found", posterior)

    @cached_property
    def posterior(self) -> npt.NDArray[np.float32] | None:
        """(class, x, y, z), sums to 1 over classes, in the order of the declared labels; or None.

        Four bytes per class and voxel, made when it is asked for: gigabytes in a whole brain of many labels, where
        `shares` has the same.
        """
        return self.found.dense() if isinstance(self.found, Posterior) else self.found

    def shares(self, label_values: tuple[int, ...]) -> Posterior:
        """The posterior as large as the dispute; where the method gave none, every label is certain.

        Args:
            label_values: The declared labels, ascending.
        """
        if isinstance(self.found, Posterior):
            return self.found
        if self.found is None:
            return Posterior.of_votes(self.labels[None], label_values)
        return Posterior.of_dense(self.found, label_values)
