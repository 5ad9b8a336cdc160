"""Images and label maps of any folder, matched by patterns; NIfTI, MGZ, NRRD or MetaImage."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from dlfbench.datasets.readers.interface import Found, FoundCase, Reader, Volume, files_below, label_set
from dlfbench.datasets.readers.label_tables import read_label_names
from dlfbench.datasets.readers.volumes import read_volume
from dlfbench.errors import InputError
from dlfbench.images import as_labels

_FIELD = re.compile(r"\{(\w+)\}|(\*\*/|\*|\?)")
_WILD = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True)
class Folder(Reader):
    """Images and labels matched by pattern, such as images="T1:img/{case}_t1.nii.gz",labels="seg/{case}.nrrd".

    A field in braces stands for the same text in every pattern; `{case}` names the case, other fields become columns
    (`{person}_{side}`: then the case is called by all of them). `*` and `?` stand for any text within a name.

    Attributes:
        images: One pattern a modality, with the modality's name and a colon before it.
        labels: Pattern of the label maps.
        names: File of label names: a .tsv with columns `index` and `name`, an ITK-SNAP description, a FreeSurfer colour
            table. Without it the values that occur are called `label 1`, ...
    """

    file_options: ClassVar[tuple[str, ...]] = ("names",)

    images: tuple[str, ...] = ("image:imagesTr/{case}_0000.nii.gz",)
    labels: str = "labelsTr/{case}.nii.gz"
    names: str = ""

    def __post_init__(self) -> None:
        odd = [pattern for pattern in self.images if ":" not in pattern]
        if odd:
            raise ValueError(f"images: expected NAME:PATTERN, such as T1:img/{{case}}.nii.gz, found {odd[0]!r}")
        fields = set(_fields(self.labels))
        for pattern in (*self.images, self.labels):
            if not fields or not set(_fields(pattern)) <= fields:
                raise ValueError(
                    f"expected the fields of `labels` ({', '.join(sorted(fields)) or 'none: put {case} in it'}) "
                    f"in every pattern, found {pattern!r}"
                )

    def read(self, source: Path) -> Found:
        found = {name: _match(source, pattern) for name, pattern in self._patterns().items()}
        references = _match(source, self.labels)
        problems = _doubles(references, self.labels)
        if not references:
            raise InputError(f"{source}: no file matches labels={self.labels!r}; correct the pattern")
        cases = []
        for values, paths in sorted(references.items()):
            name, volumes = "_".join(value for _, value in values), []
            for modality, files in found.items():
                here = _agreeing(files, values, _fields(self._patterns()[modality]))
                if len(here) == 1:
                    volumes.append(Volume(here[0]))
                else:
                    problems.append(_not_one(source, name, modality, self._patterns()[modality], here))
            columns = {key: value for key, value in values if key != "case"}
            cases.append(FoundCase(name, tuple(volumes), paths[0], columns))
        if problems:
            raise InputError(problems)
        return Found(source.resolve().name, tuple(found), label_set(self._names(cases)), tuple(cases))

    def _patterns(self) -> dict[str, str]:
        return dict(text.split(":", 1) for text in self.images)

    def _names(self, cases: list[FoundCase]) -> dict[int, str]:
        if self.names:
            return read_label_names(Path(self.names))
        values = set[int]()
        for case in cases:
            voxels, _ = read_volume(Volume(case.reference))
            values.update(np.unique(as_labels(voxels, case.reference)).tolist())
        return {value: f"label {value}" for value in sorted(values - {0})}


def _fields(pattern: str) -> list[str]:
    return [match[1] for match in _FIELD.finditer(pattern) if match[1]]


def _match(source: Path, pattern: str) -> dict[tuple[tuple[str, str], ...], list[Path]]:
    """Files by the values of the pattern's fields."""
    form, last, seen = "", 0, set[str]()
    for match in _FIELD.finditer(pattern):
        form += re.escape(pattern[last : match.start()])
        if match[2]:
            form += _WILD[match[2]]
        else:
            form += f"(?P={match[1]})" if match[1] in seen else f"(?P<{match[1]}>[^/]+)"
            seen.add(match[1])
        last = match.end()
    expression = re.compile(form + re.escape(pattern[last:]))
    found: dict[tuple[tuple[str, str], ...], list[Path]] = {}
    for path in sorted(files_below(source)):
        fitting = expression.fullmatch(path.relative_to(source).as_posix())
        if fitting:
            found.setdefault(tuple(fitting.groupdict().items()), []).append(path)
    return found


def _agreeing(
    files: Mapping[tuple[tuple[str, str], ...], list[Path]], values: tuple[tuple[str, str], ...], fields: list[str]
) -> list[Path]:
    """Files of a modality whose fields have the values of the label map's."""
    wanted = {(key, value) for key, value in values if key in fields}
    return [path for found, paths in files.items() if set(found) == wanted for path in paths]


def _doubles(references: Mapping[tuple[tuple[str, str], ...], list[Path]], pattern: str) -> list[str]:
    return [
        f"{paths[1]}: case {'_'.join(v for _, v in values)}: expected one file for labels={pattern!r}, found "
        f"{len(paths)}, {paths[0].name} too; make the pattern narrower, or take one file away"
        for values, paths in references.items()
        if len(paths) > 1
    ]


def _not_one(source: Path, case: str, modality: str, pattern: str, found: list[Path]) -> str:
    listed = ", ".join(path.name for path in found[:3]) or "none"
    return (
        f"{source}: case {case}: expected one file for {modality}:{pattern}, found {len(found)} ({listed}); "
        f"{'make the pattern narrower' if found else 'add the file, or take the label map away'}"
    )
