"""Files that travel between dlfbench and a command: images, lists of atlases and cases, its answer."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.datasets.cases import LabelSet
from dlfbench.datasets.mapping import read_mapping
from dlfbench.errors import InputError
from dlfbench.images import Grid, LabelArray, read_image, read_labels, write_image, write_labels
from dlfbench.segmenters.interface import Training
from dlfbench.volumes import AtlasSet

_ROUNDING = 1e-3


def write_images(stem: Path, images: npt.NDArray[Any], grid: Grid) -> list[Path]:
    """Writes the modalities (modality, x, y, z) of an image as STEM_0000.nii.gz, ..."""
    paths = [stem.with_name(f"{stem.name}_{channel:04d}.nii.gz") for channel in range(len(images))]
    for path, voxels in zip(paths, images, strict=True):
        write_image(path, voxels, grid)
    return paths


def write_atlases(folder: Path, atlases: AtlasSet, grid: Grid) -> Path:
    """Writes the warped atlases, and the list of them, whose path is given back."""
    rows = []
    for number, name in enumerate(atlases.names):
        stem = folder / "atlases" / f"atlas{number:03d}"
        rows.append(_case_files(stem, name, atlases.images[number], atlases.labels[number], grid))
    modalities = atlases.images.shape[1] if len(atlases) else 1
    return _write_list(folder / "atlases.csv", rows, modalities)


def write_training(folder: Path, training: Training) -> Path:
    """Writes the training cases, and the list of them, whose path is given back."""
    rows = []
    for number, case in enumerate(training.cases):
        target, stem = case.read_target(), folder / "training" / f"case{number:03d}"
        rows.append(_case_files(stem, case.name, target.images, case.read_reference(), target.grid.in_ras))
    return _write_list(folder / "training.csv", rows, len(training.modalities))


def _case_files(stem: Path, name: str, images: npt.NDArray[Any], labels: LabelArray, grid: Grid) -> list[str]:
    path = stem.with_name(f"{stem.name}_labels.nii.gz")
    files = write_images(stem, images, grid)
    write_labels(path, labels.clip(min=0), grid)  # many tools know no label below 0
    return [name, *map(str, files), str(path)]


def _write_list(path: Path, rows: Iterable[Sequence[str]], modalities: int) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["name", *(f"image{m}" for m in range(modalities)), "labels"], *rows])
    return path


def read_output(path: Path, grid: Grid) -> LabelArray:
    """Reads the label map that a command left.

    Raises:
        RuntimeError: There is none, or it cannot be read.
        ValueError: It is on another grid.
    """
    if not path.is_file():
        raise RuntimeError("the command ended with exit code 0 but wrote no {output}")
    try:
        labels, found = read_labels(path)
    except InputError as error:
        raise RuntimeError(f"the command's output cannot be used: {error}") from None
    _check_grid(found, grid, "the command's output")
    return labels


def read_posteriors(folder: Path, grid: Grid, label_values: Sequence[int]) -> npt.NDArray[np.float32]:
    """Reads the share of each label that a command left, VALUE.nii.gz.

    A label without a file has no share; the background without one has what the others leave.

    Returns:
        (class, x, y, z), background first; sums to 1.

    Raises:
        RuntimeError: There is none, or one cannot be read or is of no declared label.
        ValueError: One is on another grid, or shares are below 0 or sum to more than 1.
    """
    there = {path.name.removesuffix(".nii.gz"): path for path in folder.iterdir()}
    odd = sorted(set(there) - {str(value) for value in label_values})
    if odd or not set(there) - {"0"}:
        wanted = ", ".join(f"{value}.nii.gz" for value in label_values)
        raise RuntimeError(f"{{posteriors}}: expected {wanted}, found {', '.join(odd) or 'none but the background'}")
    shares = np.zeros((len(label_values), *grid.shape), np.float32)
    for index, value in enumerate(label_values):
        if str(value) in there:
            shares[index] = _read_share(there[str(value)], grid)
    if "0" not in there:
        shares[0] = 1 - shares[1:].sum(axis=0)
    if shares.min() < -_ROUNDING:
        raise ValueError(f"{{posteriors}}: shares are below 0, or sum to more than 1 (by {-shares.min():.2g})")
    return shares.clip(min=0)


def _read_share(path: Path, grid: Grid) -> npt.NDArray[np.float32]:
    try:
        share, found = read_image(path)
    except InputError as error:
        raise RuntimeError(f"{{posteriors}}: {error}") from None
    _check_grid(found, grid, f"{{posteriors}}: {path.name}")
    return share


def _check_grid(found: Grid, grid: Grid, what: str) -> None:
    if not found.matches(grid):
        raise ValueError(f"{what} is on {found.describe()}; the target on {grid.describe()}")


def mapped(labels: LabelArray, tables: tuple[Path, ...], label_values: tuple[int, ...]) -> LabelArray:
    """The study's labels, which have no names here: the table gives values."""
    for table in tables:
        mapping = read_mapping(table, LabelSet(label_values, tuple(map(str, label_values))))
        try:
            labels = np.maximum(mapping.apply(labels, "the command's output"), 0)
        except InputError as error:
            raise ValueError(str(error)) from None
    return labels
