"""The tables of a run: which columns they have, and how they are written and read.

`RESULT_COLUMNS`, `TIMING_COLUMNS` and `REGISTRATION_COLUMNS` say what each column holds. Two runs with equal results
write byte-identical files.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dlfbench.datasets.cases import FIRST_GROUP, LabelSet
from dlfbench.errors import InputError
from dlfbench.files import write_whole
from dlfbench.metrics.calibration import CALIBRATION_COLUMNS
from dlfbench.metrics.known import METRICS, MORE_METRICS, signature
from dlfbench.metrics.signs import SIGN_COLUMNS
from dlfbench.records.folder import RunFolder

METRIC_COLUMNS = tuple(metric.name for metric in METRICS)
VOLUME_COLUMNS = ("reference_volume_mm3", "prediction_volume_mm3")

RESULT_COLUMNS: dict[str, str] = {
    "method": "name of the method in the study; of a bound: oracle_one, oracle05, ..., candidate",
    "kind": "method, or bound (uses the reference: never ranked)",
    "fold": "index of the fold",
    "test_set": "name of the test set",
    "case": "name of the case",
    "person": "whose image it is: the unit of statistics",
    "label": f"value of the label; groups of labels are numbered from {FIRST_GROUP}",
    "label_name": "name of the label, or of the group",
    "dice": "Dice, 0 to 1",
    "hd95_mm": "larger of the two directed 95th percentiles of surface distance, mm",
    "assd_mm": "average symmetric surface distance, mm",
    "surface_dice": "share of both surfaces within the tolerance, 0 to 1",
    "volume_error": "(prediction - reference) / reference, signed",
    "reference_volume_mm3": "volume of the label in the reference, mm3",
    "prediction_volume_mm3": "volume of the label in the prediction, mm3",
    "reference_empty": "the reference has no such voxel",
    "prediction_empty": "the prediction has no such voxel",
    "status": "ok; failed; missing (not run yet)",
    "reason": "why there is no result; where there is one, which metrics of plugins failed, a line each",
    **{metric.name: f"{metric.title}, of a plugin" for metric in MORE_METRICS},
}
"""Columns of results.parquet and results.csv, one row per method x fold x test set x case x label. The rows of
`candidate` are means over the atlases of the case. Where status is not ok, the metrics are NaN."""

TIMING_COLUMNS: dict[str, str] = {
    "task": "registration, fit, segmentation, score or bounds",
    "method": "name of the method; empty for registration and bounds",
    "fold": "index of the fold; empty for registration",
    "case": "the case worked on; empty for fit",
    "atlas": "the atlas of a registration",
    "wall_s": "wall time, s",
    "cpu_s": "processor time of the task and its children, s",
    "peak_bytes": "peak memory of the process, bytes",
    "device": "cpu or cuda",
    "threads": "threads that the task might use",
    "status": "ok or failed",
    "reason": "why it failed",
}
"""Columns of timings.parquet, one row per task that was run."""

REGISTRATION_COLUMNS: dict[str, str] = {
    "target": "the case registered to",
    "atlas": "the case whose image was warped",
    "flags": "what looks wrong, separated by '; '; empty where nothing does",
    "made_in_this_run": "False: found in the store",
    "wall_s": "wall time when it was made, s, in whatever run; empty where that was not recorded",
}
"""Columns of registrations.parquet, one row per target and atlas."""

CURVE_COLUMNS: dict[str, str] = {
    **dict.fromkeys(("method", "fold", "test_set", "case", "person", "label", "label_name"), "as in the results"),
    "dice": "Dice, 0 to 1",
    "hd95_mm": "HD95, mm",
    "status": "as in the results",
    "split": "index of the fold whose cases these are some of",
    "train_cases": "how many training cases there were",
    "atlases": "at most so many atlases a target; empty: as many as for the results",
    "draw": "which draw of them",
}
"""Columns of curve.parquet: results with fewer training cases or atlases than those of results.parquet."""

CANDIDATE_COLUMNS: dict[str, str] = {
    "fold": "index of the fold",
    "test_set": "name of the test set",
    "case": "name of the case",
    "person": "whose image it is",
    "atlas": "the case whose labels were warped; a number in runs begun by an earlier build",
    "label": "as in the results",
    "label_name": "as in the results",
    "dice": "Dice, 0 to 1",
    "hd95_mm": "HD95, mm",
}
"""Columns of candidates.parquet: the score of every single warped atlas, whose mean is `candidate` of the results."""


@dataclass(frozen=True)
class RunTable:
    """A table of a run beside its results.

    Attributes:
        file: Its name in the run folder.
        columns: What each column holds.
    """

    file: str
    columns: Mapping[str, str]

    def write(self, table: pd.DataFrame, folder: Path) -> None:
        """Writes it into a run folder, whole or not at all."""
        write_table(table.reindex(columns=list(self.columns)), folder / self.file)

    def read(self, folder: Path) -> pd.DataFrame:
        """Reads it from a run folder; empty where it is not there.

        Raises:
            InputError: The file is damaged.
        """
        table = read_table(folder / self.file) if (folder / self.file).is_file() else pd.DataFrame()
        return table.reindex(columns=list(self.columns))


TIMINGS = RunTable("timings.parquet", TIMING_COLUMNS)
REGISTRATIONS = RunTable("registrations.parquet", REGISTRATION_COLUMNS)
CALIBRATION = RunTable("calibration.parquet", CALIBRATION_COLUMNS)
CURVE = RunTable("curve.parquet", CURVE_COLUMNS)
CANDIDATES = RunTable("candidates.parquet", CANDIDATE_COLUMNS)
SIGNS_TABLE = RunTable("signs.parquet", SIGN_COLUMNS)

_TEXT_COLUMNS = ("method", "kind", "test_set", "case", "person", "label_name", "status", "reason")
_BOOL_COLUMNS = ("reference_empty", "prediction_empty")
_INTEGER_COLUMNS = ("fold", "label")
_ORDER = ["kind", "method", "fold", "test_set", "case", "label"]
_FLOAT_FORMAT = "%.9g"
_SIGNATURES = "metrics of plugins"


def result_rows(
    about: Mapping[str, Any],
    labels: LabelSet,
    scores: Mapping[int, Mapping[str, Any]],
    *,
    status: str,
    reason: str,
) -> Iterator[dict[str, Any]]:
    """The rows of one tested case, one per foreground label and group.

    Args:
        about: method, kind, fold, test_set, case, person.
        labels: The declared labels.
        scores: Metric values by label; labels that are not there have none.
        status: ok, failed or missing.
        reason: Why there is no result.
    """
    for number, name, _ in labels.scored:
        score = scores.get(number, {})
        values = {column: score.get(column) for column in RESULT_COLUMNS}
        why = reason or score.get("reason", "")
        yield {**values, **about, "label": number, "label_name": name, "status": status, "reason": why}


def write_results(rows: pd.DataFrame, folder: Path) -> None:
    """Writes results.parquet and results.csv, each whole or not at all.

    Args:
        rows: The columns of `RESULT_COLUMNS`, in any order of rows and columns.
        folder: The run folder.

    Raises:
        ValueError: Columns are missing, or two rows are of the same method, fold, test set, case and label.
    """
    table = _in_order(rows)
    table.attrs[_SIGNATURES] = {metric.name: signature(metric) for metric in MORE_METRICS}
    write_table(table, RunFolder(folder).results_file)
    write_whole(
        RunFolder(folder).results_csv,
        lambda path: table.to_csv(path, index=False, float_format=_FLOAT_FORMAT, lineterminator="\n"),
    )


def read_results(folder: Path) -> pd.DataFrame:
    """Reads results.parquet of a run folder.

    Raises:
        InputError: The file is missing (also of a run that has none yet), damaged, or lacks columns; or it has values
            of a metric of a plugin that is another one now.
    """
    run = RunFolder(folder)
    if run.holds_run and not run.results_file.is_file():
        command = shlex.join(["dlfbench", "run", str(run.study_file), "--out", str(folder), "--collect"])
        raise InputError(
            f"{folder}: a run without tables: it is under way, or was killed; {run.count_products('score')} label maps "
            f"are scored; to tabulate and report them: {command}"
        )
    table = read_table(run.results_file)
    _check_metrics(table, folder)
    later = [metric.name for metric in MORE_METRICS if metric.name not in table]  # installed since it was written
    table = table.assign(**dict.fromkeys(later, np.nan))
    lacking = [column for column in RESULT_COLUMNS if column not in table]
    if lacking:
        raise InputError(
            f"{folder / 'results.parquet'}: expected the columns {', '.join(RESULT_COLUMNS)}; "
            f"{', '.join(lacking)} not found; collect the run again with this version of dlfbench"
        )
    return _in_order(table)


def _check_metrics(table: pd.DataFrame, folder: Path) -> None:
    """Refuses values under the name of a metric that did not make them."""
    made = table.attrs.get(_SIGNATURES, {})
    other = [m.name for m in MORE_METRICS if made.get(m.name, signature(m)) != signature(m)]
    if other:
        raise InputError(
            f"{folder}: its values of {', '.join(other)} are of a metric of that name that has other code or another "
            "definition; name the file it was scored with, or start the run again: it scores anew and segments nothing"
        )


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Writes a parquet file whole or not at all.

    Args:
        table: Any table; its index is dropped.
        path: The file; its folder is made.
    """
    write_whole(path, lambda part: table.reset_index(drop=True).to_parquet(part, engine="pyarrow", index=False))


