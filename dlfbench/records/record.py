"""What a run folder holds, read once for a report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from dlfbench.datasets.cases import FIRST_GROUP, Case
from dlfbench.errors import InputError
from dlfbench.images import FloatArray, Grid
from dlfbench.metrics.calibration import CALIBRATION_COLUMNS
from dlfbench.metrics.failed import without_failed_metrics
from dlfbench.metrics.signs import SIGN_COLUMNS
from dlfbench.records.declared import Declaration, read_declarations, write_declarations
from dlfbench.records.described_data import DescribedCase, DescribedData
from dlfbench.records.described_study import DescribedStudy
from dlfbench.records.description import Description, Environment, Identity, read_description, write_description
from dlfbench.records.folder import RunFolder
from dlfbench.records.results import (
    CALIBRATION,
    CANDIDATE_COLUMNS,
    CANDIDATES,
    CURVE,
    CURVE_COLUMNS,
    REGISTRATIONS,
    SIGNS_TABLE,
    TIMINGS,
    read_results,
    write_table,
)
from dlfbench.study.protocol import IN_DOMAIN
from dlfbench.study.splits import Fold


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
        results: Columns of `RESULT_COLUMNS`; without values of metrics of plugins that failed.
        timings: Columns of `TIMING_COLUMNS`.
        registrations: Columns of `REGISTRATION_COLUMNS`.
        description: What it says of itself.
        origins: Where methods are that are not in `folder` under their own name.
        parts: The runs that were merged; empty where this is one run.
        declarations: What was declared, and when; the last one is in force.
        calibration: Columns of `CALIBRATION_COLUMNS`; empty where the run kept no posteriors.
        curve: Columns of `CURVE_COLUMNS`; empty without learning curves.
        candidates: Columns of `CANDIDATE_COLUMNS`; empty where no atlas was scored, or by an earlier build.
        signs: Columns of `SIGN_COLUMNS`; empty where the run is of an earlier build.
    """

    folder: Path
    results: pd.DataFrame
    timings: pd.DataFrame
    registrations: pd.DataFrame
    description: Description
    origins: Mapping[str, Origin] = field(default_factory=dict)
    parts: tuple["Record", ...] = ()
    declarations: tuple[Declaration, ...] = ()
    calibration: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(CALIBRATION_COLUMNS)))
    curve: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(CURVE_COLUMNS)))
    candidates: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(CANDIDATE_COLUMNS)))
    signs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SIGN_COLUMNS)))

    @property
    def study(self) -> DescribedStudy:
        return self.description.study

    @property
    def folds(self) -> tuple[Fold, ...]:
        return self.description.folds

    @property
    def data(self) -> DescribedData:
        return self.description.data

    @property
    def environment(self) -> Environment:
        return self.description.environment

    @property
    def identity(self) -> Identity:
        return self.description.identity

    @property
    def name(self) -> str:
        return self.study.name or self.folder.name

    @property
    def dataset(self) -> str:
        return self.data.dataset or self.study.dataset or "unnamed dataset"

    @property
    def seed(self) -> int:
        return self.study.seed

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods in the order of the study file."""
        return self._present("method", self.study.methods)

    @property
    def bounds(self) -> tuple[str, ...]:
        """Bounds: the oracle by rising threshold, then the single candidate."""
        return self._present("bound", ("oracle_one", "oracle05", "oracle10", "oracle20", "oracle30", "oracle50"))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the foreground labels, by ascending value."""
        return self._scored(self.results["label"] < FIRST_GROUP)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups of labels that were scored."""
        return self._scored(self.results["label"] >= FIRST_GROUP)

    @property
    def test_sets(self) -> tuple[str, ...]:
        """Test sets in the order of the protocol; in-domain first, also where the splits are not there to say so."""
        planned = [name for fold in self.folds for name in fold.tests]
        planned += [IN_DOMAIN, *self.study.test_sets]
        return _in_order(planned, self.results["test_set"].unique())

    @property
    def splits(self) -> tuple[Fold, ...]:
        """The folds, each once however often methods were trained on it."""
        return tuple(fold for fold in self.folds if not fold.training)

    @property
    def says_who_trained(self) -> bool:
        """Whether the training cases are recorded; of predictions from elsewhere they are not."""
        return any(fold.train for fold in self.folds)

    @property
    def runs(self) -> tuple["Record", ...]:
        """The runs that were merged, or this one."""
        return self.parts or (self,)

    def files(self, case: str) -> tuple[Path, Path]:
        """The first image of a case and its reference, as recorded.

        Raises:
            KeyError: The files of the case are not recorded.
        """
        known = self.case(case)
        if not known.images or known.reference is None:
            raise KeyError(f"files of case {case}")
        return known.images[0], known.reference

    def image(self, case: str) -> tuple[FloatArray, Grid]:
        """Voxels (x, y, z) of the first image of a case as methods saw it, and its grid.

        Raises:
            KeyError: The files of the case are not recorded.
            InputError: A file cannot be read.
        """
        self.files(case)
        known = self.case(case)
        if known.shift is None:  # a change is of all modalities
            known = replace(known, images=known.images[:1])
        target = known.read_target()
        return target.images[0], target.grid

    def case(self, name: str) -> Case:
        """A case as recorded, which is read as the run read it.

        Raises:
            KeyError: The case is not recorded.
        """
        return self.data.case(name, self.folder)

    def origin(self, method: str) -> Origin:
        """Where a method's segmentations are, and what it is called there."""
        return self.origins.get(method, Origin(self.folder, method))

    def run_of(self, method: str) -> "Record":
        """The run, of those that were merged, that a method is of; this record where it is of none of them."""
        folder = self.origin(method).folder
        return next((run for run in self.runs if run.folder == folder), self)

    def segmentations(self, test_set: str, case: str) -> dict[str, Path]:
        """The file of each method that segmented the case, of the first fold that tests it; only those there."""
        rows = self.results[(self.results["case"] == case) & (self.results["test_set"] == test_set)]
        rows = rows[(rows["status"] == "ok") & (rows["kind"] == "method")]
        folds = rows.groupby("method")["fold"].min()
        paths: dict[str, Path] = {}
        for method in (name for name in self.methods if name in folds):
            origin = self.origin(method)
            path = RunFolder(origin.folder).segmentation_path(origin.method, int(folds[method]), case)
            paths |= {method: path} if path.is_file() else {}
        return paths

    def case_column(self, case: str, column: str) -> str:
        """A column of cases.tsv; empty where it is not known."""
        return self.data.cases.get(case, DescribedCase()).columns.get(column, "")

    def _scored(self, which: pd.Series) -> tuple[str, ...]:
        pairs = self.results.loc[which, ["label", "label_name"]].drop_duplicates().sort_values("label")
        return tuple(dict.fromkeys(pairs["label_name"]))

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
        without_failed_metrics(results),
        TIMINGS.read(folder),
        REGISTRATIONS.read(folder),
        read_description(RunFolder(folder)),
        declarations=read_declarations(folder),
        calibration=CALIBRATION.read(folder),
        curve=CURVE.read(folder),
        candidates=CANDIDATES.read(folder),
        signs=SIGNS_TABLE.read(folder),
    )


def write_record(record: Record, folder: Path) -> None:
    """Writes a record as a run folder without segmentations and models: what `read_record` needs, and no CSV."""
    write_table(record.results, RunFolder(folder).results_file)
    TIMINGS.write(record.timings, folder)
    REGISTRATIONS.write(record.registrations, folder)
    for table, rows in (
        (CALIBRATION, record.calibration),
        (CURVE, record.curve),
        (CANDIDATES, record.candidates),
        (SIGNS_TABLE, record.signs),
    ):
        if not rows.empty:
            table.write(rows, folder)
    write_description(RunFolder(folder), record.description)
    if record.declarations:
        write_declarations(folder, record.declarations)


def _in_order(order: Iterable[str], present: Iterable[str]) -> tuple[str, ...]:
    """What is present: first as ordered, then the rest by name."""
    names = set(present)
    first = [name for name in dict.fromkeys(order) if name in names]
    return (*first, *sorted(names - set(first)))
