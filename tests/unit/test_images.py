"""What is read from files as people have them: harmless differences are none, the rest is refused."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from dlfbench.errors import InputError
from dlfbench.images import UNKNOWN, Grid, numbered, read_image, read_labels, read_voxels, write_image, write_labels

SHAPE = (4, 5, 6)
GRID = Grid.of(SHAPE, np.diag([1.0, 1.2, 1.5, 1.0]))


def save(path: Path, voxels: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(voxels, np.asarray(GRID.affine)), path)
    return path


def test_further_axes_of_length_1_are_taken_away(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", np.arange(120, dtype=np.float32).reshape(*SHAPE, 1, 1))
    voxels, grid = read_image(path)
    assert voxels.shape == grid.shape == SHAPE
    assert voxels[1, 2, 3] == np.ravel_multi_index((1, 2, 3), SHAPE)


def test_what_a_scale_factor_made_of_integers_is_rounded(tmp_path: Path) -> None:
    stored = np.full(SHAPE, 3, np.int16)
    file = nib.Nifti1Image(stored, np.eye(4))
    file.header.set_slope_inter(1.0001, 0)  # 3.0003
    nib.save(file, tmp_path / "a.nii.gz")
    labels, _ = read_labels(tmp_path / "a.nii.gz")
    assert labels.dtype == np.int32
    assert (labels == 3).all()


@pytest.mark.parametrize("value", [2.4, np.nan, np.inf, -np.inf, 1e300, 3e9])
def test_what_is_no_label_is_refused(value: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at most 2147483647"):
        read_labels(save(tmp_path / "a.nii.gz", np.full(SHAPE, value)))


@pytest.mark.parametrize(
    ("kind", "most", "stored"),
    [(np.int64, 2**31 - 1, np.int32), (np.int64, -(2**40), np.float64), (np.uint64, 2**40, np.float64)],
)
def test_integers_of_64_bits_are_written_as_what_holds_them(
    kind: type, most: int, stored: type, tmp_path: Path
) -> None:
    voxels = np.full(SHAPE, most, kind)
    write_image(tmp_path / "a.nii.gz", voxels, GRID)
    found, _ = read_voxels(tmp_path / "a.nii.gz")
    assert found.dtype == stored
    assert (found == voxels).all()


def test_labels_of_32_bits_come_back_as_they_were(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.int32)
    labels[0], labels[1] = 614_454_277, 1
    write_labels(tmp_path / "a.nii.gz", labels, GRID)
    assert (read_labels(tmp_path / "a.nii.gz")[0] == labels).all()


def test_registrations_get_small_numbers_with_background_0() -> None:
    labels = np.array([[UNKNOWN, 614_454_277], [7, 7]], np.int32)
    values, numbers = numbered(labels)
    assert numbers.tolist() == [[3, 2], [1, 1]]
    assert (values[numbers] == labels).all()


@pytest.mark.parametrize(("share", "same"), [(0.009, True), (0.011, False)])
def test_grids_are_the_same_within_1_percent_of_a_voxel(share: float, same: bool) -> None:
    moved = np.asarray(GRID.affine)
    moved[0, 3] += share * 1.0  # the smallest voxel edge is 1 mm
    assert GRID.matches(Grid.of(SHAPE, moved)) is same


def test_a_small_turn_counts_where_it_moves_voxels_most() -> None:
    angle = 0.011 / 9  # the far corner of ten voxels along x
    turned = np.eye(4)
    turned[1, 0], turned[0, 1] = angle, -angle
    assert not Grid.of((10, 2, 2), turned).matches(Grid.of((10, 2, 2), np.eye(4)))