def read_table(path: Path) -> pd.DataFrame:
    """Reads a parquet file.

    Raises:
        InputError: The file is missing or damaged.
    """
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except FileNotFoundError:
        raise InputError(f"{path}: file not found; expected the folder of a run, as `dlfbench run` makes it") from None
    except Exception as error:  # pyarrow raises several kinds for damaged files
        raise InputError(f"{path}: cannot be read ({type(error).__name__}: {error}); collect the run again") from error


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """The declared columns with their types, rows in ascending order of what they are about."""
    lacking = [column for column in RESULT_COLUMNS if column not in rows]
    if lacking:
        raise ValueError(f"results lack the columns {', '.join(lacking)}")
    table = rows[list(RESULT_COLUMNS)].sort_values(_ORDER, kind="stable", ignore_index=True)
    repeated = table.duplicated(_ORDER)
    if repeated.any():
        raise ValueError(f"results have two rows for {table.loc[repeated, _ORDER].iloc[0].to_dict()}")
    return table.assign(**{column: _typed(table[column], column) for column in RESULT_COLUMNS})


def _typed(values: Any, column: str) -> Any:
    if column in _TEXT_COLUMNS:
        return values.astype(object).where(values.notna(), "").astype(str)
    if column in _BOOL_COLUMNS:
        return values.astype(object).where(values.notna(), None).astype("boolean")
    if column in _INTEGER_COLUMNS:
        return values.astype(np.int64)
    return values.astype(np.float64)


def stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables one below another; one without rows, whose columns have no types, leaves the others' types alone."""
    there = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(there, ignore_index=True) if there else pd.DataFrame()
