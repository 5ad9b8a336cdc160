"""What a run says of itself beside its results: study, folds, cases, environment, identity. One writer, one reader."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError, field_validator

from dlfbench.datasets.digests import digest
from dlfbench.errors import InputError
from dlfbench.plugin_files import without_folder
from dlfbench.records.described_data import DescribedData, Said
from dlfbench.records.described_study import DescribedStudy
from dlfbench.records.folder import RunFolder, write_json, write_text
from dlfbench.study.given import FILE as FOLDS_FILE
from dlfbench.study.given import folds_text
from dlfbench.study.protocol import IN_DOMAIN
from dlfbench.study.splits import Fold
from dlfbench.wording import few

TOLERANCE = "surface_dice_tolerance_mm"
_FEW = 3
_Part = TypeVar("_Part", bound=Said)


class Environment(Said):
    """What a run was run with, `environment.json`.

    Attributes:
        versions: Of Python and libraries.
        platform: Operating system and processor.
        processors: Of the machine.
        workers: Tasks at a time.
        threads: Of a task.
        device: `cpu` or `cuda`.
        registers: By method, what atlases are registered to for it: `cases`, `training`.
        members: By method, those that it is made of.
    """

    versions: dict[str, str] = Field(default_factory=dict)
    platform: str = ""
    processors: int | None = None
    workers: int | None = None
    threads: int | None = None
    device: str = ""
    registers: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    members: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Identity(Said):
    """What makes runs comparable, `identity.json`: the same data, splits, atlases and metrics. Methods are no part.

    Attributes:
        seed: Of the study; None where it is not said, as for all that follows where it is empty.
        protocol: Table of the study; settings that are not given are left out.
        registration: Table of the study.
        registration_version: As the registration says it; None where nothing is registered too.
        metrics: Table of the study.
        data: By case, digests of its images and of its reference; None where one is not known.
    """

    seed: int | None = None
    protocol: dict[str, Any] = Field(default_factory=dict)
    registration: dict[str, Any] = Field(default_factory=dict)
    registration_version: str | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, tuple[str | None, str | None]] = Field(default_factory=dict)

    @field_validator("registration")
    @classmethod
    def _wherever_its_file_is(cls, table: dict[str, Any]) -> dict[str, Any]:
        return {key: without_folder(str(value)) if key == "use" else value for key, value in table.items()}

    @property
    def tolerance_mm(self) -> float:
        """Of surface Dice."""
        return float(self.metrics.get(TOLERANCE, 1.0))

    @property
    def digest(self) -> str:
        """For the name of a run's folder, which stays where only the version of the registration is another."""
        return digest(self.model_dump(mode="json", exclude={"registration_version"}))

    def says(self, part: str) -> bool:
        """Whether anything is said of a part."""
        return getattr(self, part) not in (None, {})

    def differences(self, other: "Identity") -> dict[str, dict[str, tuple[Any, Any]]]:
        """What differs, as (own, other's) by part and key; the seed's key is empty, and that of the version.

        Runs of earlier builds do not say the version of their registration: that is no difference.
        """
        unsaid = None in (self.registration_version, other.registration_version)
        differing = {}
        for part in type(self).model_fields:
            if part == "registration_version" and unsaid:
                continue
            mine, theirs = (_table(getattr(identity, part)) for identity in (self, other))
            keys = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
            differing[part] = {key: (mine.get(key), theirs.get(key)) for key in keys}
        return {part: keys for part, keys in differing.items() if keys}


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"": value}


class _Fold(Said):
    fold: int
    train: tuple[str, ...] = ()
    tests: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    training: int = 0


class _Splits(Said):
    folds: tuple[_Fold, ...] = ()


@dataclass(frozen=True)
class Description:
    """All that a run says of itself.

    Attributes:
        study: The resolved study.
        folds: The splits, and each again for every further training.
        data: The cases.
        environment: What it was run with.
        identity: What makes it comparable.
    """

    study: DescribedStudy = field(default_factory=DescribedStudy)
    folds: tuple[Fold, ...] = ()
    data: DescribedData = field(default_factory=DescribedData)
    environment: Environment = field(default_factory=Environment)
    identity: Identity = field(default_factory=Identity)


