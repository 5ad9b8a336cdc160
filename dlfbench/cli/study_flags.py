"""From the flags of `dlfbench run` to a study. What a flag says of itself is what the study's own field says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel
from typer.models import OptionInfo

from dlfbench.datasets.readers import absolute_source, is_source
from dlfbench.errors import InputError
from dlfbench.files import file_name
from dlfbench.plugin_files import absolute, consent, foreign_code_of
from dlfbench.records.folder import RunFolder
from dlfbench.segmenters.specs import parse_method, parse_methods
from dlfbench.study.protocol import Protocol
from dlfbench.study.tables import (
    DEFAULT_STUDY,
    BudgetTable,
    DataTable,
    LabelsTable,
    Study,
    make_study,
    read_run_study,
    read_study,
    with_absolute_files,
)

WHAT_IS_COMPARED = "What is compared"
_AGAIN = "May be given several times."
_CURVES = "Several draw learning curves: 5,10,20."
_METHODS = (
    "Comma-separated: NAME, a variant NAME[parameter=value] such as jlf[patch_radius=3], a file of yours FILE.py:NAME; "
    "any of them called otherwise: NAME=METHOD."
)
_REGISTRATION = (
    "How atlases are registered: NAME, NAME[parameter=value] such as greedy_roi[margin_mm=20] (deforms only around the "
    "labels), a file of yours FILE.py:NAME. `dlfbench list registrations` shows them. Default: the study's, or greedy."
)
_WAYS_TO_SPLIT = ("folds", "hold_out", "fold_column", "folds_from")


_TABLES: dict[str, type[BaseModel]] = {
    "": Study,
    "data": DataTable,
    "labels": LabelsTable,
    "protocol": Protocol,
    "budget": BudgetTable,
}


class _StudyOption(OptionInfo):
    """A flag for a field of a study: it says what the field says.

    Args:
        table: Of the study file; empty for the top.
        key: In the table.
        names: Of the flag, where it is not that of its attribute.
        metavar: What is typed.
        also: What is to be known of the flag beside it.
        instead: What the flag says, where it is not about the whole field.
        read: From what was typed to what the file holds.
    """

    def __init__(
        self,
        table: str,
        key: str,
        *names: str,
        metavar: str | None = None,
        also: str = "",
        instead: str = "",
        read: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        said = instead or _TABLES[table].model_fields[key].description or ""
        super().__init__(
            default=...,
            param_decls=names,
            metavar=metavar,
            help=f"{said} {also}".strip(),
            rich_help_panel=WHAT_IS_COMPARED,
        )
        self.table, self.key, self.read = table, key, read


def _dataset(text: str) -> str:
    """Folders are kept as absolute paths, so that the study does not depend on where it is started."""
    consent(text)
    if Path(text).exists():
        return str(Path(text).resolve())
    return absolute_source(text, Path.cwd()) if is_source(text) else absolute(text, Path.cwd())


def _absolute(path: Path) -> str:
    return str(path.resolve())


def _test_sets(texts: Sequence[str]) -> dict[str, str]:
    sets: dict[str, str] = {}
    for text in texts:
        head, colon, rest = text.partition(":")
        name, rule = (head, rest) if colon and "=" not in head else (text.partition("=")[2], text)
        if name in sets:
            raise InputError(f"--test-on: two test sets are called {name!r}; name them: --test-on NAME:{rule}")
        sets[name] = rule
    return sets


def _shifts(texts: Sequence[str]) -> dict[str, str]:
    shifts: dict[str, str] = {}
    for text in texts:
        name = file_name(text)
        if shifts.setdefault(name, text) != text:
            raise InputError(
                f"--shift: expected test sets of names of their own, found {name!r} for {shifts[name]!r} and {text!r}; "
                "name them in a study file, under [protocol.shifts]"
            )
    return shifts


def _numbers(text: str) -> int | str | list[int]:
    """One number, or several for learning curves; anything else is for the study to refuse."""
    words = _columns(text)
    if not all(word.isdecimal() for word in words):
        return text
    return int(words[0]) if len(words) == 1 else [int(word) for word in words]


def _columns(text: str) -> list[str]:
    return [column.strip() for column in text.split(",") if column.strip()]


def _methods(text: str) -> dict[str, Any]:
    asked = parse_methods(text)
    consent(*(code for table in asked.values() for code in foreign_code_of(table)))
    return asked


def _registration(text: str) -> dict[str, Any]:
    try:
        _, asked = parse_method(text)
    except InputError as error:
        raise InputError([problem.replace("--methods", "--registration") for problem in error.problems]) from None
    consent(*foreign_code_of(asked))
    return asked


@dataclass(frozen=True)
class StudyFlags:
    """Flags over a study; None where one was not given."""

    data: Annotated[str | None, _StudyOption("data", "dataset", read=_dataset)] = None
    label_map: Annotated[Path | None, _StudyOption("labels", "map", "--map", read=_absolute)] = None
    methods: Annotated[
        str | None,
        _StudyOption("", "methods", also=_METHODS, read=_methods),
    ] = None
    folds: Annotated[int | None, _StudyOption("protocol", "folds")] = None
    fold_column: Annotated[str | None, _StudyOption("protocol", "fold_column")] = None
    folds_from: Annotated[Path | None, _StudyOption("protocol", "folds_from", read=_absolute)] = None
    repeats: Annotated[int | None, _StudyOption("protocol", "repeats")] = None
    seeds: Annotated[int | None, _StudyOption("protocol", "seeds")] = None
    hold_out: Annotated[float | None, _StudyOption("protocol", "hold_out")] = None
    train_on: Annotated[str | None, _StudyOption("protocol", "train", metavar="COLUMN=VALUE")] = None
    test_on: Annotated[
        list[str] | None,
        _StudyOption("protocol", "test", metavar="[NAME:]COLUMN=VALUE", also=_AGAIN, read=_test_sets),
    ] = None
    shift: Annotated[
        list[str] | None,
        _StudyOption("protocol", "shifts", metavar="KIND:SEVERITY", also=_AGAIN, read=_shifts),
    ] = None
    match: Annotated[str | None, _StudyOption("protocol", "match", metavar="COLUMN,..", read=_columns)] = None
    atlases: Annotated[str | None, _StudyOption("protocol", "atlases", metavar="N[,N..]", read=_numbers)] = None
    train_cases: Annotated[
        str | None, _StudyOption("protocol", "train_cases", metavar="N[,N..]", also=_CURVES, read=_numbers)
    ] = None
    draws: Annotated[int | None, _StudyOption("protocol", "draws")] = None
    test_cases: Annotated[int | None, _StudyOption("protocol", "test_cases")] = None
    cases: Annotated[int | None, _StudyOption("protocol", "cases")] = None
    registration: Annotated[str | None, _StudyOption("", "registration", instead=_REGISTRATION, read=_registration)] = (
        None
    )
    preset: Annotated[str | None, _StudyOption("budget", "preset")] = None
    time_limit_s: Annotated[float | None, _StudyOption("budget", "time_limit_s")] = None
    seed: Annotated[int | None, _StudyOption("", "seed")] = None

    @property
    def given(self) -> dict[str, Any]:
        """Those that were given."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) not in (None, [])}


