"""What a reader is: it finds the cases of a data set in its own layout, and touches no voxel more than it must."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from dlfbench.datasets.cases import Case, Dataset, LabelSet
from dlfbench.datasets.decathlon import undrawn_labels

Matrix = tuple[tuple[float, ...], ...]

_IN_PLACE = (".nii", ".nii.gz", ".mgz", ".mgh")


@dataclass(frozen=True)
class Volume:
    """Where one modality of a case lies.

    Attributes:
        path: Its file: NIfTI, MGZ, NRRD, MetaImage.
        channel: Which volume of a 4D file; None where the file is 3D.
        to_file: 4 x 4, from the label map's space to this file's, both in RAS+ mm: a rigid registration that comes
            with the data; None where both share one space.
    """

    path: Path
    channel: int | None = None
    to_file: Matrix | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it can be read as it is."""
        return self.channel is None and self.to_file is None and self.path.name.endswith(_IN_PLACE)


@dataclass(frozen=True)
class FoundCase:
    """A case in its own layout.

    Attributes:
        name: Unique within the data set.
        volumes: One per modality. They may be on different grids; the one that has the label map's is the primary.
        reference: The file of the manual label map.
        columns: What is known of the case: person, side, session, group, fold, ...
    """

    name: str
    volumes: tuple[Volume, ...]
    reference: Path
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What a reader found.

    Attributes:
        name: For reports.
        modalities: One name per volume of a case.
        labels: The declared labels, background first.
        cases: In any order.
        description: One line on what it is.
        others_are_background: Whether values that are not declared are structures that nobody asked for.
    """

    name: str
    modalities: tuple[str, ...]
    labels: LabelSet
    cases: tuple[FoundCase, ...]
    description: str = ""
    others_are_background: bool = False

    def why_not_in_place(self) -> str:
        """Why the files cannot be used where they lie; empty where they can."""
        odd = [volume.path for case in self.cases for volume in case.volumes if not volume.is_plain]
        odd += [case.reference for case in self.cases if not case.reference.name.endswith(_IN_PLACE)]
        if odd:
            return f"{odd[0].name} is 4D, has a registration of its own, or is no NIfTI or MGZ file"
        return "only some of the label map's structures are asked for" if self.others_are_background else ""

    def dataset(self) -> Dataset:
        """The same as a data set whose files stay where they are."""
        ordered = sorted(map(self._in_place, self.cases), key=lambda case: case.name)
        return Dataset(self.name, self.modalities, self.labels, tuple(ordered), self.description)

    def _in_place(self, case: FoundCase) -> Case:
        images, (undrawn, _) = tuple(v.path for v in case.volumes), undrawn_labels(case.columns, self.labels)
        return Case(case.name, images, case.reference, case.columns, ignore=self.labels.ignore, undrawn=undrawn)


class Reader(ABC):
    """Reads one layout. Subclasses are frozen dataclasses of their options, each with a default.

    Attributes:
        file_options: Options that are files: in a study file their paths start at its folder, as that of the data does.
            Those of a reader that is a single file are left as they are.
    """

    file_options: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def read(self, source: Path) -> Found:
        """Finds cases, labels and columns.

        Args:
            source: The folder (or file) that the user gave; it exists.

        Raises:
            InputError: Every problem of the layout, one line each.
        """


def label_set(names: Mapping[int, str]) -> LabelSet:
    """Labels in ascending order of value. 0 is the background, whatever a table calls it (`Clear Label`, `Unknown`)."""
    ordered = sorted({**names, 0: "background"}.items())
    return LabelSet(tuple(value for value, _ in ordered), tuple(name for _, name in ordered))


def files_below(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Files of a folder and of those in it, linked ones too; without what is hidden, such as macOS's `._NAME`.

    Args:
        folder: The folder.
        above: The folders above it, without links: one that leads back to them is not followed.
    """
    real = folder.resolve()
    if real in above or not os.access(folder, os.R_OK | os.X_OK):
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from files_below(path, (*above, real))
        elif path.is_file():
            yield path


def missing_files(paths: Sequence[tuple[Path, str]], case: str) -> list[str]:
    """One line for every file that is not there.

    Args:
        paths: Files and what they are.
        case: Whose they are.
    """
    return [
        f"{path}: case {case}: expected the {what}, found no file; add it, or take the case out"
        for path, what in paths
        if not path.is_file()
    ]
