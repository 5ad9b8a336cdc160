"""BIDS data sets: raw images, and label maps (`dseg`) of a derivative with its table of labels.

BIDS/participants.tsv                                       columns of people
BIDS/sub-01/[ses-a/]anat/sub-01[_ses-a]_T1w.nii.gz          images
BIDS/derivatives/NAME/sub-01/[ses-a/]anat/sub-01[_ses-a]..._dseg.nii.gz
BIDS/derivatives/NAME/dseg.tsv, or one beside the label maps, whose name holds no other entity
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dlfbench.datasets.readers.interface import Found, FoundCase, Reader, Volume, files_below, label_set
from dlfbench.datasets.readers.label_tables import read_label_tsv
from dlfbench.errors import InputError
from dlfbench.plugins import unknown

_ENDINGS = (".nii.gz", ".nii")
_COLUMN = {"sub": "person", "ses": "session", "hemi": "side"}  # others keep their entity's name
_CASE = {"case": "participant_case"}  # `case` is what cases.tsv calls the cases
_OF_LABELS_ALONE = {"desc", "seg", "space", "res", "label", "atlas"}


@dataclass(frozen=True)
class _File:
    """A file by its name: `sub-01_ses-a_T1w.nii.gz`."""

    path: Path
    entities: Mapping[str, str]
    suffix: str


@dataclass(frozen=True)
class Bids(Reader):
    """A BIDS data set with a derivative that holds label maps, a case a label map.

    Entities of a label map's name become columns: `sub` the person, `ses` the session, `hemi` the side; so do the
    columns of participants.tsv (a column `case` as `participant_case`).

    Attributes:
        images: Suffixes of the images, one a modality.
        derivative: The derivative that has the label maps; may be left out where there is one only.
        only: Entities that a label map must have, such as desc-manual; several with a comma.
        raw_only: Entities that an image must have, such as acq-highres.
    """

    images: tuple[str, ...] = ("T1w",)
    derivative: str = ""
    only: tuple[str, ...] = ()
    raw_only: tuple[str, ...] = ()

    def read(self, source: Path) -> Found:
        root = self._derivative(source)
        maps = [file for file in _files(root) if file.suffix == "dseg" and _has(file, self.only)]
        raw = [f for f in _files(source) if f.suffix in self.images and _has(f, self.raw_only)]
        if not maps:
            raise InputError(f"{root}: expected label maps *_dseg.nii.gz, found none that fit; correct `only`")
        people = _participants(source / "participants.tsv")
        problems: list[str] = []
        cases, labels = [], dict[int, str]()
        for file in maps:
            try:
                volumes = tuple(Volume(_image(source, raw, file, suffix)) for suffix in self.images)
                names = read_label_tsv(_table(root, file))
                problems += _conflicts(file, labels, names)
                labels |= names
                cases.append(FoundCase(_name(file), volumes, file.path, _columns(file, people)))
            except InputError as error:
                problems += error.problems
        problems += _twice(cases)
        if problems:
            raise InputError(list(dict.fromkeys(problems)))
        about = f"label maps of {root.name}"
        return Found(source.resolve().name, self.images, label_set(labels), tuple(cases), about)

    def _derivative(self, source: Path) -> Path:
        folder = source / "derivatives"
        known = [
            p for p in sorted(folder.glob("*")) if p.is_dir() and any("_dseg.nii" in f.name for f in files_below(p))
        ]
        if self.derivative:
            if folder / self.derivative not in known:
                raise InputError(f"{folder}: {unknown('derivative', self.derivative, [p.name for p in known])}")
            return folder / self.derivative
        if len(known) != 1:
            listed = ", ".join(path.name for path in known) or "none"
            raise InputError(
                f"{folder}: expected one derivative with *_dseg.nii.gz, found {len(known)} ({listed}); "
                f"{'give derivative=NAME' if known else 'put the label maps there'}"
            )
        return known[0]


def _files(root: Path) -> list[_File]:
    """Images of a data set, those of its derivatives left out."""
    paths = (path for folder in sorted(root.glob("sub-*")) if folder.is_dir() for path in files_below(folder))
    return [_parsed(path) for path in paths if path.name.startswith("sub-") and path.name.endswith(_ENDINGS)]


def _parsed(path: Path) -> _File:
    *pairs, suffix = path.name.split(".", 1)[0].split("_")
    return _File(path, dict(pair.split("-", 1) for pair in pairs if "-" in pair), suffix)


def _has(file: _File, wanted: Iterable[str]) -> bool:
    return all(f"{key}-{value}" in wanted or key not in _keys(wanted) for key, value in file.entities.items()) and set(
        _keys(wanted)
    ) <= set(file.entities)


def _keys(wanted: Iterable[str]) -> list[str]:
    return [text.split("-", 1)[0] for text in wanted]


def _image(source: Path, raw: Iterable[_File], labels: _File, suffix: str) -> Path:
    """The image of a label map: of the same person and session, and no other value of any entity that both have."""
    own = {key: value for key, value in labels.entities.items() if key not in _OF_LABELS_ALONE}
    fitting = [
        file
        for file in raw
        if file.suffix == suffix
        and all(file.entities.get(key) == own.get(key) for key in ("sub", "ses"))
        and all(file.entities[key] == value for key, value in own.items() if key in file.entities)
    ]
    head = {key: value for key, value in own.items() if key != "hemi"}  # a label map of one side, drawn on both
    same = ([file for file in fitting if dict(file.entities) == entities] for entities in (own, head))
    closest = next(filter(None, same), fitting)
    if len(closest) != 1:
        listed = ", ".join(file.path.name for file in closest[:3]) or "none"
        advice = "give raw_only=ENTITY-VALUE" if closest else "add the image, or take the label map away"
        raise InputError(
            f"{labels.path}: case {_name(labels)}: expected one {suffix} image of {source.name}, found {len(closest)} "
            f"({listed}); {advice}"
        )
    return closest[0].path


def _table(root: Path, labels: _File) -> Path:
    """The table of labels that holds for a label map: the nearest whose name has no entity that the map's lacks."""
    folder = labels.path.parent
    while True:
        fitting = [p for p in folder.glob("*dseg.tsv") if _parsed(p).entities.items() <= labels.entities.items()]
        if fitting:
            return max(fitting, key=lambda path: len(_parsed(path).entities))
        if folder == root:
            raise InputError(
                f"{root / 'dseg.tsv'}: expected a table of labels with columns index and name for {labels.path.name}, "
                "found none; write it"
            )
        folder = folder.parent


