"""Voxel grids, reading and writing of NIfTI files. Nothing else in dlfbench uses nibabel.

However a file stores its voxels, in memory x goes to the right, y to the front and z up, as nearly as the axes of the
grid allow (nearest RAS): a network or a shift along an axis meets the same anatomy in every image. Voxels are only put
in another order, never resampled, and stand in the file's own order again where they are written on its grid.
Axis order is (x, y, z), several modalities stand in front: (modality, x, y, z). Affines map voxel indices to RAS+
millimetres, as nibabel gives them.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from dlfbench.errors import InputError

FloatArray = npt.NDArray[np.floating[Any]]
LabelArray = npt.NDArray[np.integer[Any]]

UNKNOWN = -1
"""In a label map: nothing is known of this voxel. It was marked to be ignored, or lies outside of an atlas's image."""

MOST_LABEL = np.iinfo(np.int32).max
_SAME_GRID_VOX = 0.01
_RAS = np.array([[0, 1], [1, 1], [2, 1]])
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Grid:
    """Where voxels lie in space.

    Attributes:
        shape: Voxels along (x, y, z).
        affine: 4 x 4, voxel index to RAS+ mm, as nested tuples so that grids compare and hash.
        stored: How the file orders its voxels: for each of its axes, which axis of the grid it is, and 1 or -1 for the
            same or the other direction. None for as the grid does.
    """

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    stored: tuple[tuple[int, int], ...] | None = field(default=None, compare=False)

    @classmethod
    def of(cls, shape: tuple[int, ...], affine: npt.ArrayLike) -> "Grid":
        rows = np.asarray(affine, dtype=float)
        nx, ny, nz = (int(n) for n in shape)
        return cls((nx, ny, nz), tuple(tuple(float(v) for v in row) for row in rows))

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along (x, y, z), mm."""
        x, y, z = np.linalg.norm(np.asarray(self.affine)[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def stored_spacing_mm(self) -> tuple[float, ...]:
        """The same along the axes of the file."""
        return self.spacing_mm if self.stored is None else tuple(self.spacing_mm[axis] for axis, _ in self.stored)

    @cached_property
    def diagonal_mm(self) -> float:
        """Length of the image's diagonal, mm: the worst surface distance that is possible."""
        return float(np.linalg.norm(np.asarray(self.shape) * self.spacing_mm))

    @property
    def in_ras(self) -> "Grid":
        """The same grid, on which files are written in the order that voxels have in memory."""
        return replace(self, stored=None)

    def matches(self, other: "Grid") -> bool:
        """Whether the two grids have the same shape, and no voxel lies 1% of a voxel's size from its like.

        Headers hold affines as 32-bit numbers, or as quaternions: equal grids differ by rounding.
        """
        if self.shape != other.shape:
            return False
        apart = np.subtract(self.affine, other.affine)[:3]
        corners = np.array([(x, y, z, 1) for x, y, z in product(*((0, n - 1) for n in self.shape))], dtype=float)
        apart_mm = np.linalg.norm(corners @ apart.T, axis=1).max()
        return bool(apart_mm < _SAME_GRID_VOX * min(self.spacing_mm))

    def describe(self) -> str:
        shape = "x".join(str(n) for n in self.shape)
        spacing = "x".join(f"{s:g}" for s in np.round(self.spacing_mm, 4))
        origin = ", ".join(f"{row[3]:g}" for row in self.affine[:3])
        return f"{shape} voxels of {spacing} mm, origin ({origin})"


