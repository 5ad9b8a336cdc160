"""Voxels as a file stores them: so nnU-Net's usual readers give them to a model, whatever way the image lies."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.images import Grid

Array = npt.NDArray[Any]


def as_stored(volumes: Array, grid: Grid) -> tuple[Array, tuple[float, ...]]:
    """Volumes (.., x, y, z) in nearest RAS, in the order of the grid's file, and the spacing along its axes, mm."""
    if grid.stored is None:
        return volumes, grid.spacing_mm
    lead, axes = volumes.ndim - 3, [axis for axis, _ in grid.stored]
    turned = volumes.transpose(*range(lead), *(lead + axis for axis in axes))
    return np.flip(turned, _flipped(grid, lead)), tuple(grid.spacing_mm[axis] for axis in axes)


def as_read(volumes: Array, grid: Grid) -> Array:
    """The inverse: volumes in the order of the grid's file, in nearest RAS."""
    if grid.stored is None:
        return volumes
    lead, back = volumes.ndim - 3, np.argsort([axis for axis, _ in grid.stored])
    turned: Array = np.flip(volumes, _flipped(grid, lead)).transpose(*range(lead), *(lead + axis for axis in back))
    return turned


def _flipped(grid: Grid, lead: int) -> tuple[int, ...]:
    """Axes of the file that go the other way than the grid's."""
    assert grid.stored is not None
    return tuple(lead + place for place, (_, direction) in enumerate(grid.stored) if direction < 0)