def _conflicts(file: _File, known: Mapping[int, str], names: Mapping[int, str]) -> list[str]:
    return [
        f"{file.path}: label {value} is called {names[value]!r} here and {known[value]!r} elsewhere; give it one name"
        for value in names
        if value in known and known[value] != names[value]
    ]


def _name(file: _File) -> str:
    kept = [f"{k}-{v}" for k, v in file.entities.items() if k in ("sub", "ses", "hemi", "run", "acq", "task")]
    return "_".join(kept)


def _columns(file: _File, people: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    own = {_COLUMN.get(key, key): value for key, value in file.entities.items()}
    columns = {**people.get(file.entities.get("sub", ""), {}), **own}
    return {_CASE.get(name.strip(), name.strip()): value for name, value in columns.items()}


def _participants(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if rows and "participant_id" not in rows[0]:
        raise InputError(f"{path}: expected a column participant_id, found {', '.join(rows[0])}; name it so")
    return {
        row["participant_id"].removeprefix("sub-"): {
            k: v for k, v in row.items() if k and k != "participant_id" and v and v != "n/a"
        }
        for row in rows
    }


def _twice(cases: Iterable[FoundCase]) -> list[str]:
    first: dict[str, FoundCase] = {}
    problems = []
    for case in cases:
        other = first.setdefault(case.name, case)
        if other is not case:
            problems.append(
                f"{case.reference}: case {case.name}: expected one label map, found {other.reference.name} too; "
                "give only=ENTITY-VALUE, such as only=desc-manual"
            )
    return problems
