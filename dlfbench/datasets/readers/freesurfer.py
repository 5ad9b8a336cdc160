"""Subjects folders of FreeSurfer: SUBJECTS/NAME/mri/norm.mgz, aseg.mgz, aparc+aseg.mgz, ..."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlfbench.datasets.readers.interface import Found, FoundCase, Reader, Volume, label_set, missing_files
from dlfbench.datasets.readers.label_tables import read_freesurfer_lut
from dlfbench.errors import InputError
from dlfbench.images import read_labels
from dlfbench.plugins import unknown

_LUT = "FreeSurferColorLUT.txt"


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

    labels: str = "aseg"
    images: tuple[str, ...] = ("norm",)
    structures: tuple[str, ...] = ()
    lut: str = ""

    def read(self, source: Path) -> Found:
        table = self._table(source)
        names = read_freesurfer_lut(table)
        subjects = sorted(path.parent for path in source.glob("*/mri") if not path.parent.name.startswith("fsaverage"))
        cases = [self._case(subject) for subject in subjects]
        problems = [problem for case in cases for problem in self._missing(case)]
        if problems:
            raise InputError(problems)
        wanted = _wanted(self.structures, names, table) if self.structures else _occurring(cases, names, table)
        about = f"{self.labels} of FreeSurfer"
        return Found(source.resolve().name, self.images, label_set(wanted), tuple(cases), about, bool(self.structures))

    def _case(self, subject: Path) -> FoundCase:
        volumes = tuple(Volume(subject / "mri" / f"{image}.mgz") for image in self.images)
        return FoundCase(subject.name, volumes, subject / "mri" / f"{self.labels}.mgz", {"person": subject.name})

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
