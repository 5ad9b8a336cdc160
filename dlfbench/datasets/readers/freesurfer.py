"""Subjects folders of FreeSurfer: SUBJECTS/NAME/mri/norm.mgz, aseg.mgz, aparc+aseg.mgz, ...

Of the longitudinal stream, TIMEPOINT.long.BASE, TIMEPOINT and BASE are one person, called BASE.
"""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from dlfbench.datasets.readers.interface import Found, FoundCase, Reader, Volume, label_set, missing_files
from dlfbench.datasets.readers.label_tables import read_freesurfer_lut
from dlfbench.errors import InputError
from dlfbench.images import read_labels
from dlfbench.plugins import unknown

log = logging.getLogger(__name__)

_LUT = "FreeSurferColorLUT.txt"
_LONG = ".long."


@dataclass(frozen=True)
class FreeSurfer(Reader):
    """A subjects folder of FreeSurfer, a case a subject; `fsaverage` and its kin are left out.

    Attributes:
        labels: The label map in `mri/`, without .mgz: aseg, aparc+aseg, aparc.a2009s+aseg, ...
        images: The images in `mri/`, without .mgz.
        structures: Names (as the colour table has them) or numbers of the structures that are wanted; all that occur,
            where none are given. The others become background.
        lut: The colour table that names them. Without it: FreeSurferColorLUT.txt in the subjects folder, or in the
            folder that the variable FREESURFER_HOME names.
    """

    file_options: ClassVar[tuple[str, ...]] = ("lut",)

    labels: str = "aseg"
    images: tuple[str, ...] = ("norm",)
    structures: tuple[str, ...] = ()
    lut: str = ""

    def read(self, source: Path) -> Found:
        table = self._table(source)
        names = read_freesurfer_lut(table)
        subjects = sorted(path.parent for path in source.glob("*/mri") if not path.parent.name.startswith("fsaverage"))
        person_of = _people([subject.name for subject in subjects])
        for warning in _mixed(person_of):
            log.warning("%s: %s", source, warning)
        cases = [self._case(subject, person_of[subject.name]) for subject in subjects]
        problems = [problem for case in cases for problem in self._missing(case)]
        if problems:
            raise InputError(problems)
        wanted = _wanted(self.structures, names, table) if self.structures else _occurring(cases, names, table)
        about = f"{self.labels} of FreeSurfer"
        return Found(source.resolve().name, self.images, label_set(wanted), tuple(cases), about, bool(self.structures))

    def _case(self, subject: Path, person: str) -> FoundCase:
        volumes = tuple(Volume(subject / "mri" / f"{image}.mgz") for image in self.images)
        return FoundCase(subject.name, volumes, subject / "mri" / f"{self.labels}.mgz", {"person": person})

    def _missing(self, case: FoundCase) -> list[str]:
        return missing_files([*((v.path, "image") for v in case.volumes), (case.reference, "label map")], case.name)

    def _table(self, source: Path) -> Path:
        home = os.environ.get("FREESURFER_HOME", "")
        places = [Path(self.lut)] if self.lut else [source / _LUT, *([Path(home) / _LUT] if home else [])]
        for place in places:
            if place.is_file():
                return place
        raise InputError(
            f"{places[-1]}: expected FreeSurfer's table of names, found no file; give lut=FILE, or set FREESURFER_HOME"
        )


def _people(subjects: Sequence[str]) -> dict[str, str]:
    """Whose each subject is: what the longitudinal stream made of one person's images is of its base."""
    base_of = {time_point: base for time_point, _, base in (name.partition(_LONG) for name in subjects) if base}
    return {name: base_of.get(name, name.rpartition(_LONG)[2]) for name in subjects}


def _mixed(person_of: Mapping[str, str]) -> list[str]:
    """One line for every person some of whose images are cases more than once."""
    people: dict[str, list[str]] = {}
    for name, person in person_of.items():
        people.setdefault(person, []).append(name)
    return [
        f"person {person}: {', '.join(names)} show the same images several times, as each is, as their mean (base) or "
        "aligned to it (.long); all count as cases of one person: take those out that are not meant"
        for person, names in people.items()
        if any(_LONG in name for name in names) and not all(_LONG in name for name in names)
    ]


def _wanted(structures: Iterable[str], names: Mapping[int, str], table: Path) -> dict[int, str]:
    value_of = {name: value for value, name in names.items()}
    wanted, problems = dict[int, str](), []
    for text in structures:
        value = int(text) if text.isdigit() else value_of.get(text)
        if value in names and value:
            wanted[value] = names[value]
        else:
            problems.append(f"{table}: {unknown('structure', text, value_of)[:400]}; correct `structures`")
    if problems:
        raise InputError(problems)
    return wanted


def _occurring(cases: Iterable[FoundCase], names: Mapping[int, str], table: Path) -> dict[int, str]:
    """Names of the values that occur; every one must have a name."""
    first: dict[int, FoundCase] = {}
    for case in cases:
        for value in np.unique(read_labels(case.reference)[0]).tolist():
            first.setdefault(value, case)
    problems = [
        f"{case.reference}: case {case.name}: label {value} has no name in {table}; "
        "give the table of the FreeSurfer that made it (lut=FILE), or name the wanted structures (structures=...)"
        for value, case in sorted(first.items())
        if value not in names
    ]
    if problems:
        raise InputError(problems)
    return {value: names[value] for value in first if value}
