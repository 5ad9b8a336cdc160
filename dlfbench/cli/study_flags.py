"""From the flags of `dlfbench run` to a study."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlfbench.datasets.readers import absolute_source, is_source
from dlfbench.errors import InputError
from dlfbench.files import file_name
from dlfbench.plugin_files import absolute, consent
from dlfbench.segmenters.specs import parse_methods
from dlfbench.study.tables import DEFAULT_STUDY, Study, make_study, read_study


def study_from_flags(source: str | None, flags: dict[str, Any]) -> Study:
    """A study file, or the default study, with flags over it.

    Args:
        source: Path or name of a study; None for the embedded phantom, or a plain cross-validation of `--data`.
        flags: Values by flag name; None where a flag was not given.

    Raises:
        InputError: The study or a flag cannot be read.
    """
    if source is None and flags.get("data") is not None:
        name = file_name(Path(flags["data"]).resolve().name).strip(".") or "study"
        study = make_study({"name": name})
    else:
        study = read_study(source or DEFAULT_STUDY)
    tables = study.model_dump(mode="json", exclude_none=True)
    _override(tables, flags)
    return make_study(tables, where="command line")


def _override(tables: dict[str, Any], flags: dict[str, Any]) -> None:
    protocol = tables["protocol"]
    if flags.get("data") is not None:
        tables["data"]["dataset"] = _dataset_name(flags["data"])
        consent(flags["data"])
    if flags.get("label_map") is not None:
        tables["labels"] = {"map": str(Path(flags["label_map"]).resolve())}
    if flags.get("methods") is not None:
        tables["methods"] = _methods(flags["methods"], tables["methods"])
    if any(flags.get(flag) is not None for flag in ("folds", "hold_out", "fold_column")):
        for flag in ("folds", "hold_out", "fold_column"):
            protocol.pop(flag, None)
    for flag in ("folds", "hold_out", "fold_column", "repeats", "seeds", "atlases", "cases", "train_cases", "test_cases"):
        if flags.get(flag) is not None:
            protocol[flag] = flags[flag]
    if flags.get("train_on") is not None:
        protocol["train"] = flags["train_on"]
    if flags.get("test_on"):
        protocol["test"] = _test_sets(flags["test_on"])
    if flags.get("shift"):
        protocol["shifts"] = {file_name(text): text for text in flags["shift"]}
    if flags.get("match") is not None:
        protocol["match"] = [column.strip() for column in flags["match"].split(",") if column.strip()]
    if flags.get("seed") is not None:
        tables["seed"] = flags["seed"]
    for flag in ("preset", "time_limit_s"):
        if flags.get(flag) is not None:
            tables["budget"][flag] = flags[flag]


def _dataset_name(text: str) -> str:
    """Folders are kept as absolute paths, so that the study does not depend on where it is started."""
    if Path(text).exists():
        return str(Path(text).resolve())
    return absolute_source(text, Path.cwd()) if is_source(text) else absolute(text, Path.cwd())


def _methods(text: str, known: dict[str, Any]) -> dict[str, Any]:
    """Methods of the command line; a name that the study file defines keeps its definition."""
    asked = parse_methods(text)
    consent(*(str(table["use"]) for table in asked.values()))
    return {name: known[name] if table == {"use": name} and name in known else table for name, table in asked.items()}


def _test_sets(texts: Sequence[str]) -> dict[str, str]:
    sets: dict[str, str] = {}
    for text in texts:
        head, colon, rest = text.partition(":")
        name, rule = (head, rest) if colon and "=" not in head else (text.partition("=")[2], text)
        if name in sets:
            raise InputError(f"--test-on: two test sets are called {name!r}; name them: --test-on NAME:{rule}")
        sets[name] = rule
    return sets
