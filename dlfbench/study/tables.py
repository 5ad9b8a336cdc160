"""A study: data, protocol, registration, metrics, methods and budget, read from TOML and checked before it runs."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, StrictInt, StrictStr, ValidationError, model_validator

from dlfbench.datasets.known import has_name
from dlfbench.datasets.readers import absolute_source, is_source
from dlfbench.errors import InputError
from dlfbench.files import LONGEST_NAME, file_name
from dlfbench.plugin_files import absolute, doubt, foreign_code_of, is_file
from dlfbench.plugins import unknown
from dlfbench.registration import make_registration
from dlfbench.registration.interface import Registration
from dlfbench.segmenters.registry import Method, make_method
from dlfbench.study.claims import DeclaredAnalysis
from dlfbench.study.protocol import Amount, Protocol, Strict

DEFAULT_STUDY = "phantom-quick"
DEFAULT_METHODS: dict[str, dict[str, Any]] = {"mv": {}, "svwv": {}, "jlf": {}}


class DataTable(Strict):
    """Which dataset."""

    dataset: str = "phantom"
    """Dataset folder (MSD or nnU-Net raw layout), a name of `dlfbench data list`, or KIND:SOURCE of `list readers`."""


class LabelsTable(Strict):
    """What the label maps of the dataset hold, where it is not the values of its dataset.json."""

    map: str | None = None
    """Table (from, to), or another tool's table of label names: whose values the label maps have."""


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


GroupField = Annotated[tuple[StrictInt | StrictStr, ...], BeforeValidator(_listed)]


class MetricsTable(Strict):
    """Parameters of the metrics."""

    surface_dice_tolerance_mm: Amount = 1.0


class BudgetTable(Strict):
    """How much work may be spent."""

    preset: Literal["quick", "cpu", "paper"] = "cpu"
    """Training budget of every method that has one: quick, cpu or paper."""

    time_limit_s: Amount | None = None
    """A registration, fit or segmentation that takes longer, in seconds, is stopped and counts as failed."""


class Study(Strict):
    """Everything that decides the results."""

    name: str = Field("study", pattern=r"^[\w][\w.-]*$", max_length=100)
    """For reports and the default run folder."""

    seed: int = Field(0, ge=0, strict=True)
    """All randomness derives from it."""

    data: DataTable = DataTable()
    """The dataset."""

    labels: LabelsTable = LabelsTable()
    """How label values are read."""

    groups: dict[str, GroupField] = Field({})
    """Unions of labels, by name or value, that are scored, shown and tested like labels."""

    protocol: Protocol = Protocol()
    """Splits and atlases."""

    registration: dict[str, Any] = Field(default={"use": "greedy"})
    """How atlases are brought onto targets: `use` and its settings."""

    metrics: MetricsTable = MetricsTable()
    """Parameters of the metrics."""

    budget: BudgetTable = BudgetTable()
    """Training budget and time limit."""

    methods: dict[str, dict[str, Any]] = DEFAULT_METHODS
    """The methods that are compared."""  # settings by name; `use` names the plugin where it differs from the name

    analysis: DeclaredAnalysis | None = None
    """What it sets out to show; None: everything is exploration."""

    @model_validator(mode="after")
    def _names_of_methods(self) -> "Study":
        problems = [problem for name in self.methods if (problem := _problem_of_name(name))]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def plugin_files(self) -> tuple[str, ...]:
        """References to single files that it names: methods, registration, dataset."""
        return tuple(code for code in self.foreign_code if is_file(code))

    @property
    def foreign_code(self) -> tuple[str, ...]:
        """References to code that it names: single files of methods, registration and dataset; command lines."""
        files = [use for use in (str(self.registration.get("use", "")), self.data.dataset) if is_file(use)]
        methods = [code for name, table in self.methods.items() for code in foreign_code_of(table, name)]
        return tuple(dict.fromkeys([*methods, *files]))

    def build_registration(self) -> Registration:
        settings = dict(self.registration)
        return make_registration(settings.pop("use", "greedy"), settings)

    def build_methods(self) -> tuple[Method, ...]:
        """The methods with their parameters; every problem of every method is raised at once."""
        methods: list[Method] = []
        problems: list[str] = []
        if not self.methods:  # here, since `dlfbench.run` may add some to a study's
            problems.append("methods: expected at least one, found none; `dlfbench list methods` shows them")
        for name, table in self.methods.items():
            settings = dict(table)
            try:
                methods.append(make_method(name, settings.pop("use", name), settings, preset=self.budget.preset))
            except InputError as error:
                problems += error.problems
        if problems:
            raise InputError(problems)
        return tuple(methods)

    def resolved(self) -> "Study":
        """The same study with every default of methods, registration and protocol written out."""
        registration = self.build_registration()
        methods = {m.name: {"use": m.use, **_written_out(m.segmenter)} for m in self.build_methods()}
        return self.model_copy(
            update={
                "protocol": self.protocol.with_default_split(),
                "registration": {"use": self.registration.get("use", "greedy"), **_written_out(registration)},
                "methods": methods,
            }
        )


def _problem_of_name(name: str) -> str:
    """Why a method cannot be called so; empty where it can."""
    shown = name if len(name) <= 40 else f"{name[:40]}..."
    if name == "candidate" or name.startswith("oracle"):
        return f"methods: the name {shown!r} is kept for bounds; give the method another"
    if not file_name(name).strip(".") or not name.isprintable():
        return f"methods: the name {shown!r} cannot be a folder's; give the method another"
    if len(name.encode()) > LONGEST_NAME:
        return f"methods: the name {shown!r} has {len(name.encode())} bytes; a folder's may have {LONGEST_NAME}"
    return ""


