"""What a dataset is: cases with their files, label names and any columns that describe them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dlfbench.datasets.shifts import Shift
from dlfbench.errors import InputError
from dlfbench.files import file_name
from dlfbench.images import Grid, LabelArray, read_image, read_labels
from dlfbench.volumes import Target


@dataclass(frozen=True)
class LabelSet:
    """The declared labels of a dataset, background (0) first, in ascending order of value.

    Attributes:
        values: The integers in the label maps. Class axes of posteriors follow this order.
        names: One name per value.
    """

    values: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def foreground(self) -> tuple[tuple[int, str], ...]:
        """(value, name) of every label but the background."""
        return tuple(zip(self.values, self.names, strict=True))[1:]


@dataclass(frozen=True)
class Case:
    """One image (of one or several modalities) with its reference label map, as files.

    Attributes:
        name: Unique within the dataset.
        images: One file per modality, in the dataset's order.
        reference: The manual label map; None where it must not be known.
        columns: What `cases.tsv` says of the case: person, side, group, session, ...
        shift: How the images are changed when they are read, with the names of the modalities; None for not at all.
    """

    name: str
    images: tuple[Path, ...]
    reference: Path | None
    columns: Mapping[str, str] = field(default_factory=dict)
    shift: tuple[Shift, tuple[str, ...]] | None = None

    @property
    def person(self) -> str:
        """Whose image it is: the unit of splits and statistics.

        Column `person`; else `session` (images of one session are of one person); else the case stands for itself.
        """
        return self.columns.get("person") or self.columns.get("session") or self.name

    def read_target(self) -> Target:
        """The image as a method sees it: without the reference."""
        voxels, grids = zip(*(read_image(path) for path in self.images), strict=True)
        images = np.stack(voxels)
        if self.shift is not None:
            change, modalities = self.shift
            images = change.apply(images, modalities, self.name)
        return Target(self.name, images, grids[0], dict(self.columns))

    def read_reference(self) -> tuple[LabelArray, Grid]:
        """The manual label map (x, y, z) and its grid."""
        if self.reference is None:
            raise InputError(f"case {self.name}: has no reference")
        return read_labels(self.reference)

    def blind(self) -> "Case":
        """The same case without its reference."""
        return replace(self, reference=None)

    def shifted(self, change: Shift, modalities: tuple[str, ...]) -> "Case":
        """The same case, whose images are changed when they are read; of the same person."""
        columns = {**self.columns, "person": self.person}
        return replace(self, name=shifted_name(self.name, change), columns=columns, shift=(change, modalities))


def shifted_name(case: str, change: Shift) -> str:
    """What a changed case is called."""
    return f"{case}~{change.kind}-{file_name(change.value)}"


@dataclass(frozen=True)
class Dataset:
    """Cases of one kind: the same modalities, the same labels.

    Attributes:
        name: For reports.
        modalities: Names of the image channels.
        labels: The declared labels.
        cases: In ascending order of name.
        description: One line on what it is; licence and source where known.
    """

    name: str
    modalities: tuple[str, ...]
    labels: LabelSet
    cases: tuple[Case, ...]
    description: str = ""

    def case(self, name: str) -> Case:
        """The case of that name; `InputError` if there is none."""
        for case in self.cases:
            if case.name == name:
                return case
        raise InputError(f"{self.name}: no case {name!r}; `dlfbench data info` lists what there is")

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that at least one case has, in order of first appearance."""
        return tuple(dict.fromkeys(column for case in self.cases for column in case.columns))
