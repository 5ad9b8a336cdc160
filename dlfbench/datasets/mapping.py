"""Label values of other tools (FreeSurfer, SynthSeg, TotalSegmentator, ITK-SNAP) as those of a study."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlfbench.datasets.cases import LabelSet
from dlfbench.datasets.readers.label_tables import read_label_names
from dlfbench.errors import InputError
from dlfbench.images import UNKNOWN, LabelArray
from dlfbench.plugins import unknown

_REST = "*"


@dataclass(frozen=True)
class LabelMapping:
    """Which label of the study each value is.

    >>> LabelMapping(((17, 1), (53, 2)), rest=0).apply(np.array([0, 17, 53, 4]), "aseg").tolist()
    [0, 1, 2, 0]

    Attributes:
        pairs: (value, label), ascending; 0 is background unless it is among them.
        rest: The label of every other value; None where there must be none.
    """

    pairs: tuple[tuple[int, int], ...]
    rest: int | None = None

    def apply(self, labels: LabelArray, where: str) -> LabelArray:
        """A label map with the study's labels.

        Args:
            labels: With the values of the other tool; `UNKNOWN` stays.
            where: What to call the map in errors.

        Raises:
            InputError: Values are not mapped; all of them are listed.
        """
        known = {0: 0, UNKNOWN: UNKNOWN, **dict(self.pairs)}
        found, places = np.unique(labels, return_inverse=True)
        lacking = [int(value) for value in found if int(value) not in known]
        if lacking and self.rest is None:
            listed = ", ".join(map(str, lacking[:20])) + (" ..." if len(lacking) > 20 else "")
            raise InputError(
                f"{where}: expected values that the label mapping has, found {listed}; map them, or all others with a "
                f"row `{_REST}`, such as `{_REST}` to background"
            )
        mapped = np.array([known.get(int(value), self.rest or 0) for value in found], np.int32)
        return mapped[places].reshape(labels.shape)


def read_mapping(path: Path, labels: LabelSet) -> LabelMapping:
    """Reads a mapping: a table with the columns `from` and `to`, or another tool's table of label names.

    In the table `from` is a value, or `*` for every other one, and `to` a label of the study by name or value, or
    `ignore`. Of a table of names (ITK-SNAP, FreeSurfer, BIDS) every name that the study has is that label.

    Raises:
        InputError: It cannot be read, names a label that the study does not have, or nothing fits.
    """
    targets = {name: value for value, name in zip(labels.values, labels.names, strict=True)}
    rows = _rows(path)
    if rows is None:
        pairs = {value: targets[name] for value, name in read_label_names(path).items() if name in targets}
        if not set(pairs.values()) - {0}:
            raise InputError(f"{path}: none of its names is a label of the study: {', '.join(labels.names[1:])}")
        return LabelMapping(tuple(sorted(pairs.items())))
    places = {**{str(value): value for value in labels.values}, **targets, "ignore": UNKNOWN}
    problems = [f"{path}: {_problem(row, places)}" for row in rows if _problem(row, places)]
    if len({value for value, _ in rows}) < len(rows):
        problems.append(f"{path}: a value stands twice in column `from`; keep one row of it")
    if problems:
        raise InputError(problems)
    rest = next((places[label] for value, label in rows if value == _REST), None)
    return LabelMapping(tuple(sorted((int(v), places[label]) for v, label in rows if v != _REST)), rest)


def _rows(path: Path) -> list[tuple[str, str]] | None:
    """(from, to) of each row; None where the file is no such table."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file, delimiter="\t") if any(row)]
    except OSError as error:
        raise InputError(f"{path}: the label mapping cannot be read: {error.strerror}; give another file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected tab-separated UTF-8 text, found {error}; save it again") from None
    if not rows or not {"from", "to"} <= set(rows[0]):
        return None
    at = rows[0].index("from"), rows[0].index("to")
    return [(row[at[0]], row[at[1]]) for row in rows[1:] if len(row) > max(at)]


def _problem(row: tuple[str, str], places: Mapping[str, int]) -> str:
    value, label = row
    if value != _REST and not value.isdigit():
        return f"column `from`: expected integers from 0, or {_REST}, found {value!r}; correct the row"
    return "" if label in places else f"value {value}: {unknown('label', label, places)}"
