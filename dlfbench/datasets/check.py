"""Checks every file of a dataset before any work starts, and describes what is in it."""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.cases import Case, Dataset, LabelSet
from dlfbench.errors import InputError
from dlfbench.images import Grid, read_image, read_labels, read_voxels

_READERS = 4


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
        found = pool.map(lambda case: check_case(case, dataset.labels), dataset.cases)
        for done, of_case in enumerate(found, 1):
            problems += of_case
            if progress:
                progress(done, len(dataset.cases))
    if problems:
        raise InputError(problems)


def check_case(case: Case, labels: LabelSet) -> list[str]:
    """The problems of one case: unreadable, not 3D, not finite, other grid, undeclared value, empty label map."""
    problems: list[str] = []
    grids: dict[Path, Grid] = {}
    for path in case.images:
        try:
            voxels, grids[path] = read_image(path)
            problems += _image_problems(case, path, voxels)
        except InputError as error:
            problems += [f"{problem} (case {case.name})" for problem in error.problems]
    assert case.reference is not None
    try:
        reference, grids[case.reference] = read_labels(case.reference)
        problems += _label_problems(case, reference, labels)
    except InputError as error:
        problems += [f"{problem} (case {case.name})" for problem in error.problems]
    first = next(iter(grids), None)
    for path, grid in grids.items():
        if first is not None and not grid.matches(grids[first]):
            problems.append(
                f"{path}: case {case.name}: expected the grid of {first.name}, {grids[first].describe()}; "
                f"found {grid.describe()}; resample one onto the other"
            )
    return problems


def _image_problems(case: Case, path: Path, voxels: npt.NDArray[np.float32]) -> Iterable[str]:
    bad = int((~np.isfinite(voxels)).sum())
    if bad:
        yield f"{path}: case {case.name}: expected finite voxels, found {bad} NaN or infinite; replace them"


def _label_problems(case: Case, reference: npt.NDArray[np.int16], labels: LabelSet) -> Iterable[str]:
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
        entries: Heading and text, in the order in which they are shown.
    """

    entries: tuple[tuple[str, str], ...]

    def rows(self) -> tuple[tuple[str, str], ...]:
        return self.entries


def describe(dataset: Dataset) -> Description:
    """Counts and ranges, from columns and image headers."""
    grids = [read_voxels(case.images[0])[1] for case in dataset.cases]
    entries = [
        ("cases", str(len(dataset.cases))),
        ("people", str(len({case.person for case in dataset.cases}))),
        ("modalities", ", ".join(dataset.modalities)),
        ("labels", ", ".join(f"{value} {name}" for value, name in dataset.labels.foreground)),
        ("shape, voxels", _range([grid.shape for grid in grids])),
        ("spacing, mm", _range([grid.spacing_mm for grid in grids])),
    ]
    entries += [(f"column {column}", _values(dataset, column)) for column in dataset.columns]
    return Description(tuple(entries))


def _range(triples: list[tuple[Any, ...]]) -> str:
    low, high = np.min(triples, axis=0), np.max(triples, axis=0)
    texts = ["x".join(f"{v:g}" for v in np.round(triple, 3)) for triple in (low, high)]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"


def _values(dataset: Dataset, column: str) -> str:
    counts = Counter(case.columns.get(column, "(none)") for case in dataset.cases)
    if len(counts) > 8:
        return f"{len(counts)} values"
    return ", ".join(f"{value} ({n})" for value, n in sorted(counts.items()))
