"""Checks every file of a dataset before any work starts, and describes what is in it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.datasets.cases import Case, Dataset, LabelSet
from dlfbench.errors import InputError
from dlfbench.images import Grid, LabelArray, read_labels, read_voxels

Range = tuple[tuple[float, ...], tuple[float, ...]]

_READERS = 4
_MOST_VALUES = 8


def check_dataset(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> None:
    """Reads every image and label map.

    Args:
        dataset: An opened dataset.
        progress: Told of cases done and cases in all.

    Raises:
        InputError: One line per problem: file, case, expected, found, what to do.
    """
    problems: list[str] = []
    with ThreadPoolExecutor(_READERS) as pool:
        found = pool.map(lambda case: check_case(case, dataset.labels, len(dataset.modalities)), dataset.cases)
        for done, of_case in enumerate(found, 1):
            problems += of_case
            if progress:
                progress(done, len(dataset.cases))
    if problems:
        raise InputError(problems)


def check_case(case: Case, labels: LabelSet, modalities: int) -> list[str]:
    """The problems of one case: unreadable, not 3D, not finite, other grid, undeclared value, empty label map.

    Args:
        case: The case, with its reference.
        labels: The declared labels.
        modalities: How many image files are expected.
    """
    problems: list[str] = []
    grids: dict[Path, Grid] = {}
    for path in case.images:
        try:
            voxels, grids[path] = read_voxels(path)
            problems += _image_problems(case, path, voxels)
        except InputError as error:
            problems += [f"{problem} (case {case.name})" for problem in error.problems]
    if len(case.images) != modalities and len(grids) == len(case.images):
        problems.append(
            f"{case.images[0]}: case {case.name}: expected {modalities} modalities, one 3D file each "
            f"({case.name}_0000, _0001, ...), found {len(case.images)}; add the missing, or correct dataset.json"
        )
    problems += _reference_problems(case, labels, grids)
    first = next(iter(grids), None)
    for path, grid in grids.items():
        if first is not None and not grid.matches(grids[first]):
            problems.append(
                f"{path}: case {case.name}: expected the grid of {first.name}, {grids[first].describe()}; "
                f"found {grid.describe()}; resample one onto the other"
            )
    return problems


def _image_problems(case: Case, path: Path, voxels: npt.NDArray[Any]) -> Iterable[str]:
    if voxels.dtype.kind not in "biuf":
        yield f"{path}: case {case.name}: expected one real number a voxel, found {voxels.dtype}; convert the image"
        return
    with np.errstate(over="ignore"):  # methods work in float32, where a huge number is infinite
        bad = int((~np.isfinite(voxels.astype(np.float32, copy=False))).sum())
    if bad:
        yield f"{path}: case {case.name}: expected finite voxels, found {bad} NaN or infinite; replace them"


def _reference_problems(case: Case, labels: LabelSet, grids: dict[Path, Grid]) -> Iterable[str]:
    """The problems of the label map; its grid is added to the others."""
    if case.reference is None:
        return [f"case {case.name}: expected a label map, found none; add one or take the case out"]
    try:
        reference, grids[case.reference] = read_labels(case.reference)
    except InputError as error:
        return [f"{problem} (case {case.name})" for problem in error.problems]
    return _label_problems(case, reference, labels)


def _label_problems(case: Case, reference: LabelArray, labels: LabelSet) -> Iterable[str]:
    odd = np.setdiff1d(reference, labels.values)
    if odd.size:
        yield (
            f"{case.reference}: case {case.name}: expected labels {list(labels.values)} of dataset.json, "
            f"found {odd[:5].tolist()}; declare them there or correct the label map"
        )
    if not reference.any():
        yield f"{case.reference}: case {case.name}: the label map is empty; add labels or take the case out"


@dataclass(frozen=True)
class Description:
    """What is in a dataset.

    Attributes:
        cases: How many.
        people: How many.
        modalities: Names of the image channels.
        labels: The declared labels.
        columns: Per column of `cases.tsv`, how many cases have each value.
        shapes: Voxels along (x, y, z), least and most.
        spacings_mm: Voxel sizes along (x, y, z), least and most.
        mean_volumes_mm3: Of each foreground label, over the cases; in the order of the labels.
    """

    cases: int
    people: int
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
            ("people", str(self.people)),
            ("modalities", ", ".join(self.modalities)),
            ("labels", ", ".join(f"{value} {name}" for value, name in self.labels.foreground)),
            ("shape, voxels", _range(self.shapes)),
            ("spacing, mm", _range(self.spacings_mm)),
            ("mean volume, mm\u00b3", ", ".join(f"{name} {volume:.0f}" for (_, name), volume in named)),
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
        volumes.append([(reference == value).sum() * np.prod(grid.spacing_mm) for value in dataset.labels.values[1:]])
    columns = {
        column: Counter(case.columns.get(column, "(none)") for case in dataset.cases) for column in dataset.columns
    }
    return Description(
        cases=len(dataset.cases),
        people=len({case.person for case in dataset.cases}),
        modalities=dataset.modalities,
        labels=dataset.labels,
        columns=columns,
        shapes=_least_and_most([grid.shape for grid in grids]),
        spacings_mm=_least_and_most([grid.spacing_mm for grid in grids]),
        mean_volumes_mm3=tuple(float(volume) for volume in np.mean(volumes, axis=0)),
    )


def _least_and_most(triples: Sequence[tuple[float, ...]]) -> Range:
    return tuple(np.min(triples, axis=0).tolist()), tuple(np.max(triples, axis=0).tolist())


def _range(ends: Range) -> str:
    texts = ["x".join(f"{v:g}" for v in np.round(end, 3)) for end in ends]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"


def _counts(values: Mapping[str, int]) -> str:
    if len(values) > _MOST_VALUES:
        return f"{len(values)} values"
    return ", ".join(f"{value} ({n})" for value, n in sorted(values.items()))
