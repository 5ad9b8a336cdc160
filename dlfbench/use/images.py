"""New images to segment: found as files, in folders or in a table, and checked as the cases of a study are."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dlfbench.datasets.cases import Case
from dlfbench.datasets.check import affine_problems
from dlfbench.datasets.decathlon import read_columns
from dlfbench.errors import InputError
from dlfbench.images import Grid, read_image
from dlfbench.report.shown import format as say

_SUFFIXES = (".nii.gz", ".nii")
_FAR = 1.5  # times the training images' voxel size or field of view


def find_images(sources: Sequence[Path], modalities: Sequence[str]) -> tuple[Case, ...]:
    """The images of files and folders, one case each.

    One modality: `CASE.nii.gz` or `CASE_0000.nii.gz`. Several: `CASE_0000.nii.gz`, `CASE_0001.nii.gz`, .. in the order
    of the study's modalities, or `CASE_MODALITY.nii.gz`. A `cases.tsv` beside the images says more of them, such as the
    side, which may decide which atlases suit.

    Args:
        sources: NIfTI files, folders of them, or tables with a column `case`: the images beside the table that have a
            row in it.
        modalities: Names of the study's image channels.

    Raises:
        InputError: Nothing there, a channel is missing or one too many, two images have one name, or a table is damaged
            or names an image that is not beside it.
    """
    files = list(dict.fromkeys(file.resolve() for source in sources for file in _files(source, modalities)))
    if not files:
        raise InputError(f"{', '.join(map(str, sources))}: expected NIfTI images, found none")
    channels: dict[str, dict[int, list[Path]]] = {}
    for file, (name, channel) in _named(files, modalities).items():
        channels.setdefault(name, {}).setdefault(channel, []).append(file)
    problems = [problem for name, found in sorted(channels.items()) for problem in _problems(name, found, modalities)]
    columns: dict[str, dict[str, str]] = {}
    for table in _tables(sources, files):
        found_columns, wrong = read_columns(table, sorted(set(_images_of(table.parent, modalities))))
        problems += wrong
        columns |= found_columns
    if problems:
        raise InputError(problems)
    return tuple(
        Case(name, tuple(found[channel][0] for channel in sorted(found)), None, columns.get(name, {}))
        for name, found in sorted(channels.items())
    )


def _files(source: Path, modalities: Sequence[str]) -> Iterator[Path]:
    """An image; the images of a folder; or those of a table's folder that the table names."""
    if not source.exists():
        raise InputError(f"{source}: not found")
    if source.suffix != ".tsv":
        yield from _inside(source) if source.is_dir() else filter(_is_image, [source])
        return
    there = _images_of(source.parent, modalities)
    named, problems = read_columns(source, sorted(there))
    if problems:
        raise InputError(problems)
    for name in named:
        yield from there[name]


def _inside(folder: Path) -> list[Path]:
    return sorted(filter(_is_image, folder.iterdir()))


def _is_image(path: Path) -> bool:
    return path.name.endswith(_SUFFIXES) and not path.name.startswith(".")  # .. are what systems leave beside files


def _images_of(folder: Path, modalities: Sequence[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path, (name, _) in _named(_inside(folder), modalities).items():
        found.setdefault(name, []).append(path)
    return found


def _tables(sources: Sequence[Path], files: Sequence[Path]) -> list[Path]:
    """The named tables, and `cases.tsv` beside images that no named table is beside."""
    named = [source.resolve() for source in sources if source.suffix == ".tsv"]
    others = dict.fromkeys(file.parent for file in files if file.parent not in {table.parent for table in named})
    return [*named, *(folder / "cases.tsv" for folder in others)]


def _named(files: Sequence[Path], modalities: Sequence[str]) -> dict[Path, tuple[str, int]]:
    """Of each file the image's name, and which channel it is.

    With one modality, a number of four digits is part of the name (`OAS1_0012`), but for `_0000` and what stands
    beside it.
    """
    stems = {file: file.name.removesuffix(".gz").removesuffix(".nii") for file in files}
    there = {(file.parent, stem) for file, stem in stems.items()}

    def of(file: Path, stem: str) -> tuple[str, int]:
        name, _, tail = stem.rpartition("_")
        if name and len(tail) == 4 and tail.isdecimal():
            if len(modalities) > 1 or {(file.parent, name), (file.parent, f"{name}_0000")} & there:
                return name, int(tail)
        elif name and tail in modalities and len(modalities) > 1:
            return name, list(modalities).index(tail)
        return stem, 0

    return {file: of(file, stem) for file, stem in stems.items()}


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
    if problems := list(affine_problems(image, dict(zip(image.images, grids, strict=True)))):
        raise InputError(problems)
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
    """The images under names that no case of the study has, nor a person: an image of unknown person is its own."""
    return tuple(replace(image, name=f"{image.name}~new") if image.name in taken else image for image in images)
