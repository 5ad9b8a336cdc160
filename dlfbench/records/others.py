"""The label maps of a run, scored by other tools beside ours: so that numbers can be matched with those of a paper."""

from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dlfbench.errors import InputError
from dlfbench.files import write_whole
from dlfbench.images import UNKNOWN, read_labels
from dlfbench.metrics.others import OTHER_TOOLS, Masks, OtherTool
from dlfbench.records.folder import RunFolder
from dlfbench.records.record import Record, read_record

_ABOUT = ("method", "fold", "test_set", "case", "label", "label_name")
_OURS = ("dice", "hd95_mm", "assd_mm", "surface_dice", "reference_empty", "prediction_empty")


def find_tools(names: Sequence[str]) -> tuple[OtherTool, ...]:
    """Other tools by name.

    Raises:
        InputError: One line for each that is not known or not installed, with what to do.
    """
    problems = []
    for name in names:
        if name not in OTHER_TOOLS:
            problems.append(f"--as: expected one of {', '.join(OTHER_TOOLS)}; found {name!r}")
        elif not OTHER_TOOLS[name].installed:
            package = OTHER_TOOLS[name].package
            problems.append(f"--as {name}: {package} is not installed; run: pip install {package}")
    if problems:
        raise InputError(problems)
    return tuple(OTHER_TOOLS[name] for name in names)


def score_as(run: Path, tool: OtherTool) -> pd.DataFrame:
    """Scores every label map of a run with another tool, and leaves as-TOOL.csv in the run's folder.

    Args:
        run: A run folder with its label maps, and references where cases.json says.
        tool: One that is installed.

    Returns:
        A row per method, fold, test set, case and label that has a result: what it is about, our metrics, the other
        tool's (`medpy_hd95_mm`, ..), its version, and what it said where it gave no value.
    """
    record = read_record(run)
    rows = record.results.query("kind == 'method' and status == 'ok'")
    table = pd.DataFrame(
        row for _, maps in rows.groupby(["method", "fold", "case"]) for row in _rows(record, maps, tool)
    )
    write_whole(run / f"as-{tool.name}.csv", lambda part: table.to_csv(part, index=False, float_format="%.9g"))
    return table


def _rows(record: Record, rows: pd.DataFrame, tool: OtherTool) -> Iterator[dict[str, Any]]:
    """The rows of one label map."""
    tolerance_mm = record.identity.tolerance_mm
    first = rows.iloc[0]
    case = record.case(first.case)
    prediction, grid = read_labels(_label_map(RunFolder(record.folder), first))
    reference, _ = case.read_reference()
    prediction = np.where(reference == UNKNOWN, UNKNOWN, prediction)
    for row in rows.to_dict("records"):
        values = record.data.values_of(row["label"])
        masks = Masks(np.isin(prediction, values), np.isin(reference, values), grid.spacing_mm, tolerance_mm)
        found, errors = tool.measure(masks)
        yield {
            **{name: row[name] for name in (*_ABOUT, *_OURS)},
            **{tool.column(name): value for name, value in found.items()},
            "version": f"{tool.package} {metadata.version(tool.package)}",
            "said": "; ".join(f"{name}: {error}" for name, error in errors.items()),
        }


def _label_map(folder: RunFolder, row: Any) -> Path:
    path = folder.segmentation_path(row.method, int(row.fold), row.case)
    return path if path.is_file() else path.with_name(f"{row.case}.nii")


def means_beside(table: pd.DataFrame, tool: OtherTool) -> list[tuple[str, str, str, str, int, int]]:
    """Means by our definition and by another tool's, over the rows where both have a value.

    Returns:
        Per method and metric: method, metric, our mean, theirs, how many rows both have, how many there are.
    """
    compared = []
    for method, rows in table.groupby("method"):
        for metric in (name for name in tool.metrics if name in _OURS):
            pair = rows[[metric, tool.column(metric)]].replace([np.inf, -np.inf], np.nan).dropna()
            ours, theirs = (f"{value:.4f}" for value in pair.mean())
            compared.append((str(method), metric, ours, theirs, len(pair), len(rows)))
    return compared