def read_voxels(path: Path) -> tuple[npt.NDArray[Any], Grid]:
    """Reads a 3D NIfTI file: voxels (x, y, z) with the file's scaling applied, in nearest RAS, and their grid.

    Further axes of length 1 are taken away.

    Raises:
        InputError: The file is missing, damaged, or not 3D.
    """
    with damage_told(path):
        file = nib.load(path)  # type: ignore[attr-defined]
        voxels = np.asanyarray(file.dataobj)  # type: ignore[attr-defined]
    if voxels.ndim > 3 and set(voxels.shape[3:]) == {1}:
        voxels = voxels.reshape(voxels.shape[:3])
    if voxels.ndim != 3:
        raise InputError(
            f"{path}: expected a 3D image, found {voxels.ndim}D with shape {voxels.shape}; "
            "store each modality or time point as a 3D file of its own (of the Decathlon: `dlfbench data import msd`)"
        )
    return to_nearest_ras(voxels, file.affine)  # type: ignore[attr-defined]


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Within, whatever a missing or damaged file raises becomes an `InputError` that names it."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: file not found") from None
    except Exception as error:  # nibabel, gzip and zlib raise a dozen kinds for damaged files
        raise InputError(
            f"{path}: cannot be read as NIfTI ({type(error).__name__}: {error}); copy or download the file again"
        ) from error


def to_nearest_ras(voxels: npt.NDArray[Any], affine: npt.ArrayLike) -> tuple[npt.NDArray[Any], Grid]:
    """Voxels as a file stores them, in nearest RAS, and their grid; as they are where the affine places no voxel."""
    matrix = np.asarray(affine, dtype=float)
    found = _order(matrix)
    if np.array_equal(found, _RAS):
        return voxels, Grid.of(voxels.shape, matrix)
    turned = matrix @ nib.orientations.inv_ornt_aff(found, voxels.shape)
    voxels = nib.orientations.apply_orientation(voxels, found)
    stored = tuple((int(axis), int(direction)) for axis, direction in found)
    return voxels, replace(Grid.of(voxels.shape, turned), stored=stored)


