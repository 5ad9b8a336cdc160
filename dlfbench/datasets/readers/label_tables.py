"""Tables of label names as other tools keep them: value to name."""

import csv
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from dlfbench.errors import InputError

_SNAP = re.compile(r'\s*(\d+)\s+\d+\s+\d+\s+\d+\s+[\d.]+\s+\d+\s+\d+\s+["\u201c](.*)["\u201d]\s*')
_LUT = re.compile(r"\s*(\d+)\s+(\S+)\s+\d+\s+\d+\s+\d+\s+\d+\s*")


def read_snap_labels(path: Path) -> dict[int, str]:
    """Names in a label description file of ITK-SNAP: `IDX R G B A VIS MSH "LABEL"`, # begins a comment.

    Raises:
        InputError: It cannot be read, a line is of another form, or a value stands twice.
    """
    return _rows(path, _SNAP, 'IDX R G B A VIS MSH "LABEL" (an ITK-SNAP label description)')


def read_freesurfer_lut(path: Path) -> dict[int, str]:
    """Names in a colour table of FreeSurfer: `NUMBER NAME R G B A`, # begins a comment.

    Raises:
        InputError: As `read_snap_labels`.
    """
    return _rows(path, _LUT, "NUMBER NAME R G B A (a FreeSurfer colour table)")


def read_label_tsv(path: Path) -> dict[int, str]:
    """Names in a table of labels of BIDS: tab-separated, with the columns `index` and `name`.

    Raises:
        InputError: It cannot be read, a column is missing, an index is no integer, or one stands twice.
    """
    rows = list(csv.DictReader(_lines(path), delimiter="\t"))
    if not rows or not {"index", "name"} <= set(rows[0]):
        found = ", ".join(map(str, rows[0])) if rows else "no row"
        raise InputError(f"{path}: expected tab-separated columns `index` and `name`, found {found}; name them so")
    odd = [row["index"] for row in rows if not str(row["index"]).isdigit()]
    if odd:
        raise InputError(f"{path}: column index: expected integers from 0, found {odd[0]!r}; correct the row")
    return _once(path, [(int(row["index"]), row["name"]) for row in rows])


def read_label_names(path: Path) -> dict[int, str]:
    """Names in a file of any of the three forms: a `.tsv`, an ITK-SNAP description, or a FreeSurfer colour table."""
    if path.suffix == ".tsv":
        return read_label_tsv(path)
    reader: Callable[[Path], dict[int, str]] = read_snap_labels if '"' in "".join(_lines(path)) else read_freesurfer_lut
    return reader(path)


def _rows(path: Path, form: re.Pattern[str], expected: str) -> dict[int, str]:
    pairs, problems = [], []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = form.fullmatch(line)
        if match:
            pairs.append((int(match[1]), match[2]))
        else:
            problems.append(
                f"{path}, line {number}: expected {expected}, found {line.strip()[:60]!r}; correct the line"
            )
    if problems:
        raise InputError(problems[:5])
    return _once(path, pairs)


def _once(path: Path, pairs: Iterable[tuple[int, str]]) -> dict[int, str]:
    names: dict[int, str] = {}
    for value, name in pairs:
        if value in names:
            raise InputError(f"{path}: label {value} stands twice ({names[value]}, {name}); keep one")
        names[value] = name
    return names


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: the table of labels cannot be read: {error.strerror}; give another file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected UTF-8 text, found other bytes; save the table of labels again") from None
