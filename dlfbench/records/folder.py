"""The run folder: one product per task, written whole or not at all, and what is made of them.

RUN/study.toml                              the resolved study
RUN/splits.json, RUN/cases.json             folds; files and columns of every case used
RUN/splits_final.json                       the folds as nnU-Net reads them, where each holds out in-domain cases
RUN/environment.json, RUN/identity.json     versions, machine, threads; what makes runs comparable
RUN/analysis.json                           what was declared, and when
RUN/predictions.json                        of label maps made elsewhere: where they were
RUN/tasks/KIND/KEY.json, KEY.log            one product per task, and what the task printed
RUN/tasks/fit/KEY.spent                     of a fit under way: what it took in its earlier starts
RUN/tasks/fit/KEY.begun                     of a fit under way: which registrations it does without
RUN/tasks/fit/KEY/                          a model, as its method left it
RUN/segmentations/METHOD/foldN/CASE.nii.gz  one file per method, fold and case
RUN/posteriors/METHOD/foldN/CASE.npz        what the labels' shares are, where they are asked for
RUN/results.parquet|csv, timings.parquet, registrations, calibration, signs,
    candidates.parquet, and curve.parquet of learning curves
RUN/log.jsonl                               what happened when, over all starts
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dlfbench.datasets.digests import digest_file
from dlfbench.files import file_name, write_whole

Status = Literal["ok", "failed"]


@dataclass(frozen=True)
class Left:
    """What a task that went well leaves.

    Attributes:
        rows: Small results: metric values, flags.
        files: SHA-256 of each file that it wrote, by its path in the run folder.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Product:
    """What a task left: its outcome, its cost, and small results. Written as JSON with a checksum.

    Text in it can be written as UTF-8, whatever a method said.

    Attributes:
        key: The task's key.
        kind: registration, fit, segmentation, score or bounds.
        status: ok or failed.
        reason: Why it failed; empty where it did not.
        names: What the task was about: method, fold, case, atlas.
        cost: wall_s, cpu_s, peak_bytes, device, threads.
        rows: Small results: metric values, flags.
        files: SHA-256 of each file that it wrote, by its path in the run folder.
    """

    key: str
    kind: str
    status: Status
    reason: str = ""
    names: dict[str, Any] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", _writable(self.reason))
        object.__setattr__(self, "rows", _writable(self.rows))

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def text(self) -> str:
        """As it is written."""
        tables = json.loads(json.dumps(vars(self)))
        return json.dumps({**tables, "checksum": _checksum(tables)}, sort_keys=True)


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds one run. All paths inside are relative to it, so it can move."""

    root: Path

    @property
    def study_file(self) -> Path:
        return self.root / "study.toml"

    @property
    def splits_file(self) -> Path:
        return self.root / "splits.json"

    @property
    def cases_file(self) -> Path:
        return self.root / "cases.json"

    @property
    def environment_file(self) -> Path:
        return self.root / "environment.json"

    @property
    def identity_file(self) -> Path:
        return self.root / "identity.json"

    @property
    def declarations_file(self) -> Path:
        return self.root / "analysis.json"

    @property
    def predictions_file(self) -> Path:
        return self.root / "predictions.json"

    @property
    def results_file(self) -> Path:
        return self.root / "results.parquet"

    @property
    def results_csv(self) -> Path:
        return self.root / "results.csv"

    @property
    def log_file(self) -> Path:
        return self.root / "log.jsonl"

    @property
    def lock_file(self) -> Path:
        return self.root / ".lock"

    @property
    def holds_run(self) -> bool:
        """Whether a study was started here."""
        return self.study_file.is_file()

    @property
    def is_half_described(self) -> bool:
        """Whether the first start was stopped while it wrote what the run is: nothing of it was done."""
        later = (self.identity_file, self.results_file, self.root / "tasks")
        return not any(path.exists() for path in later)

    @property
    def state(self) -> tuple[bytes, int]:
        """What tells a run folder from itself after another start."""
        study, log = self.study_file, self.log_file
        return study.read_bytes() if study.is_file() else b"", log.stat().st_size if log.is_file() else 0

    def model_folders(self) -> list[Path]:
        """The folder of every fit that was begun."""
        return sorted(path for path in (self.root / "tasks" / "fit").glob("*") if path.is_dir())

    def left_by_fits(self, name: str) -> list[Path]:
        """The files of that name that methods left beside their models, such as training curves."""
        return [path for folder in self.model_folders() if (path := folder / name).is_file()]

    def product_path(self, kind: str, key: str) -> Path:
        return self.root / "tasks" / kind / f"{key}.json"

    def log_path(self, kind: str, key: str) -> Path:
        return self.root / "tasks" / kind / f"{key}.log"

    def spent_path(self, kind: str, key: str) -> Path:
        """Where a task that is under way notes what it took, for when it is stopped and goes on."""
        return self.root / "tasks" / kind / f"{key}.spent"

    def begun_path(self, fit_key: str) -> Path:
        """Where a fit that is under way notes which registrations it does without; one that goes on reads it."""
        return self.root / "tasks" / "fit" / f"{fit_key}.begun"

    def model_folder(self, fit_key: str) -> Path:
        """Where a fit leaves its model."""
        return self.root / "tasks" / "fit" / fit_key

    def segmentation_path(self, method: str, fold: int, case: str) -> Path:
        return self.root / "segmentations" / file_name(method) / f"fold{fold}" / f"{case}.nii.gz"

    @property
    def posteriors(self) -> Path:
        """Where posteriors are; the folder is there where the run keeps them."""
        return self.root / "posteriors"

    def posterior_path(self, method: str, fold: int, case: str) -> Path:
        return self.posteriors / file_name(method) / f"fold{fold}" / f"{case}.npz"

    def make(self, path: Path) -> Path:
        """A path in this folder whose own folder is there. The run folder itself is not made: it may have moved.

        Raises:
            FileNotFoundError: The run folder is not there any more.
        """
        for folder in reversed(path.relative_to(self.root).parents[:-1]):
            (self.root / folder).mkdir(exist_ok=True)
        return path

    def left(self, paths: Iterable[Path], rows: list[dict[str, Any]] | None = None) -> Left:
        """What a task leaves that wrote these files."""
        return Left(rows or [], {str(path.relative_to(self.root)): digest_file(path) for path in sorted(paths)})

    def read_product(self, kind: str, key: str) -> Product | None:
        """The product of a task; None where it is missing or damaged, so that it is made again.

        Raises:
            OSError: It is there but cannot be read.
        """
        try:
            content = self.product_path(kind, key).read_bytes()
        except FileNotFoundError:
            return None
        try:
            tables = json.loads(content)
            checksum = tables.pop("checksum")
            product = Product(**tables)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return product if product.key == key and checksum == _checksum(tables) else None

    def names_of(self, kind: str, key: str) -> dict[str, Any]:
        """What a task was about, as its product says, also one of an earlier build; nothing where there is none."""
        try:
            return dict(json.loads(self.product_path(kind, key).read_bytes())["names"])
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def count_products(self, kind: str) -> int:
        """How many tasks of a kind have a product."""
        return sum(1 for _ in (self.root / "tasks" / kind).glob("*.json"))

    def write_product(self, product: Product) -> None:
        write_text(self.make(self.product_path(product.kind, product.key)), product.text)

    def damaged(self, product: Product) -> list[Path]:
        """The files of a product that are missing or not as its task left them.

        Raises:
            OSError: One is there but cannot be read.
        """
        return [self.root / name for name, found in product.files.items() if not _is(self.root / name, found)]


def _is(path: Path, digest: str) -> bool:
    try:
        return digest_file(path) == digest
    except FileNotFoundError:
        return False


def _checksum(tables: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def _writable(value: Any) -> Any:
    """The same with every text such that UTF-8 can hold it."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list | tuple):
        return [_writable(item) for item in value]
    return {key: _writable(item) for key, item in value.items()} if isinstance(value, dict) else value


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all, also where the power fails."""

    def write(part: str) -> None:
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    write_whole(path, write)


def write_json(path: Path, tables: Mapping[str, Any]) -> None:
    """Writes what a run says of itself, as `write_text` does, for people to read too."""
    write_text(path, json.dumps(tables, indent=1))
