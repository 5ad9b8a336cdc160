"""What a run folder holds, read once for a report."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import tomli_w

from dlfbench.datasets.cases import Case, LabelSet
from dlfbench.datasets.decathlon import undrawn_labels
from dlfbench.datasets.mapping import LabelMapping
from dlfbench.datasets.shifts import MISSING, Shift
from dlfbench.errors import InputError
from dlfbench.images import FloatArray, Grid, read_image
from dlfbench.metrics.calibration import CALIBRATION_COLUMNS
from dlfbench.records.declared import Declaration, read_declarations, write_declarations
from dlfbench.records.folder import RunFolder, write_json, write_text
from dlfbench.records.results import REGISTRATION_COLUMNS, TIMING_COLUMNS, read_results, read_table, write_table
from dlfbench.study.protocol import IN_DOMAIN


@dataclass(frozen=True)
class Origin:
    """Where a method's segmentations are.

    Attributes:
        folder: Its run folder.
        method: Its name there.
    """

    folder: Path
    method: str


@dataclass(frozen=True)
class Record:
    """A run as it was recorded. Only the results must be there; the rest may be missing or empty.

    Attributes:
        folder: The run folder; of merged runs, the first's.
        results: Columns of `RESULT_COLUMNS`.
        timings: Columns of `TIMING_COLUMNS`.
        registrations: Columns of `REGISTRATION_COLUMNS`.
        study: The resolved study file as tables.
        folds: As in splits.json: fold, train, tests; training, of those that are a split trained on again.
        data: As in cases.json: dataset, description, modalities, labels, cases.
        environment: Versions, machine and resources.
        identity: As in identity.json: seed, protocol, registration, metrics, digests of the data.
        origins: Where methods are that are not in `folder` under their own name.
        parts: The runs that were merged; empty where this is one run.
        declarations: What was declared, and when; the last one is in force.
        calibration: Columns of `CALIBRATION_COLUMNS`; empty where the run kept no posteriors.
    """

    folder: Path
    results: pd.DataFrame
    timings: pd.DataFrame
    registrations: pd.DataFrame
    study: Mapping[str, Any]
    folds: tuple[Mapping[str, Any], ...]
    data: Mapping[str, Any]
    environment: Mapping[str, Any]
    identity: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    parts: tuple["Record", ...] = ()
    declarations: tuple[Declaration, ...] = ()
    calibration: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(CALIBRATION_COLUMNS)))

    @property
    def name(self) -> str:
        return str(self.study.get("name") or self.folder.name)

    @property
    def study_text(self) -> str:
        """The resolved study file."""
        return tomli_w.dumps(self.study)

    @property
    def dataset(self) -> str:
        return str(self.data.get("dataset") or self.study.get("data", {}).get("dataset") or "unnamed dataset")

    @property
    def seed(self) -> int:
        return int(self.study.get("seed", 0))

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods in the order of the study file."""
        return self._present("method", self.study.get("methods", {}))

    @property
    def bounds(self) -> tuple[str, ...]:
        """Bounds: the oracle by rising threshold, then the single candidate."""
        return self._present("bound", ("oracle_one", "oracle05", "oracle10", "oracle20", "oracle30", "oracle50"))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the foreground labels, by ascending value."""
        pairs = self.results[["label", "label_name"]].drop_duplicates().sort_values("label")
        return tuple(pairs["label_name"])

    @property
    def test_sets(self) -> tuple[str, ...]:
        """Test sets in the order of the protocol; in-domain first, also where the splits are not there to say so."""
        planned = [name for fold in self.folds for name in fold.get("tests", {})]
        planned += [IN_DOMAIN, *self.study.get("protocol", {}).get("test", {})]
        return _in_order(planned, self.results["test_set"].unique())

    @property
    def runs(self) -> tuple["Record", ...]:
        """The runs that were merged, or this one."""
        return self.parts or (self,)

    def files(self, case: str) -> tuple[Path, Path]:
        """The first image of a case and its reference, as recorded.

        Raises:
            KeyError: The files of the case are not recorded.
        """
        about = self.data["cases"][case]
        if not about["images"]:
            raise KeyError(f"images of case {case}")
        return self.located(about["images"][0]), self.located(about["reference"])

    def image(self, case: str) -> tuple[FloatArray, Grid]:
        """Voxels (x, y, z) of the first image of a case as methods saw it, and its grid.

        Raises:
            KeyError: The files of the case are not recorded.
            InputError: The file cannot be read.
        """
        voxels, grid = read_image(self.files(case)[0])
        text = self.data["cases"][case].get("shift")
        first = self.data.get("modalities", ["image"])[:1]
        if text and not (Shift(text).kind == MISSING and Shift(text).value not in first):
            voxels = Shift(text).apply(voxels[None], first, case)[0]
        return voxels, grid

    def case(self, name: str) -> Case:
        """A case as recorded, whose reference is read as the run read it.

        Raises:
            KeyError: The case is not recorded.
        """
        about, mapping = self.data["cases"][name], self.data.get("mapping")
        names = self.data.get("labels", {})
        labels = LabelSet(tuple(names.values()), tuple(names), self.data.get("ignore"))
        columns = {**about.get("columns", {}), "person": about.get("person", name)}
        return Case(
            name,
            tuple(self.located(path) for path in about.get("images", ())),
            self.located(about["reference"]),
            columns,
            ignore=labels.ignore,
            undrawn=undrawn_labels(columns, labels)[0],
            mapping=mapping and LabelMapping(tuple((a, b) for a, b in mapping["pairs"]), mapping["rest"]),
        )

    def located(self, path: str) -> Path:
        """A path as recorded, or from the run folder where the run was recorded with relative paths."""
        return Path(path) if Path(path).is_file() else self.folder / path

    def segmentations(self, test_set: str, case: str) -> dict[str, Path]:
        """The file of each method that segmented the case, of the first fold that tests it; only those there."""
        rows = self.results[(self.results["case"] == case) & (self.results["test_set"] == test_set)]
        rows = rows[(rows["status"] == "ok") & (rows["kind"] == "method")]
        folds = rows.groupby("method")["fold"].min()
        paths: dict[str, Path] = {}
        for method in (name for name in self.methods if name in folds):
            origin = self.origins.get(method, Origin(self.folder, method))
            path = RunFolder(origin.folder).segmentation_path(origin.method, int(folds[method]), case)
            paths |= {method: path} if path.is_file() else {}
        return paths

    @property
    def splits(self) -> tuple[Mapping[str, Any], ...]:
        """The folds, each once however often methods were trained on it."""
        return tuple(fold for fold in self.folds if not fold.get("training"))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of cases.tsv that are known of some case."""
        cases = self.data.get("cases", {}).values()
        return tuple(dict.fromkeys(name for about in cases for name in about.get("columns", {})))

    def case_column(self, case: str, column: str) -> str:
        """A column of cases.tsv; empty where it is not known."""
        return str(self.data.get("cases", {}).get(case, {}).get("columns", {}).get(column, ""))

    def _present(self, kind: str, order: Iterable[str]) -> tuple[str, ...]:
        return _in_order(order, self.results.loc[self.results["kind"] == kind, "method"].unique())


