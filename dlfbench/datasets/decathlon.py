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

from dlfbench.cases import Case, Dataset, LabelSet
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
    columns = _read_columns(folder / "cases.tsv", names)
    problems: list[str] = []
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
            (int(key), str(value)) if str(key).lstrip("-").isdigit() else (int(value), str(key))
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


def _case_names(folder: Path, header: Mapping[str, Any], ending: str) -> list[str]:
    """Cases as dataset.json lists them (MSD), else those that have an image or a label map."""
    listed = header.get("training")
    if isinstance(listed, list) and listed:
        names = [_stem(entry["label"] if isinstance(entry, dict) else entry, ending) for entry in listed]
    else:
        images = (folder / "imagesTr").glob(f"[!.]*{ending}")
        labels = (folder / "labelsTr").glob(f"[!.]*{ending}")
        found = {re.sub(r"_\d{4}$", "", _stem(path.name, ending)) for path in images}
        names = sorted(found | {_stem(path.name, ending) for path in labels})
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        raise InputError(
            [f"{folder / 'dataset.json'}: case {name} is listed twice; list each case once" for name in twice]
        )
    if not names:
        raise InputError(f"{folder / 'imagesTr'}: expected images *{ending}, found none")
    return sorted(names)


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


def _read_columns(path: Path, names: list[str]) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        if "case" not in (reader.fieldnames or ()):
            raise InputError(f"{path}: expected a column `case` (tab-separated), found {list(reader.fieldnames or ())}")
        rows = list(reader)
    seen = Counter(row["case"] for row in rows)
    problems = [f"{path}: case {name} has {n} rows; keep one" for name, n in seen.items() if n > 1]
    problems += [
        f"{path}: case {name!r} is not in the dataset; correct the name or remove the row"
        for name in sorted(set(seen) - set(names))
    ]
    if problems:
        raise InputError(problems)
    return {row["case"]: {k: v for k, v in row.items() if k and k != "case" and v} for row in rows}