def _order(affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """For each axis of a file which one of nearest RAS it is, and 1 or -1: the same or the other direction."""
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        return _RAS.astype(np.float64)
    order: npt.NDArray[np.float64] = nib.orientations.io_orientation(affine)
    return order


def as_stored(volumes: npt.NDArray[Any], grid: Grid) -> npt.NDArray[Any]:
    """Volumes (.., x, y, z) in the order of the grid's file."""
    if grid.stored is None:
        return volumes
    return _turned(volumes, nib.orientations.ornt_transform(_RAS, np.array(grid.stored)))


def as_read(volumes: npt.NDArray[Any], grid: Grid) -> npt.NDArray[Any]:
    """The inverse: volumes in the order of the grid's file, in nearest RAS."""
    return volumes if grid.stored is None else _turned(volumes, np.array(grid.stored))


def _turned(volumes: npt.NDArray[Any], order: npt.NDArray[Any]) -> npt.NDArray[Any]:
    first, last = (0, 1, 2), (-3, -2, -1)
    turned = nib.orientations.apply_orientation(np.moveaxis(volumes, last, first), order)
    return np.ascontiguousarray(np.moveaxis(turned, first, last))


def _stored_affine(grid: Grid) -> npt.NDArray[np.float64]:
    """The affine that goes with voxels in the order of the grid's file."""
    affine = np.asarray(grid.affine)
    if grid.stored is None:
        return affine
    back = nib.orientations.ornt_transform(_RAS, np.array(grid.stored))
    turned: npt.NDArray[np.float64] = affine @ nib.orientations.inv_ornt_aff(back, grid.shape)
    return turned


def is_stored_as_read(path: Path) -> bool:
    """Whether a NIfTI file's axes and voxel sizes, taken by themselves, are those that it is read with here.

    False where voxels are stored in another order than nearest RAS, where voxel sizes (`pixdim`) are not those of the
    affine, and where there are more than three axes: a program that looks at these alone sees another image. A file
    that cannot be read is none of those.
    """
    try:
        file: Any = nib.load(path)  # type: ignore[attr-defined]
    except Exception:  # as in read_voxels, which says what is wrong
        return True
    if len(file.shape) != 3 or not np.array_equal(_order(file.affine), _RAS):
        return False
    return np.allclose(file.header.get_zooms()[:3], Grid.of(file.shape, file.affine).spacing_mm, rtol=1e-5)


def read_image(path: Path, *, exact: bool = False) -> tuple[FloatArray, Grid]:
    """Reads intensities (x, y, z): as float32, or exact as float64, which holds what 32 bits would round."""
    voxels, grid = read_voxels(path)
    return np.ascontiguousarray(voxels, dtype=np.float64 if exact else np.float32), grid


def read_labels(path: Path) -> tuple[npt.NDArray[np.int32], Grid]:
    """Reads a label map as int32 (x, y, z). What a scale factor or 32-bit numbers made of integers is rounded.

    Raises:
        InputError: As `read_voxels`, or a value is further than 0.001 from an integer, or does not fit int32.
    """
    voxels, grid = read_voxels(path)
    return as_labels(voxels, path), grid


def as_labels(voxels: npt.NDArray[Any], path: Path) -> npt.NDArray[np.int32]:
    """The voxels of a file as labels, rounded; refused as by `read_labels`."""
    if voxels.dtype.kind not in "biuf":
        raise InputError(f"{path}: a label map holds integers, found {voxels.dtype}; write it again as integers")
    whole = voxels if voxels.dtype.kind in "biu" else np.rint(voxels)
    fits = (whole >= -MOST_LABEL) & (whole <= MOST_LABEL)  # not a number fits nowhere
    odd = ~fits | (np.abs(np.where(fits, voxels, 0) - np.where(fits, whole, 0)) > _ROUNDING)
    if odd.any():
        raise InputError(
            f"{path}: a label map holds integers of at most {MOST_LABEL}, found {np.unique(voxels[odd])[:3].tolist()}; "
            "write it again as such integers"
        )
    return np.ascontiguousarray(whole, dtype=np.int32)


def label_type(highest: int) -> type[np.integer[Any]]:
    """What label maps are kept as: 16 bits where they suffice, 32 elsewhere."""
    return np.int16 if highest <= np.iinfo(np.int16).max else np.int32


def write_image(path: Path, voxels: npt.NDArray[Any], grid: Grid) -> None:
    """Writes a NIfTI file, its voxels in the order of the file that the grid was read from (`Grid.stored`).

    It is written whole or not at all: to a temporary name first, then renamed.

    Args:
        path: Ends in `.nii` or `.nii.gz`; its folder is made.
        voxels: (x, y, z), stored in its own type; integers of 64 bits, which few programs read, in 32, or as floats.
        grid: The grid of the voxels; shapes must agree.
    """
    if voxels.shape != grid.shape:
        raise ValueError(f"{path}: voxels {voxels.shape} do not fit the grid {grid.shape}")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".nii.gz" if path.name.endswith(".gz") else ".nii")
    os.close(handle)
    try:
        nib.save(nib.Nifti1Image(as_stored(_narrow(voxels), grid), _stored_affine(grid)), temporary)  # type: ignore[attr-defined]
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _narrow(voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Integers of 64 bits, which nibabel refuses to write, in 32 where they fit, as floats elsewhere."""
    if voxels.dtype.kind not in "iu" or voxels.dtype.itemsize < 8:
        return voxels
    fits = voxels.min(initial=0) >= -MOST_LABEL and voxels.max(initial=0) <= MOST_LABEL
    return voxels.astype(np.int32 if fits else np.float64)


def write_labels(path: Path, labels: LabelArray, grid: Grid) -> None:
    """Writes a label map as `write_image` does, in 16 bits where they suffice."""
    write_image(path, labels.astype(label_type(int(labels.max(initial=0)))), grid)


def numbered(labels: LabelArray) -> tuple[LabelArray, LabelArray]:
    """A label map as small numbers, for registrations: they compute in 32-bit floats, and know no negative label.

    Returns:
        The label of each number, 0 the background, and the map of numbers.
    """
    found = np.unique(np.append(labels, 0))
    values = np.concatenate([found[found >= 0], found[found < 0]]).astype(label_type(int(found.max())))
    order = np.argsort(values)
    return values, order[np.searchsorted(values, labels, sorter=order)].astype(np.int16)
