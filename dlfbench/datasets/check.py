"""Checks every file of a dataset before any work starts, and describes what is in it."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.datasets.cases import Case, Dataset, LabelSet, double_names
from dlfbench.datasets.headers import header_warnings
from dlfbench.datasets.people import people_warnings
from dlfbench.errors import InputError
from dlfbench.images import UNKNOWN, Grid, LabelArray, read_voxels

log = logging.getLogger(__name__)

Range = tuple[tuple[float, ...], tuple[float, ...]]

_READERS = 4
_FLAT = 1e-6
_MOST_VALUES = 8


def check_dataset(dataset: Dataset, progress: Callable[[int, int], None] | None = None, *, least_vox: int = 1) -> None:
    """Reads every image and label map.

    Cases without foreground, files whose headers contradict themselves, and columns that may not say whose a case is,
    are used with a warning.

    Args:
        dataset: An opened dataset.
        progress: Told of cases done and cases in all.
        least_vox: Voxels along every axis that the registration needs.

    Raises:
        InputError: One line per problem: file, case, expected, found, what to do.
    """
    problems = [f"{dataset.name}: labels: {problem}" for problem in dataset.labels.problems()]
    problems += double_names(dataset.cases)
    empty = []
    outside: dict[str, int] = {}
    with ThreadPoolExecutor(_READERS) as pool:
        checked = pool.map(lambda case: check_case(case, dataset, least_vox), dataset.cases)
        for done, (case, (of_case, foreground, outside_vox)) in enumerate(zip(dataset.cases, checked, strict=True), 1):
            problems += of_case
            empty += [] if foreground else [case]
            outside |= {case.name: outside_vox} if outside_vox else {}
            if progress:
                progress(done, len(dataset.cases))
    if len(empty) == len(dataset.cases) and not problems:
        problems.append(f"{dataset.name}: no label map of {len(empty)} has a label in it; add labels")
    if problems:
        raise InputError(problems)
    for case in empty:
        log.warning("%s: case %s: the label map is empty: there is nothing to find", case.reference, case.name)
    if outside:
        log.warning("%s: %s", dataset.name, _outside_text(outside))
    for warning in (*header_warnings(dataset), *people_warnings(dataset)):
        log.warning("%s", warning)


def _outside_text(outside: Mapping[str, int]) -> str:
    most = max(outside, key=outside.__getitem__)
    return (
        f"{sum(outside.values())} labelled voxels of {len(outside)} cases (most, {outside[most]}: {most}) lie outside "
        "of the box around the image's non-zero voxels; nnU-Net cuts images to that box, and can label none of them"
    )


def check_case(case: Case, dataset: Dataset, least_vox: int = 1) -> tuple[list[str], bool, int]:
    """The problems of one case, whether it has foreground, and how many of it lie outside of the non-zero box.

    Args:
        case: The case, with its reference.
        dataset: What it belongs to: the declared labels, and how many image files are expected.
        least_vox: Voxels along every axis that the registration needs.
    """
    problems: list[str] = []
    grids: dict[Path, Grid] = {}
    boxes: list[Range] = []
    modalities = len(dataset.modalities)
    for path in case.images:
        try:
            voxels, grids[path] = read_voxels(path)
            problems += _image_problems(case, path, voxels)
            boxes += [] if problems else [_box(voxels != 0)]
        except InputError as error:
            problems += [f"{problem} (case {case.name})" for problem in error.problems]
    if len(case.images) != modalities and len(grids) == len(case.images):
        problems.append(
            f"{case.images[0]}: case {case.name}: expected {modalities} modalities, one 3D file each "
            f"({case.name}_0000, _0001, ...), found {len(case.images)}; add the missing, or correct dataset.json"
        )
    found, reference = _reference_problems(case, dataset.labels, grids)
    problems += found
    ill = list(affine_problems(case, grids))
    problems += ill
    if not problems:
        problems += _size_problems(case, grids[case.images[0]], least_vox)
    first = next(iter(grids), None)
    for path, grid in grids.items():
        if first is not None and not ill and not grid.matches(grids[first]):
            problems.append(
                f"{path}: case {case.name}: expected the grid of {first.name}, {grids[first].describe()}; "
                f"found {grid.describe()}; resample one onto the other, as `dlfbench data import` does with images"
            )
    foreground = reference is None or bool((reference > 0).any())
    return problems, foreground, 0 if problems or reference is None else _outside_vox(reference > 0, boxes)


def _box(mask: npt.NDArray[np.bool_]) -> Range:
    """First and last index of the mask along each axis, last before first where it is empty."""
    lines = [mask.any(axis=tuple(set(range(mask.ndim)) - {axis})) for axis in range(mask.ndim)]
    ends = [np.flatnonzero(line)[[0, -1]] if line.any() else (line.size, -1) for line in lines]
    return tuple(float(first) for first, _ in ends), tuple(float(last) for _, last in ends)


def _outside_vox(foreground: npt.NDArray[np.bool_], boxes: Sequence[Range]) -> int:
    """Labelled voxels outside of the box around what is not zero in any of the images."""
    first, last = np.min([box[0] for box in boxes], axis=0), np.max([box[1] for box in boxes], axis=0)
    inside = foreground[tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))]
    return int(np.count_nonzero(foreground) - np.count_nonzero(inside))


def affine_problems(case: Case, grids: Mapping[Path, Grid]) -> Iterable[str]:
    """Which files of a case have an affine that places no voxel, by their grids."""
    for path, grid in grids.items():
        affine = np.asarray(grid.affine)
        # as a share of what axes at right angles would span, so that small voxels are no problem
        sizes = np.prod(grid.spacing_mm)
        if not np.isfinite(affine).all() or not abs(np.linalg.det(affine[:3, :3])) > _FLAT * sizes:
            yield (
                f"{path}: case {case.name}: expected an affine that places every voxel, found "
                f"{np.round(affine[:3], 4).tolist()}, which is {_ill(affine)}; mend the file's header"
            )


def _ill(affine: npt.NDArray[np.float64]) -> str:
    return "singular: voxels lie in one plane" if np.isfinite(affine).all() else "not finite"


def _size_problems(case: Case, grid: Grid, least_vox: int) -> Iterable[str]:
    if min(grid.shape) < least_vox:
        yield (
            f"{case.images[0]}: case {case.name}: expected {least_vox} voxels or more along every axis, as the "
            f"registration needs, found {'x'.join(map(str, grid.shape))}; take the case out, or pad image and label map"
        )


def _image_problems(case: Case, path: Path, voxels: npt.NDArray[Any]) -> Iterable[str]:
    if voxels.dtype.kind not in "biuf":
        yield f"{path}: case {case.name}: expected one real number a voxel, found {voxels.dtype}; convert the image"
        return
    with np.errstate(over="ignore"):  # methods work in float32, where a huge number is infinite
        bad = int((~np.isfinite(voxels.astype(np.float32, copy=False))).sum())
    if bad:
        yield f"{path}: case {case.name}: expected finite voxels, found {bad} NaN or infinite; replace them"
    elif not voxels.size or voxels.min() == voxels.max():
        value = f"{voxels.flat[0]:g} everywhere" if voxels.size else "none"
        yield f"{path}: case {case.name}: expected voxels that differ, found {value}; mend the image, or take it out"


def _reference_problems(case: Case, labels: LabelSet, grids: dict[Path, Grid]) -> tuple[list[str], LabelArray | None]:
    """The problems of the label map, and the map where it can be read; its grid is added to the others."""
    if case.reference is None:
        return [f"case {case.name}: expected a label map, found none; add one or take the case out"], None
    try:
        reference, grids[case.reference] = case.read_reference()
    except InputError as error:
        return [f"{problem} (case {case.name})" for problem in error.problems], None
    return list(_label_problems(case, reference, labels)), reference


def _label_problems(case: Case, reference: LabelArray, labels: LabelSet) -> Iterable[str]:
    values = np.unique(reference)
    if case.ignore is not None or case.mapping is not None:
        values = values[values != UNKNOWN]
    odd = np.setdiff1d(values, labels.values)
    if odd.size:
        yield (
            f"{case.reference}: case {case.name}: expected labels {list(labels.values)} of dataset.json, "
            f"found {odd[:5].tolist()}; declare them there or correct the label map"
        )
    drawn = np.intersect1d(values, case.undrawn)
    if drawn.size:
        names = ", ".join(name for value, name in labels.foreground if value in drawn)
        yield (
            f"{case.reference}: case {case.name}: column `labels` of cases.tsv does not name {names}, which the label "
            "map has; name it there, or take it out of the map"
        )


@dataclass(frozen=True)
class Description:
    """What is in a dataset.

    Attributes:
        cases: How many.
        people: How many, as `Dataset.people_in_words`.
        modalities: Names of the image channels.
        labels: The declared labels.
        columns: Per column of `cases.tsv`, how many cases have each value.
        shapes: Voxels along (x, y, z), least and most.
        spacings_mm: Voxel sizes along (x, y, z), least and most.
        mean_volumes_mm3: Of each foreground label, over the cases in which it was drawn; in the order of the labels.
            NaN where nobody drew it.
    """

    cases: int
    people: str
    modalities: tuple[str, ...]
    labels: LabelSet
    columns: Mapping[str, Mapping[str, int]]
    shapes: Range
    spacings_mm: Range
    mean_volumes_mm3: tuple[float, ...]

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Headings and texts, as they are shown."""
        named = zip(self.labels.foreground, self.mean_volumes_mm3, strict=True)
        return (
            ("cases", str(self.cases)),
            ("people", self.people),
            ("modalities", ", ".join(self.modalities)),
            ("labels", ", ".join(f"{value} {name}" for value, name in self.labels.foreground)),
            *((f"group {name}", ", ".join(map(str, values))) for name, values in self.labels.groups),
            ("shape, voxels", _range(self.shapes)),
            ("spacing, mm", _range(self.spacings_mm)),
            ("mean volume, mm\u00b3", ", ".join(f"{name} {_volume(volume)}" for (_, name), volume in named)),
            *((f"column {column}", _counts(values)) for column, values in self.columns.items()),
        )


