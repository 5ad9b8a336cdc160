"""When a run's analysis was declared, and whether there were results by then."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dlfbench.datasets.digests import digest
from dlfbench.records.folder import RunFolder, write_json
from dlfbench.study.claims import DeclaredAnalysis


@dataclass(frozen=True)
class Declaration:
    """An analysis as it was declared.

    Attributes:
        digest: Of its tables; empty where it was withdrawn.
        at: Time, UTC, ISO 8601.
        scores_made: How many segmentations of the run had been scored by then.
        tables: The analysis as in the study file; None where it was withdrawn.
    """

    digest: str
    at: str
    scores_made: int
    tables: dict[str, Any] | None

    @property
    def before_results(self) -> bool:
        return self.scores_made == 0


def declare(run: Path, analysis: DeclaredAnalysis | None, *, scores_made: int) -> None:
    """Keeps what is declared now, where it is not what was declared last; what was declared before stays."""
    earlier = read_declarations(run)
    tables = None if analysis is None else analysis.model_dump(mode="json")
    now = "" if tables is None else digest(tables)
    if now == (earlier[-1].digest if earlier else ""):
        return
    declared = Declaration(now, datetime.now(UTC).isoformat(timespec="seconds"), scores_made, tables)
    write_declarations(run, (*earlier, declared))


def read_declarations(run: Path) -> tuple[Declaration, ...]:
    """Every declaration of a run, the last one is in force; none where nothing was declared."""
    path = RunFolder(run).declarations_file
    if not path.is_file():
        return ()
    return tuple(Declaration(**tables) for tables in json.loads(path.read_text())["declarations"])


def write_declarations(run: Path, declarations: Sequence[Declaration]) -> None:
    """Writes every declaration of a run."""
    write_json(RunFolder(run).declarations_file, {"declarations": [asdict(one) for one in declarations]})
