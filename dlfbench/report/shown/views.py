"""A case as arrays in the order that people look at it: x to the left, y to the front, z up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.images import Grid, read_labels
from dlfbench.records.record import Record

_MARGIN_MM = 8.0

Voxels = npt.NDArray[Any]


@dataclass(frozen=True)
class View:
    """Arrays in RAS order and the spacing along their axes, cut to the box around all labels.

    Attributes:
        image: (x, y, z).
        reference: Labels, (x, y, z).
        predictions: Labels by method, each (x, y, z).
        spacing_mm: Along x, y and z.
    """

    image: Voxels
    reference: Voxels
    predictions: Mapping[str, Voxels]
    spacing_mm: tuple[float, ...]


def read_view(record: Record, case: str, paths: Mapping[str, Path]) -> View:
    """Reads the first image of a case, its reference and these predictions.

    Raises:
        InputError: A file cannot be read.
        ValueError: The files are of different shapes.
    """
    image, grid = record.image(case)
    maps = {name: read_labels(path)[0] for name, path in paths.items()}
    reference = np.maximum(record.case(case).read_reference()[0], 0)
    if any(labels.shape != image.shape for labels in (reference, *maps.values())):
        raise ValueError("image, reference and predictions have different shapes")
    box = _box([reference, *maps.values()], grid)
    spacing_mm = tuple(grid.spacing_mm[axis] for axis in ras_order(grid)[0])
    predictions = {name: to_ras(labels[box], grid) for name, labels in maps.items()}
    return View(to_ras(image[box], grid), to_ras(reference[box], grid), predictions, spacing_mm)


def _box(maps: Sequence[Voxels], grid: Grid) -> tuple[slice, ...]:
    labelled = np.argwhere(np.any([labels > 0 for labels in maps], axis=0))
    if not labelled.size:
        return (slice(None),) * 3
    margin_vox = np.ceil(_MARGIN_MM / np.asarray(grid.spacing_mm)).astype(int)
    low, high = np.maximum(labelled.min(axis=0) - margin_vox, 0), labelled.max(axis=0) + margin_vox + 1
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True))


def ras_order(grid: Grid) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Which voxel axis runs most along x, y and z of the world, and whether against it."""
    directions = np.asarray(grid.affine)[:3, :3] / np.asarray(grid.spacing_mm)
    order: list[int] = []
    for world in range(3):
        free = [axis for axis in range(3) if axis not in order]
        order.append(max(free, key=lambda axis: abs(directions[world, axis])))
    return tuple(order), tuple(bool(directions[world, axis] < 0) for world, axis in enumerate(order))


def to_ras(voxels: Voxels, grid: Grid) -> Voxels:
    """The array with its axes along x, y and z."""
    order, against = ras_order(grid)
    flips = tuple(slice(None, None, -1) if backward else slice(None) for backward in against)
    turned: Voxels = voxels.transpose(order)[flips]
    return turned
