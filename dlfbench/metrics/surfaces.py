"""Boxes of labels, surfaces of masks, and how far one is from another: the kernels below `masks`.

Segmentations worth a metric are a few voxels apart, so the nearest surface voxel is looked for from near to far; a tree
is searched only for voxels that have none within some voxels. With trees alone, scores take three times as long.
"""

from functools import lru_cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]

_NEAR_VOX = 500
"""So many voxels around one are looked at before a tree is built: those within 4.9 voxels where they are cubes."""

_jit = numba.njit(cache=True, nogil=True)


@_jit
def indexed(
    labels: npt.NDArray[np.integer[Any]], table: npt.NDArray[np.int16]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.intp]]:
    """Class of each voxel (x, y, z), and the first and last voxel of each class along each axis, in one pass.

    Args:
        labels: Label map (x, y, z).
        table: Class of each label; labels beyond it are background, those below 0 are unknown, -1.

    Returns:
        Classes (x, y, z), and (class, axis, 2): of a class that is not there the last comes before the first. Nothing
        is told of class 0.
    """
    classes = np.zeros(labels.shape, np.int16)
    ends = np.empty((table.max() + 1, 3, 2), np.intp)
    for axis in range(3):
        ends[:, axis, 0], ends[:, axis, 1] = labels.shape[axis], -1
    for x in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for z in range(labels.shape[2]):
                label = labels[x, y, z]
                if label < 0:
                    classes[x, y, z] = -1
                elif 0 < label < len(table) and table[label] > 0:
                    found = table[label]
                    classes[x, y, z] = found
                    for axis, place in enumerate((x, y, z)):
                        ends[found, axis, 0] = min(ends[found, axis, 0], place)
                        ends[found, axis, 1] = max(ends[found, axis, 1], place)
    return classes, ends


@_jit
def places_of(mask: BoolArray) -> npt.NDArray[np.intp]:
    """Index (voxel, axis) of each voxel of a mask (x, y, z), as `np.argwhere` has it and in half of its time."""
    found = np.empty((np.count_nonzero(mask), 3), np.intp)
    number = 0
    for x in range(mask.shape[0]):
        for y in range(mask.shape[1]):
            for z in range(mask.shape[2]):
                if mask[x, y, z]:
                    found[number, 0], found[number, 1], found[number, 2] = x, y, z
                    number += 1
    return found


@_jit
def edge(mask: BoolArray, solid: BoolArray) -> BoolArray:
    """The voxels (x, y, z) of a mask with a face neighbour that is not solid, or lies beyond the box.

    Args:
        mask: (x, y, z).
        solid: (x, y, z): the mask, and what is no border to it.
    """
    found = np.zeros_like(mask)
    nx, ny, nz = mask.shape
    for x in range(nx):
        for y in range(ny):
            border = x == 0 or y == 0 or x == nx - 1 or y == ny - 1
            for z in range(nz):
                if mask[x, y, z]:
                    found[x, y, z] = (
                        border
                        or z == 0
                        or z == nz - 1
                        or not (
                            solid[x - 1, y, z]
                            and solid[x + 1, y, z]
                            and solid[x, y - 1, z]
                            and solid[x, y + 1, z]
                            and solid[x, y, z - 1]
                            and solid[x, y, z + 1]
                        )
                    )
    return found


def near_distances_mm(
    places: npt.NDArray[np.intp], surface: BoolArray, corner: tuple[int, ...], spacing_mm: tuple[float, float, float]
) -> npt.NDArray[np.float64]:
    """Distance of voxels to the nearest of a surface, mm; -1 where there is none within some voxels.

    Args:
        places: Index in the image (voxel, axis).
        surface: Voxels (x, y, z) of a box.
        corner: Index of the box's first voxel in the image.
        spacing_mm: Distance between voxel centres along (x, y, z), mm.
    """
    offsets, distances_mm = _offsets(spacing_mm)
    return np.asarray(_nearest(places - corner, surface, offsets, distances_mm))


@_jit
def _nearest(places: Any, surface: Any, offsets: Any, distances_mm: Any) -> Any:
    nx, ny, nz = surface.shape
    found = np.full(len(places), -1.0)
    for number in range(len(places)):
        for step in range(len(offsets)):
            x = places[number, 0] + offsets[step, 0]
            y = places[number, 1] + offsets[step, 1]
            z = places[number, 2] + offsets[step, 2]
            if 0 <= x < nx and 0 <= y < ny and 0 <= z < nz and surface[x, y, z]:
                found[number] = distances_mm[step]
                break
    return found


@lru_cache(maxsize=64)
def _offsets(spacing_mm: tuple[float, float, float]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Steps (voxel, axis) in a ball of about so many voxels, from near to far, and their lengths, mm."""
    radius_mm = (_NEAR_VOX * np.prod(spacing_mm) * 3 / (4 * np.pi)) ** (1 / 3)
    most = [int(radius_mm / along) for along in spacing_mm]
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), axis=-1).reshape(-1, 3)
    lengths_mm = np.linalg.norm(steps * np.asarray(spacing_mm), axis=1)
    order = np.argsort(lengths_mm, kind="stable")
    # farther than the radius, shorter steps along another axis are missing
    order = order[lengths_mm[order] <= radius_mm][:_NEAR_VOX]
    return steps[order], lengths_mm[order]
