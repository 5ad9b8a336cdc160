"""The tables of a run: their columns, and reading and writing them."""

import os
import tempfile
from pathlib import Path

import pandas as pd

from dlfbench.errors import InputError

RESULT_COLUMNS = {
    "method": "name of the method or bound",
    "kind": "method, or bound (oracle, candidate): bounds are never ranked",
    "fold": "index of the fold",
    "test_set": "in-domain, or the name of a test set",
    "case": "name of the case",
    "person": "whose case it is: the unit of statistics",
    "label": "value in the label map",
    "label_name": "its name",
    "dice": "Dice, 0 to 1",
    "hd95_mm": "Hausdorff distance, 95th percentile, mm",
    "assd_mm": "average symmetric surface distance, mm",
    "surface_dice": "surface Dice at the study's tolerance, 0 to 1",
    "volume_error": "relative volume error",
    "reference_volume_mm3": "volume in the reference",
    "prediction_volume_mm3": "volume in the prediction",
    "reference_empty": "the reference has no voxel of the label",
    "prediction_empty": "the prediction has no voxel of the label",
    "status": "ok, failed, or missing (not run yet)",
    "reason": "why it failed",
}
METRIC_COLUMNS = (
    "dice",
    "hd95_mm",
    "assd_mm",
    "surface_dice",
    "volume_error",
    "reference_volume_mm3",
    "prediction_volume_mm3",
)


def write_results(results: pd.DataFrame, folder: Path) -> None:
    """Writes results.parquet and results.csv; equal results give equal bytes in the csv.

    Args:
        results: The columns of `RESULT_COLUMNS`, in any order of rows.
        folder: The run folder.
    """
    ordered = _typed(results[list(RESULT_COLUMNS)])
    ordered = ordered.sort_values(["kind", "method", "fold", "test_set", "case", "label"], kind="stable", ignore_index=True)
    write_table(ordered, folder / "results.parquet")
    write_table(ordered, folder / "results.csv")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Writes a table as .parquet or .csv, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    os.close(handle)
    try:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False, float_format="%.9g")
        else:
            table.to_parquet(temporary, index=False)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def read_results(folder: Path) -> pd.DataFrame:
    """The results of a run.

    Raises:
        InputError: There are none, or columns are missing.
    """
    path = folder / "results.parquet"
    if not path.is_file():
        raise InputError(f"{folder}: expected a run folder with results.parquet, found none; run the study first")
    results = pd.read_parquet(path)
    missing = [column for column in RESULT_COLUMNS if column not in results]
    if missing:
        raise InputError(f"{path}: columns {', '.join(missing)} are missing; run the study again with this version")
    return results


def _typed(results: pd.DataFrame) -> pd.DataFrame:
    kinds = {"fold": "int64", "label": "int64", **dict.fromkeys(METRIC_COLUMNS, "float64")}
    flags = dict.fromkeys(("reference_empty", "prediction_empty"), "boolean")
    texts = dict.fromkeys(("method", "kind", "test_set", "case", "person", "label_name", "status", "reason"), "string")
    return results.astype({**kinds, **flags, **texts})
