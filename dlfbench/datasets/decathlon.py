"""Folders in the layout of the Medical Segmentation Decathlon (MSD) or of nnU-Net's raw data.

FOLDER/dataset.json     labels, modalities or channel_names, for MSD also the list of cases
FOLDER/imagesTr/        CASE.nii.gz (one modality), or CASE_0000.nii.gz, CASE_0001.nii.gz, ...
FOLDER/labelsTr/        CASE.nii.gz
FOLDER/cases.tsv        optional: column `case`, and person, side, group, session, split or any other
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlfbench.datasets.cases import Case, Dataset, LabelSet
from dlfbench.errors import InputError
from dlfbench.plugins import unknown

_IMPORTED = (".nrrd", ".mha", ".mhd")  # by the reader `folder`


def read_decathlon(folder: Path) -> Dataset:
    """Opens a dataset folder. Reads names and columns; no voxel is touched.

    Raises:
        InputError: With every problem of dataset.json, cases.tsv and missing or double files.
    """
    header = read_header(folder)
    modalities, labels = _modalities(header, folder), read_label_set(header["labels"], folder / "dataset.json")
    files = _case_files(folder, header, len(modalities))
    columns, problems = read_columns(folder / "cases.tsv", list(files))
    cases = []
    for name, (images, reference) in files.items():
        for path, what in [*((p, "image") for p in images), (reference, "label map")]:
            if not path.is_file():
                problems.append(f"{path}: case {name}: the {what} is missing; add the file or take the case out")
        undrawn, odd = undrawn_labels(columns.get(name, {}), labels)
        if odd:
            problems.append(f"{folder / 'cases.tsv'}: case {name}: column `labels`: {odd}")
        cases.append(Case(name, images, reference, columns.get(name, {}), ignore=labels.ignore, undrawn=undrawn))
    if problems:
        raise InputError(problems)
    text = ", ".join(str(header[key]) for key in ("description", "licence", "source") if header.get(key))
    return Dataset(str(header.get("name") or folder.name), modalities, labels, tuple(cases), text)


def undrawn_labels(columns: Mapping[str, str], labels: LabelSet) -> tuple[tuple[int, ...], str]:
    """The labels that were not drawn in a case, by its column `labels`; and what is wrong with that column."""
    if not columns.get("labels"):
        return (), ""
    drawn = {name.strip() for name in re.split(r"[,;|]", columns["labels"])}
    names = {name: (value,) for value, name in labels.foreground} | dict(labels.groups)
    if drawn - set(names):
        return (), f"{unknown('label', sorted(drawn - set(names))[0], names)}; write names of dataset.json, with commas"
    values = {value for name in drawn for value in names[name]}
    return tuple(value for value, _ in labels.foreground if value not in values), ""


def read_header(folder: Path) -> dict[str, Any]:
    """The content of dataset.json, which has `labels`.

    Raises:
        InputError: There is none, or it cannot be read.
    """
    path = folder / "dataset.json"
    if not folder.is_dir():
        raise InputError(
            f"{folder}: folder not found; give an MSD or nnU-Net raw folder, or a name of `dlfbench data list`"
        )
    try:
        header = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(
            f"{path}: file not found; an MSD or nnU-Net raw folder has one with `labels` and `modality`"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; correct its rights, or copy it again") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(header, dict) or not isinstance(header.get("labels"), dict):
        raise InputError(
            f"{path}: expected an object with `labels` such as {{'background': 0, 'hippocampus': 1}}, found none"
        )
    return header


def _modalities(header: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    table = header.get("channel_names") or header.get("modality") or {"0": "image"}
    try:
        return tuple(str(table[key]) for key in sorted(table, key=int))
    except (TypeError, ValueError):
        raise InputError(
            f"{folder / 'dataset.json'}: modality: expected {{'0': NAME, '1': NAME}}, found {table!r}"
        ) from None


def read_label_set(table: Mapping[str, Any], where: Path) -> LabelSet:
    """Labels as {value: name} (MSD) or {name: value} (nnU-Net, also with `ignore` and regions of several values).

    Raises:
        InputError: The table cannot be read, or its labels cannot be used.
    """
    try:
        by_name = _by_name(table)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{where}: labels: expected an integer a label, or a list of them for a region, found {table!r}"
        ) from None
    ignored = [values for name, values in by_name if name == "ignore"]
    named = [(name, values) for name, values in by_name if name != "ignore"]
    groups = tuple((name, values) for name, values in named if len(values) > 1)
    single = [(values[0], name) for name, values in named if len(values) == 1]
    inside = {value for _, values in groups for value in values} - {value for value, _ in single}
    pairs = sorted([*single, *((value, f"label {value}") for value in inside)])
    if 0 not in {value for value, _ in pairs}:
        pairs = sorted([(0, "background"), *pairs])
    ignore = ignored[0][0] if ignored else None
    labels = LabelSet(tuple(v for v, _ in pairs), tuple(name for _, name in pairs), ignore, groups)
    problems = labels.problems()
    if len(ignored) > 1 or any(len(values) > 1 for values in ignored):
        problems.append(f"expected one value to ignore, found {ignored}")
    if problems:
        raise InputError([f"{where}: labels: {problem}" for problem in problems])
    return labels


def _by_name(table: Mapping[str, Any]) -> list[tuple[str, tuple[int, ...]]]:
    """(name, values) of each label. Names may be numbers too: then values that are no text say that it is nnU-Net's."""
    if all(key.lstrip("-").isdigit() for key in table) and any(isinstance(name, str) for name in table.values()):
        return [(_text(name), (int(value),)) for value, name in table.items()]
    return [(str(name), _values(value)) for name, value in table.items()]


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(name)
    return name