def read_record(folder: Path) -> Record:
    """Reads a run folder.

    Raises:
        InputError: There are no results, or a file is damaged.
    """
    results = read_results(folder)
    if results.empty:
        raise InputError(f"{folder}: expected results, found none; run the study first")
    return Record(
        folder,
        results,
        _table(folder / "timings.parquet", TIMING_COLUMNS),
        _table(folder / "registrations.parquet", REGISTRATION_COLUMNS),
        tomllib.loads(_text(folder / "study.toml")),
        tuple(_json(folder / "splits.json").get("folds", ())),
        _json(folder / "cases.json"),
        _json(folder / "environment.json"),
        _json(folder / "identity.json"),
        declarations=read_declarations(folder),
        calibration=_table(folder / "calibration.parquet", CALIBRATION_COLUMNS),
    )


def write_record(record: Record, folder: Path) -> None:
    """Writes a record as a run folder without segmentations and models: what `read_record` needs, and no CSV."""
    write_table(record.results, folder / "results.parquet")
    write_table(record.timings, folder / "timings.parquet")
    write_table(record.registrations, folder / "registrations.parquet")
    if not record.calibration.empty:
        write_table(record.calibration, folder / "calibration.parquet")
    write_text(folder / "study.toml", record.study_text)
    said = {"splits": {"folds": record.folds}, "cases": record.data}
    for name, tables in {**said, "environment": record.environment, "identity": record.identity}.items():
        write_json(folder / f"{name}.json", tables)
    if record.declarations:
        write_declarations(folder, record.declarations)


def _in_order(order: Iterable[str], present: Iterable[str]) -> tuple[str, ...]:
    """What is present: first as ordered, then the rest by name."""
    found = set(present)
    first = [name for name in dict.fromkeys(order) if name in found]
    return (*first, *sorted(found - set(first)))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(_text(path) or "{}"))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); run the study again to write it anew") from None


def _table(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    table = read_table(path) if path.is_file() else pd.DataFrame()
    return table.reindex(columns=list(columns))
