"""The run folder: one product per task, written whole or not at all, and what is made of them.

RUN/study.toml                              the resolved study
RUN/splits.json, RUN/cases.json             folds; files and columns of every case used
RUN/environment.json                        versions, machine, threads
RUN/tasks/KIND/KEY.json, KEY.log            one product per task, and what the task printed
RUN/tasks/fit/KEY/                          a model, as its method left it
RUN/segmentations/METHOD/foldN/CASE.nii.gz  one file per method, fold and case
RUN/results.parquet|csv, timings.parquet, registrations.parquet
RUN/log.jsonl                               what happened when, over all starts
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dlfbench.files import file_name, write_whole

Status = Literal["ok", "failed"]


@dataclass(frozen=True)
class Product:
    """What a task left: its outcome, its cost, and small results. Written as JSON.

    Attributes:
        key: The task's key.
        kind: registration, fit, segmentation, score or bounds.
        status: ok or failed.
        reason: Why it failed; empty where it did not.
        names: What the task was about: method, fold, case, atlas.
        cost: wall_s, cpu_s, peak_bytes, device, threads.
        rows: Small results: metric values, flags.
    """

    key: str
    kind: str
    status: Status
    reason: str = ""
    names: dict[str, Any] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.status == "ok"


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds one run. All paths inside are relative to it, so it can move."""

    root: Path

    def product_path(self, kind: str, key: str) -> Path:
        return self.root / "tasks" / kind / f"{key}.json"

    def log_path(self, kind: str, key: str) -> Path:
        return self.root / "tasks" / kind / f"{key}.log"

    def model_folder(self, fit_key: str) -> Path:
        """Where a fit leaves its model."""
        return self.root / "tasks" / "fit" / fit_key

    def segmentation_path(self, method: str, fold: int, case: str) -> Path:
        return self.root / "segmentations" / file_name(method) / f"fold{fold}" / f"{case}.nii.gz"

    def read_product(self, kind: str, key: str) -> Product | None:
        """The product of a task; None where it is missing or damaged, so that it is made again."""
        try:
            product = Product(**json.loads(self.product_path(kind, key).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return product if product.key == key else None

    def count_products(self, kind: str) -> int:
        """How many tasks of a kind have a product."""
        return sum(1 for _ in (self.root / "tasks" / kind).glob("*.json"))

    def write_product(self, product: Product) -> None:
        write_text(self.product_path(product.kind, product.key), json.dumps(asdict(product), sort_keys=True))


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