def _values(found: Any) -> tuple[int, ...]:
    values = tuple(_whole(value) for value in (found if isinstance(found, list) else [found]))
    if not values:
        raise ValueError(found)
    return tuple(sorted(set(values)))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    return int(value)


def _case_files(folder: Path, header: Mapping[str, Any], modalities: int) -> dict[str, tuple[tuple[Path, ...], Path]]:
    """Images and label map of each case, by name in ascending order."""
    ending = header.get("file_ending", ".nii.gz")
    if ending not in (".nii.gz", ".nii"):
        raise InputError(
            f"{folder / 'dataset.json'}: file_ending: expected '.nii.gz' or '.nii', found {ending!r}; convert the files"
            + (f", or import them: {_import_of(folder, modalities, ending)}" if ending in _IMPORTED else "")
        )
    table = header.get("dataset")
    if isinstance(table, dict) and table:
        return {name: _files_of(folder, name, table[name]) for name in sorted(table)}
    return {
        name: (_image_files(folder, name, modalities, ending), folder / "labelsTr" / f"{name}{ending}")
        for name in _case_names(folder, header, ending)
    }


def _import_of(folder: Path, modalities: int, ending: str) -> str:
    """The command that imports files of another ending; it takes names of labels from a table."""
    images = ",".join(f"m{channel}:imagesTr/{{case}}_{channel:04d}{ending}" for channel in range(modalities))
    options = f"images={images},labels=labelsTr/{{case}}{ending},names=LABELS.tsv"
    return f"dlfbench data import 'folder[{options}]' {folder} --out COPY (LABELS.tsv: columns index and name)"


def _files_of(folder: Path, name: str, entry: Any) -> tuple[tuple[Path, ...], Path]:
    """A case of nnU-Net's `dataset` table; paths start at the folder."""
    images, label = (entry.get("images"), entry.get("label")) if isinstance(entry, dict) else (None, None)
    if not isinstance(images, list) or not images or not all(isinstance(path, str) for path in [*images, label]):
        raise InputError(
            f"{folder / 'dataset.json'}: dataset: case {name}: expected {{'images': [FILE, ...], 'label': FILE}}, "
            f"found {entry!r}"
        )
    if not name or name != Path(name).name or name in (".", ".."):
        raise InputError(f"{folder / 'dataset.json'}: dataset: {name!r} is no name for a case: it becomes a file's")
    return tuple(folder / path for path in images), folder / str(label)


