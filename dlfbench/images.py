"""Voxel grids, reading and writing of NIfTI files. Nothing else in dlfbench uses nibabel.

Axis order is (x, y, z) as stored in the file, several modalities stand in front: (modality, x, y, z).
Affines map voxel indices to RAS+ millimetres, as nibabel gives them.
"""

import os
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from dlfbench.errors import InputError

FloatArray = npt.NDArray[np.floating[Any]]
LabelArray = npt.NDArray[np.integer[Any]]
_TABLE_SIZE = 2**16

AFFINE_TOLERANCE_MM = 1e-3


@dataclass(frozen=True)
class Grid:
    """Where voxels lie in space.

    Attributes:
        shape: Voxels along (x, y, z).
        affine: 4 x 4, voxel index to RAS+ mm, as nested tuples so that grids compare and hash.
    """

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]

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

    @cached_property
    def diagonal_mm(self) -> float:
        """Length of the image's diagonal, mm: the worst surface distance that is possible."""
        return float(np.linalg.norm(np.asarray(self.shape) * self.spacing_mm))

    def matches(self, other: "Grid") -> bool:
        """Whether the two grids have the same shape and, within 0.001 mm, the same affine."""
        return self.shape == other.shape and np.allclose(self.affine, other.affine, rtol=0, atol=AFFINE_TOLERANCE_MM)

    def describe(self) -> str:
        shape = "x".join(str(n) for n in self.shape)
        spacing = "x".join(f"{s:g}" for s in np.round(self.spacing_mm, 4))
        origin = ", ".join(f"{row[3]:g}" for row in self.affine[:3])
        return f"{shape} voxels of {spacing} mm, origin ({origin})"


def read_voxels(path: Path) -> tuple[npt.NDArray[Any], Grid]:
    """Reads a 3D NIfTI file: voxels (x, y, z) with the file's scaling applied, and their grid.

    Raises:
        InputError: The file is missing, damaged, or not 3D.
    """
    try:
        file = nib.load(path)  # type: ignore[attr-defined]
        voxels = np.asanyarray(file.dataobj)  # type: ignore[attr-defined]
    except FileNotFoundError:
        raise InputError(f"{path}: file not found") from None
    except Exception as error:  # nibabel, gzip and zlib raise a dozen kinds for damaged files
        raise InputError(
            f"{path}: cannot be read as NIfTI ({type(error).__name__}: {error}); copy or download the file again"
        ) from error
    if voxels.ndim != 3:
        raise InputError(
            f"{path}: expected a 3D image, found {voxels.ndim}D with shape {voxels.shape}; "
            "store each modality or time point as a 3D file of its own"
        )
    return voxels, Grid.of(voxels.shape, file.affine)  # type: ignore[attr-defined]


def read_image(path: Path) -> tuple[npt.NDArray[np.float32], Grid]:
    """Reads intensities as float32 (x, y, z)."""
    voxels, grid = read_voxels(path)
    return np.ascontiguousarray(voxels, dtype=np.float32), grid


def read_labels(path: Path) -> tuple[npt.NDArray[np.int16], Grid]:
    """Reads a label map as int16 (x, y, z).

    Raises:
        InputError: As `read_voxels`, or a value is not an integer that fits int16.
    """
    voxels, grid = read_voxels(path)
    labels = np.ascontiguousarray(np.nan_to_num(voxels, nan=-32768), dtype=np.int16)
    if not np.array_equal(labels, voxels):
        odd = np.unique(voxels[labels != voxels])[:3]
        raise InputError(f"{path}: a label map holds integers, found {odd.tolist()}; write it again as integers")
    return labels, grid


def class_indices(labels: LabelArray, label_values: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """Index of each label among the declared values, which ascend from 0; 0 for what is not declared."""
    values = np.asarray(label_values, dtype=np.int64)
    if values[-1] < _TABLE_SIZE:
        table = np.zeros(values[-1] + 2, np.int32)
        table[values] = np.arange(len(values))
        return table[np.clip(labels, 0, values[-1] + 1)]
    places = np.searchsorted(values, labels).clip(max=len(values) - 1)
    return np.where(values[places] == labels, places, 0).astype(np.int32)


def write_image(path: Path, voxels: npt.NDArray[Any], grid: Grid) -> None:
    """Writes a NIfTI file whole or not at all: to a temporary name first, then renamed.

    Args:
        path: Ends in `.nii` or `.nii.gz`; its folder is made.
        voxels: (x, y, z), stored in its own type.
        grid: The grid of the voxels; shapes must agree.
    """
    if voxels.shape != grid.shape:
        raise ValueError(f"{path}: voxels {voxels.shape} do not fit the grid {grid.shape}")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".nii.gz" if path.name.endswith(".gz") else ".nii")
    os.close(handle)
    try:
        nib.save(nib.Nifti1Image(voxels, np.asarray(grid.affine)), temporary)  # type: ignore[attr-defined]
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
