"""New images to segment: found as files, in folders or in a table, and checked as the cases of a study are."""

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dlfbench.datasets.cases import Case
from dlfbench.errors import InputError
from dlfbench.images import Grid, read_image
from dlfbench.report.shown import format as say

_SUFFIXES = (".nii.gz", ".nii")
_FAR = 1.5  # times the training images' voxel size or field of view


def find_images(sources: Sequence[Path], modalities: Sequence[str]) -> tuple[Case, ...]:
    """The images of files and folders, one case each.

    One modality: `CASE.nii.gz` or `CASE_0000.nii.gz`. Several: `CASE_0000.nii.gz`, `CASE_0001.nii.gz`, .. in the order
    of the study's modalities, or `CASE_MODALITY.nii.gz`. A `cases.tsv` beside the images (or the one named) says more
    of them, such as the side, which may decide which atlases suit.

    Args:
        sources: NIfTI files, folders of them, or tables with a column `case`.
        modalities: Names of the study's image channels.

    Raises:
        InputError: Nothing there, a channel is missing or one too many, two images have one name.
    """
    files = list(_files(sources))
    if not files:
        raise InputError(f"{', '.join(map(str, sources))}: expected NIfTI images, found none")
    channels: dict[str, dict[int, list[Path]]] = {}
    for file in files:
        name, channel = _channel(file, modalities)
        channels.setdefault(name, {}).setdefault(channel, []).append(file)
    problems = [problem for name, found in sorted(channels.items()) for problem in _problems(name, found, modalities)]
    if problems:
        raise InputError(problems)
    columns = _columns({file.parent for file in files} | {source for source in sources if source.suffix == ".tsv"})
    return tuple(
        Case(name, tuple(found[channel][0].resolve() for channel in sorted(found)), None, columns.get(name, {}))
        for name, found in sorted(channels.items())
    )


def _files(sources: Sequence[Path]) -> Iterator[Path]:
    for source in sources:
        if not source.exists():
            raise InputError(f"{source}: not found")
        folder = source.parent if source.suffix == ".tsv" else source
        inside = sorted(folder.iterdir()) if folder.is_dir() else [source]
        yield from (path for path in inside if path.name.endswith(_SUFFIXES))


def _channel(file: Path, modalities: Sequence[str]) -> tuple[str, int]:
    stem = file.name.removesuffix(".gz").removesuffix(".nii")
    name, _, tail = stem.rpartition("_")
    if name and len(tail) == 4 and tail.isdigit():
        return name, int(tail)
    if name and tail in modalities and len(modalities) > 1:
        return name, list(modalities).index(tail)
    return stem, 0


def _problems(name: str, found: Mapping[int, Sequence[Path]], modalities: Sequence[str]) -> Iterator[str]:
    for files in found.values():
        if len(files) > 1:
            yield f"{name}: two images of one name, {files[0]} and {files[1]}; rename one, or segment them apart"
    channels = say.count(len(modalities), "channel")
    lacking = [modality for channel, modality in enumerate(modalities) if channel not in found]
    if lacking:
        there = ", ".join(str(files[0].name) for files in found.values())
        expected = ", ".join(f"{name}_{channel:04d}.nii.gz ({m})" for channel, m in enumerate(modalities))
        yield f"{name}: expected {channels}, {expected}; found {there}: {', '.join(lacking)} missing"
    more = [files[0] for channel, files in found.items() if channel >= len(modalities)]
    if more:
        yield f"{more[0]}: expected {channels} ({', '.join(modalities)}), found one more"


def _columns(places: Iterable[Path]) -> dict[str, dict[str, str]]:
    tables = [place if place.suffix == ".tsv" else place / "cases.tsv" for place in places]
    columns: dict[str, dict[str, str]] = {}
    for table in tables:
        if table.is_file():
            with open(table, encoding="utf-8-sig", newline="") as file:
                for row in csv.DictReader(file, delimiter="\t"):
                    columns[row.pop("case", "")] = {key: value for key, value in row.items() if key and value}
    return columns


def check_images(images: Sequence[Case], usual: Sequence[Grid], taken: Collection[str]) -> dict[str, list[str]]:
    """Reads every image.

    Args:
        images: To be segmented.
        usual: Grids of some of the study's images.
        taken: Names of the study's cases.

    Returns:
        What is odd about each image: unlike the study's in voxel size or field of view; a case of the study itself.

    Raises:
        InputError: An image cannot be read, is constant, or its channels lie on different grids; every problem at once.
    """
    problems: list[str] = []
    odd: dict[str, list[str]] = {}
    for image in images:
        try:
            grid = _grid(image)
        except InputError as error:
            problems += error.problems
            continue
        odd[image.name] = list(_unlike(grid, usual))
        if image.name in taken:
            odd[image.name].append("the study has a case of this name; if it was trained on, nothing is new here")
    if problems:
        raise InputError(problems)
    return odd


def _grid(image: Case) -> Grid:
    grids = []
    for path in image.images:
        voxels, grid = read_image(path)
        if not np.isfinite(voxels).all() or voxels.min() == voxels.max():
            raise InputError(f"{path}: expected an image, found one value everywhere, or values that are not finite")
        grids.append(grid)
    for path, grid in zip(image.images, grids, strict=True):
        if not grid.matches(grids[0]):
            raise InputError(
                f"{path}: grid {grid.describe()} is not that of {image.images[0].name}: {grids[0].describe()}"
            )
    return grids[0]


def _unlike(grid: Grid, usual: Sequence[Grid]) -> Iterator[str]:
    for what, unit, of in (("voxels", "mm", _voxel_mm), ("a field of view", "mm", _extent_mm)):
        found, expected = of(grid), np.median([of(one) for one in usual], axis=0)
        if (np.maximum(found / expected, expected / found) > _FAR).any():
            sizes = (" x ".join(f"{size:.3g}" for size in sizes) for sizes in (found, expected))
            yield "{} of {} {unit} where the study's cases have {} {unit}".format(what, *sizes, unit=unit)


def _voxel_mm(grid: Grid) -> np.ndarray:
    return np.asarray(grid.spacing_mm)


def _extent_mm(grid: Grid) -> np.ndarray:
    return np.asarray(grid.spacing_mm) * grid.shape


def without_names_of(images: Sequence[Case], taken: Collection[str]) -> tuple[Case, ...]:
    """The images under names that no case of the study has."""
    return tuple(replace(image, name=f"{image.name}~new") if image.name in taken else image for image in images)