def study_from_flags(source: str | None, flags: StudyFlags) -> Study:
    """A study file, or the default study, with flags over it.

    Args:
        source: Path or name of a study; None for the embedded phantom, or a plain cross-validation of `--data`.
        flags: What was given beside it.

    Raises:
        InputError: The study or a flag cannot be read.
    """
    if source is None and flags.data is not None:
        name = file_name(Path(flags.data).resolve().name).strip(".") or "study"
        study = make_study({"name": name})
    else:
        study = _read(source or DEFAULT_STUDY)
    tables = study.model_dump(mode="json", exclude_none=True)
    given = flags.given
    if any(way in given for way in _WAYS_TO_SPLIT):  # one of them is instead of that of the study
        for way in _WAYS_TO_SPLIT:
            tables["protocol"].pop(way, None)
    for name, value in given.items():
        option = _OPTIONS[name]
        table = tables[option.table] if option.table else tables
        table.pop(f"fewer_{option.key}", None)  # numbers of learning curves, which are given in the same flag
        table[option.key] = option.read(value)
    if flags.methods is not None:  # a name that the study file defines keeps its definition
        known = study.methods
        tables["methods"] = {
            name: known[name] if asked == {"use": name} and name in known else asked
            for name, asked in tables["methods"].items()
        }
    return with_absolute_files(make_study(tables, where="command line"), Path.cwd())


def _read(source: str) -> Study:
    """A study; of a run folder, one whose claims may be about methods that `--methods` left out."""
    folder = RunFolder(Path(source).parent)
    is_of_run = Path(source) == folder.study_file and folder.identity_file.is_file()
    return read_run_study(source) if is_of_run else read_study(source)


_OPTIONS: dict[str, _StudyOption] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(StudyFlags, include_extras=True).items()
}