def _written_out(plugin: Any) -> dict[str, Any]:
    """Parameters as a study file holds them: TOML has no None, which is read from the text "none"."""
    return {name: "none" if value is None else value for name, value in asdict(plugin).items()}


def read_study(source: str | Path) -> Study:
    """Reads a study file, by path or by the name of one that comes with dlfbench.

    Raises:
        InputError: No such study, not TOML, an unknown key or a wrong type (with key and line); a claim about a method
            that it does not have.
    """
    study = read_run_study(source)
    problems = study.analysis.unknown(methods=study.methods) if study.analysis else []
    if problems:
        raise InputError([f"{source}: {problem}" for problem in problems])
    return study


def read_run_study(source: str | Path) -> Study:
    """Reads the study file of a run folder: claims may be about methods that `--methods` left out.

    Raises:
        InputError: As `read_study`, but for such claims.
    """
    text, where = _text_of(str(source))
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: not a valid TOML file: {error}") from None
    study = make_study(tables, where=where, text=text)
    study = with_absolute_files(study, Path(where).parent)
    doubt(_texts(study.model_dump(mode="json")))
    return study


def _texts(value: Any) -> Iterator[str]:
    """Every text in nested tables, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from _texts(item)


def with_absolute_files(study: Study, folder: Path) -> Study:
    """The same study, in which paths of data and of plugin files (`use = "./my_fusion.py:MyFusion"`) start at the root.

    Relative ones start at `folder`; a dataset that is no folder there is left as it is.
    """
    tables = {
        name: {**table, "use": absolute(str(table.get("use", name)), folder)} for name, table in study.methods.items()
    }
    methods = {name: tables[name] if tables[name]["use"] != name else table for name, table in study.methods.items()}
    registration = {**study.registration, "use": absolute(str(study.registration.get("use", "greedy")), folder)}
    data = DataTable(dataset=_absolute_data(study.data.dataset, folder))
    table = study.labels.map
    labels = LabelsTable(map=table and str((folder / table).resolve()))
    given = study.protocol.folds_from
    protocol = study.protocol.model_copy(update={"folds_from": given and str((folder / given).resolve())})
    changed = {"methods": methods, "registration": registration, "data": data, "labels": labels, "protocol": protocol}
    return study.model_copy(update=changed)


def _absolute_data(source: str, folder: Path) -> str:
    if is_source(source):
        return absolute_source(source, folder)
    if is_file(source):
        return absolute(source, folder)
    there = (folder / source).exists() or Path(source).exists()  # one of that name in the current folder is not meant
    return str((folder / source).resolve()) if there and not has_name(source) else source


def make_study(tables: Mapping[str, Any], *, where: str = "study", text: str = "") -> Study:
    """Checks the tables of a study.

    Args:
        tables: As read from TOML.
        where: What to call the source in errors.
        text: The TOML text, for line numbers in errors.

    Raises:
        InputError: One line for each unknown key, wrong type or value.
    """
    try:
        return Study.model_validate(dict(tables))
    except ValidationError as error:
        raise InputError([_explain(dict(problem), where, text) for problem in error.errors()]) from None


def known_studies() -> dict[str, str]:
    """Studies that come with dlfbench: name and the comment at the head of the file."""
    found = {}
    for file in sorted((files("dlfbench.study") / "files").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            head = [line[2:] for line in file.read_text().splitlines() if line.startswith("# ")]
            found[file.name.removesuffix(".toml")] = " ".join(head)
    return found


def _text_of(source: str) -> tuple[str, str]:
    path = Path(source)
    if path.suffix == ".toml" or path.is_file():
        try:
            return path.read_text(encoding="utf-8-sig"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: the study file cannot be read: {error}") from None
    if source not in known_studies():
        raise InputError(f"{unknown('study', source, known_studies())}; or give the path of a .toml file")
    return (files("dlfbench.study") / "files" / f"{source}.toml").read_text(), source


def _explain(problem: dict[str, Any], where: str, text: str) -> str:
    path = [str(part) for part in problem["loc"]]
    line = _line_of(path, text)
    place = f"{where}{f', line {line}' if line else ''}: {'.'.join(path)}"
    if problem["type"] == "extra_forbidden":
        return f"{place}: {unknown('key', path[-1], _keys_beside(path))}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    told = isinstance(problem["input"], dict) or problem["type"] == "value_error"  # our own checks say what they found
    found = "" if told else f", found {problem['input']!r}"
    return f"{place}: {message[:1].lower()}{message[1:]}{found}"


def _keys_beside(path: list[str]) -> list[str]:
    table: Any = Study
    for part in path[:-1]:
        kind = table.model_fields[part].annotation
        table = next((one for one in get_args(kind) if hasattr(one, "model_fields")), kind)  # of `Table | None`
    return list(table.model_fields)


def _line_of(path: list[str], text: str) -> int | None:
    """Line of a key in TOML text: the first line that sets it after the header of its table."""
    lines = text.splitlines()
    start = 0
    for number, line in enumerate(lines):
        header = re.fullmatch(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?", line)
        if header and header[1].split(".") == path[: header[1].count(".") + 1]:
            start = number
    for key in reversed(path):
        for number, line in enumerate(lines[start:], start + 1):
            if re.search(rf"(^|[\s,{{\[.\"']){re.escape(key)}[\"']?\s*(=|\]|\.)", line):
                return number
    return None
