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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlfbench.datasets.cases import Case, Dataset, LabelSet
from dlfbench.errors import InputError


def read_decathlon(folder: Path) -> Dataset:
    """Opens a dataset folder. Reads names and columns; no voxel is touched.

    Raises:
        InputError: With every problem of dataset.json, cases.tsv and missing or double files.
    """
    header = _read_header(folder)
    modalities, labels = _modalities(header, folder), _labels(header, folder)
    ending = str(header.get("file_ending", ".nii.gz"))
    names = _case_names(folder, header, ending)
    columns, problems = _read_columns(folder / "cases.tsv", names)
    cases = []
    for name in names:
        images = _image_files(folder, name, len(modalities), ending)
        reference = folder / "labelsTr" / f"{name}{ending}"
        for path, what in [*((p, "image") for p in images), (reference, "label map")]:
            if not path.is_file():
                problems.append(f"{path}: case {name}: the {what} is missing; add the file or take the case out")
        cases.append(Case(name, images, reference, columns.get(name, {})))
    if problems:
        raise InputError(problems)
    text = ", ".join(str(header[key]) for key in ("description", "licence", "source") if header.get(key))
    return Dataset(str(header.get("name") or folder.name), modalities, labels, tuple(cases), text)


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / "dataset.json"
    if not folder.is_dir():
        raise InputError(
            f"{folder}: folder not found; give an MSD or nnU-Net raw folder, or a name of `dlfbench data list`"
        )
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path}: file not found; an MSD or nnU-Net raw folder has one with `labels` and `modality`"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; correct its rights, or copy it again") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
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


def _labels(header: Mapping[str, Any], folder: Path) -> LabelSet:
    """Labels as {value: name} (MSD) or {name: value} (nnU-Net)."""
    try:
        pairs = {
            (int(key), str(value)) if str(key).lstrip("-").isdigit() else (_whole(value), str(key))
            for key, value in header["labels"].items()
        }
    except (TypeError, ValueError):
        raise InputError(
            f"{folder / 'dataset.json'}: labels: expected one integer a label (no regions), found {header['labels']!r}"
        ) from None
    values = sorted(pairs | ({(0, "background")} if 0 not in {value for value, _ in pairs} else set()))
    repeated = [value for value, n in Counter(value for value, _ in values).items() if n > 1]
    if repeated or values[0][0] < 0 or len(values) < 2:
        raise InputError(
            f"{folder / 'dataset.json'}: labels: expected background 0 and at least one other value, each once, "
            f"none negative, found {header['labels']!r}"
        )
    return LabelSet(tuple(value for value, _ in values), tuple(name for _, name in values))


def _whole(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)


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


def _read_columns(path: Path, names: list[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Columns by case, and what is wrong with the table."""
    if not path.is_file():
        return {}, []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            header, rows = list(reader.fieldnames or ()), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        return {}, [f"{path}: expected tab-separated UTF-8 text, found {error}; save it again as UTF-8"]
    if "case" not in header:
        return {}, [f"{path}: expected a column `case` (tab-separated), found {header}; name the column of cases so"]
    seen = Counter(row["case"] for row in rows)
    problems = [f"{path}: case {name} has {n} rows; keep one" for name, n in seen.items() if n > 1]
    problems += [
        f"{path}: case {name!r} is not in the dataset; correct the name or remove the row"
        for name in sorted(set(seen) - set(names))
    ]
    return {row["case"]: {k: v for k, v in row.items() if k and k != "case" and v} for row in rows}, problems