def describe(dataset: Dataset) -> Description:
    """Counts, ranges and volumes, from columns and label maps.

    Raises:
        InputError: A label map is missing or cannot be read.
    """
    grids, volumes = [], []
    for case in dataset.cases:
        reference, grid = case.read_reference()
        grids.append(grid)
        counts = [np.nan if v in case.undrawn else (reference == v).sum() for v in dataset.labels.values[1:]]
        volumes.append(np.array(counts) * np.prod(grid.spacing_mm))
    columns = {
        column: Counter(case.columns.get(column, "(none)") for case in dataset.cases) for column in dataset.columns
    }
    return Description(
        cases=len(dataset.cases),
        people=dataset.people_in_words,
        modalities=dataset.modalities,
        labels=dataset.labels,
        columns=columns,
        shapes=_least_and_most([grid.shape for grid in grids]),
        spacings_mm=_least_and_most([grid.spacing_mm for grid in grids]),
        mean_volumes_mm3=tuple(_mean_known(of_label) for of_label in np.transpose(volumes)),
    )


def _mean_known(values: npt.NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan


def _least_and_most(triples: Sequence[tuple[float, ...]]) -> Range:
    return tuple(np.min(triples, axis=0).tolist()), tuple(np.max(triples, axis=0).tolist())


def _volume(mean_mm3: float) -> str:
    return f"{mean_mm3:.0f}" if np.isfinite(mean_mm3) else "(not drawn)"


def _range(ends: Range) -> str:
    texts = ["x".join(f"{v:g}" for v in np.round(end, 3)) for end in ends]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"


def _counts(values: Mapping[str, int]) -> str:
    if len(values) > _MOST_VALUES:
        return f"{len(values)} values"
    return ", ".join(f"{value} ({n})" for value, n in sorted(values.items()))