def _case_names(folder: Path, header: Mapping[str, Any], ending: str) -> list[str]:
    """Cases as dataset.json lists them (MSD), else those that have an image or a label map."""
    listed = header.get("training")
    if isinstance(listed, list) and listed:
        names = _listed_names(folder, listed, ending)
    else:
        labels = _stems(folder / "labelsTr", ending)
        # a name may end in four digits of its own, as in sub_2012: then a label map has the same one
        images = {s if s in labels else re.sub(r"_\d{4}$", "", s) for s in _stems(folder / "imagesTr", ending)}
        names = sorted(images | labels)
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        raise InputError(
            [f"{folder / 'dataset.json'}: case {name} is listed twice; list each case once" for name in twice]
        )
    if not names:
        raise InputError(f"{folder / 'imagesTr'}: expected images *{ending}, found none")
    return sorted(names)


def _listed_names(folder: Path, listed: list[Any], ending: str) -> list[str]:
    labels = [entry.get("label") if isinstance(entry, dict) else entry for entry in listed]
    odd = [entry for entry, label in zip(listed, labels, strict=True) if not isinstance(label, str)]
    if odd:
        raise InputError(
            f"{folder / 'dataset.json'}: training: expected entries such as {{'image': './imagesTr/CASE{ending}', "
            f"'label': './labelsTr/CASE{ending}'}}, found {odd[0]!r}; correct {len(odd)} of {len(listed)} entries"
        )
    return [_stem(str(label), ending) for label in labels]


def _stems(folder: Path, ending: str) -> set[str]:
    return {_stem(path.name, ending) for path in folder.glob(f"[!.]*{ending}")}


def _stem(path: str, ending: str) -> str:
    return path.rsplit("/", 1)[-1].removesuffix(ending)


def _image_files(folder: Path, name: str, modalities: int, ending: str) -> tuple[Path, ...]:
    images = folder / "imagesTr"
    plain = images / f"{name}{ending}"
    if modalities == 1 and plain.is_file():
        return (plain,)
    numbered = tuple(images / f"{name}_{channel:04d}{ending}" for channel in range(modalities))
    # MSD keeps all modalities in one 4D file, which reading refuses with advice
    return (plain,) if plain.is_file() and not numbered[0].is_file() else numbered


def read_columns(path: Path, names: Sequence[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Columns by case of a tab-separated table, and what is wrong with it.

    Args:
        path: The table; it need not be there.
        names: The cases that there are.
    """
    if path.is_symlink() and not path.exists():
        return {}, [f"{path}: the link leads nowhere ({path.readlink()}); mend it, or remove it"]
    if not path.exists():
        return {}, []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [row for row in csv.reader(file, delimiter="\t", strict=True) if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        return {}, [f"{path}: expected tab-separated UTF-8 text, found {error}; save it again, quotes in pairs"]
    except OSError as error:
        return {}, [f"{path}: cannot be read: {error.strerror}; correct its rights, or copy it again"]
    header, rows = [cell.strip() for cell in lines[0]] if lines else [], lines[1:]
    if "case" not in header:
        return {}, [f"{path}: expected a column `case` (tab-separated), found {header}; name the column of cases so"]
    column = header.index("case")
    named = [row[column] for row in rows if len(row) > column]
    problems = [*_table_problems(path, header, rows), *_row_problems(path, named, names)]
    if problems:
        return {}, problems
    tables = [dict(zip(header, (cell.strip() for cell in row), strict=False)) for row in rows]
    return {row["case"]: {k: v for k, v in row.items() if k and k != "case" and v} for row in tables}, []


def _table_problems(path: Path, header: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Columns that stand twice; rows whose cells do not fit the columns, so that values would go astray in silence."""
    for column, times in Counter(header).items():
        if times > 1 and column:
            yield f"{path}: {times} columns are called {column!r}; keep one"
    for row in rows:
        about = f"{path}: the row of {row[0]!r}"
        if len(row) > len(header):
            yield f"{about}: expected {len(header)} cells as in the first line, found {len(row)}; put tabs between"
        elif any("\n" in cell or "\t" in cell for cell in row):
            yield f"{about}: a quote spans several cells or lines; remove the quote, or put it in pairs"


def _row_problems(path: Path, found: list[str], names: Sequence[str]) -> Iterator[str]:
    """Cases that stand twice, and cases that there are not."""
    seen = Counter(name.strip() for name in found)
    yield from (f"{path}: case {name} has {times} rows; keep one" for name, times in seen.items() if times > 1)
    for name in sorted(set(seen) - set(names)):
        yield f"{path}: case {name!r} is not in the dataset; correct the name or remove the row"
