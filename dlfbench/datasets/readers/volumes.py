"""Voxels of one volume, whatever kind of file keeps it: nibabel for NIfTI and MGZ, SimpleITK for the rest."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from dlfbench.datasets.readers.interface import Volume
from dlfbench.errors import InputError
from dlfbench.images import Grid, damage_told, read_voxels, to_nearest_ras
from dlfbench.registration.greedy import from_sitk

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_volume(volume: Volume) -> tuple[npt.NDArray[Any], Grid]:
    """Voxels (x, y, z) in nearest RAS, and their grid.

    Raises:
        InputError: The file is missing or damaged, or has no such channel, or is not 3D.
    """
    if volume.channel is not None:
        return _channel(volume.path, volume.channel)
    if volume.path.name.endswith((".nii", ".nii.gz", ".mgz", ".mgh")):
        return read_voxels(volume.path)
    return _by_simpleitk(volume.path)


def _channel(path: Path, channel: int) -> tuple[npt.NDArray[Any], Grid]:
    with damage_told(path):
        file = nib.load(path)  # type: ignore[attr-defined]
        shape = file.shape  # type: ignore[attr-defined]
        if len(shape) != 4 or channel >= shape[3]:
            raise InputError(f"{path}: expected a 4D file with {channel + 1} volumes or more, found shape {shape}")
        voxels = np.asarray(file.dataobj[..., channel])  # type: ignore[attr-defined]
    return to_nearest_ras(voxels, file.affine)  # type: ignore[attr-defined]


def _by_simpleitk(path: Path) -> tuple[npt.NDArray[Any], Grid]:
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        said = str(error).strip().splitlines()[-1]
        raise InputError(f"{path}: cannot be read by SimpleITK ({said}); copy or export the file again") from None
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(
            f"{path}: expected one 3D volume, found {image.GetDimension()}D with "
            f"{image.GetNumberOfComponentsPerPixel()} values a voxel; export one volume a file"
        )
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return to_nearest_ras(from_sitk(image), _LPS_TO_RAS @ affine)