def write_description(folder: RunFolder, description: Description) -> None:
    """Writes what a run says of itself into its folder, each file whole or not at all."""
    folds = tuple(_described(fold) for fold in description.folds)
    write_text(folder.study_file, description.study.text)
    splits = [fold for fold in description.folds if not fold.training]
    held_out = [(one.train, one.tests[IN_DOMAIN]) for one in splits if IN_DOMAIN in one.tests]
    if held_out and len(held_out) == len(splits):
        write_text(folder.root / FOLDS_FILE, folds_text(held_out))
    for path, said in {
        folder.identity_file: description.identity,
        folder.splits_file: _Splits(folds=folds),
        folder.cases_file: description.data,
        folder.environment_file: description.environment,
    }.items():
        write_json(path, said.model_dump(mode="json", exclude_none=True, exclude_defaults=True))


def read_description(folder: RunFolder) -> Description:
    """Reads what a run says of itself; a file that is not there says nothing.

    Raises:
        InputError: A file is damaged, or something else; every one is named.
    """
    kinds: dict[Path, type[Said]] = {
        folder.splits_file: _Splits,
        folder.cases_file: DescribedData,
        folder.environment_file: Environment,
        folder.identity_file: Identity,
    }
    found: list[Any] = []
    problems: list[str] = []
    for path, kind in kinds.items():
        try:
            found.append(_read(path, kind))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    splits, data, environment, identity = found
    folds = tuple(Fold(one.fold, one.train, one.tests, one.training) for one in splits.folds)
    return Description(read_described_study(folder), folds, data, environment, identity)


def _described(fold: Fold) -> _Fold:
    return _Fold(fold=fold.index, train=fold.train, tests=dict(fold.tests), training=fold.training)


def read_identity(folder: RunFolder) -> Identity:
    """What makes a run comparable.

    Raises:
        InputError: The file is damaged.
    """
    return _read(folder.identity_file, Identity)


def resplit(folder: RunFolder, folds: Sequence[Fold], people: Mapping[str, str]) -> list[str]:
    """What a study would do with its cases otherwise than the run of a folder, in words; empty where nothing.

    Further trainings of a split are left out, so that a run can go on with more. A file that is missing or damaged says
    nothing: it is written anew.

    Args:
        folder: Of the run.
        folds: Of the study.
        people: Person by case.
    """
    splits, data = _Splits(), DescribedData()
    with suppress(InputError):
        splits = _read(folder.splits_file, _Splits)
    with suppress(InputError):
        data = _read(folder.cases_file, DescribedData)
    there, now = _places(splits.folds), _places(_described(fold) for fold in folds)
    moved = {name for fold, name in there | now if there.get((fold, name)) != now.get((fold, name))} if there else set()
    known = {name: case.person for name, case in data.cases.items() if name in people}
    others = sorted(name for name, person in known.items() if person not in (None, people[name]))
    told = [f"case {name}: person {known[name]!r} there, {people[name]!r} now" for name in others[:_FEW]]
    return [
        *([f"folds differ: {few(sorted(moved), _FEW)}"] if moved else []),
        *told,
        *([f"{len(others) - _FEW} more of other people"] if others[_FEW:] else []),
    ]


def _places(folds: Iterable[_Fold]) -> dict[tuple[int, str], list[tuple[str, int]]]:
    """Where each case is in each split: its place among the training cases, drawn in that order, and its test sets."""
    places: dict[tuple[int, str], list[tuple[str, int]]] = {}
    for fold in (fold for fold in folds if not fold.training):
        for place, name in enumerate(fold.train):
            places[fold.fold, name] = [("", place)]
        for test_set, names in sorted(fold.tests.items()):
            for name in names:
                places.setdefault((fold.fold, name), []).append((test_set, 0))
    return places


def read_described_study(folder: RunFolder) -> DescribedStudy:
    """The study of a run as it was resolved; empty where there is none.

    Raises:
        InputError: The file is damaged.
    """
    path = folder.study_file
    try:
        return DescribedStudy(tomllib.loads(path.read_text(encoding="utf-8") if path.is_file() else ""))
    except ValueError as error:
        raise InputError(f"{path}: not valid TOML ({error}); run the study again to write it anew") from None


def _read(path: Path, kind: type[_Part]) -> _Part:
    if not path.is_file():
        return kind()
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError([f"{path}: {problem}" for problem in _problems(error)]) from None


def _problems(error: ValidationError) -> Iterable[str]:
    for problem in error.errors():
        where = ".".join(map(str, problem["loc"]))
        if problem["type"] == "json_invalid":
            yield f"not valid JSON ({problem['msg']}); run the study again to write it anew"
        else:
            yield f"{where}: {problem['msg']}; run the study again to write it anew"
