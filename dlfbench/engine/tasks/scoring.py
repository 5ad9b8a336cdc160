"""Scores of segmentations, and the bounds of fusion: the tasks that see references of test cases."""

from dataclasses import dataclass
from typing import Any

from dlfbench.datasets.cases import Case, LabelSet
from dlfbench.engine.tasks.methods import check_files
from dlfbench.engine.tasks.registration import RegistrationTask, keys_of, load_atlases
from dlfbench.engine.tasks.task import Place, Progress, Task
from dlfbench.engine.trouble import our_files
from dlfbench.fusion.oracle import Oracle
from dlfbench.images import read_labels
from dlfbench.metrics.calibration import calibration
from dlfbench.records.folder import Left, Product
from dlfbench.records.judge import Judge
from dlfbench.records.posteriors import read_listed

ORACLES = {"oracle05": 0.05, "oracle10": 0.10, "oracle20": 0.20, "oracle30": 0.30, "oracle50": 0.50}


@dataclass(frozen=True)
class ScoreTask(Task):
    """Scores one segmentation against the reference: the first and only sight of it."""

    kind = "score"

    case: Case
    labels: LabelSet
    tolerance_mm: float

    @property
    def requires(self) -> tuple[tuple[str, str], ...]:
        return (("segmentation", self.needs[0]),)

    @property
    def reference_cases(self) -> tuple[Case, ...]:
        return (self.case,)

    def run(self, place: Place, progress: Progress) -> Left:
        path = place.folder.segmentation_path(self.names["method"], self.names["fold"], self.case.name)
        with our_files():
            made = check_files(place.folder, "segmentation", self.needs[0])
            prediction, grid = read_labels(path)
            judge = Judge.of(self.case, self.labels, self.tolerance_mm)
            posterior = read_listed(place.folder, made, self.names)
        judge.check_grid(grid, path.name)
        rows = judge.rows(prediction)
        if posterior is None:
            return Left(rows)
        bins = calibration(
            posterior, judge.reference, self.labels, spacing_mm=grid.spacing_mm, undrawn=self.case.undrawn
        )
        return Left([{**row, "calibration": bins.get(row["label"], [])} for row in rows])


@dataclass(frozen=True)
class BoundsTask(Task):
    """What fusion of these candidates can reach: the oracle at thresholds, and the candidates' own scores."""

    kind = "bounds"

    case: Case
    atlases: tuple[RegistrationTask, ...]
    labels: LabelSet
    tolerance_mm: float

    @property
    def reference_cases(self) -> tuple[Case, ...]:
        return (self.case,)

    @property
    def registrations(self) -> tuple[RegistrationTask, ...]:
        return self.atlases

    def used(self, product: Product) -> frozenset[str] | None:
        return keys_of(self.atlases, [row["atlas"] for row in product.rows if row["bound"] == "candidate"])

    def run(self, place: Place, progress: Progress) -> Left:
        atlases = load_atlases(self.atlases, place, self.labels, progress)
        candidates = atlases.labels
        with our_files():
            judge = Judge.of(self.case, self.labels, self.tolerance_mm)
        oracle = Oracle.of(candidates, judge.reference, self.labels.values)
        rows: list[dict[str, Any]] = []
        for name, threshold in {"oracle_one": 1 / len(candidates), **ORACLES}.items():
            rows += [{"bound": name, **row} for row in judge.rows(oracle.at(threshold))]
        for atlas, candidate in zip(atlases.names, candidates, strict=True):
            candidate_rows = judge.rows(candidate.clip(min=0))  # beyond its field of view: background
            rows += [{"bound": "candidate", "atlas": atlas, **row} for row in candidate_rows]
        return Left(rows)
