"""However a file stores its voxels: images are read in nearest RAS, and label maps written in the file's own order."""

from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlfbench.datasets.cases import Case
from dlfbench.datasets.headers import contradictions
from dlfbench.datasets.shifts import Shift
from dlfbench.engine.keys import digests_of
from dlfbench.images import Grid, is_stored_as_read, read_image, read_labels, write_image, write_labels

SHAPE = (5, 6, 7)
OBLIQUE = Rotation.from_euler("xyz", [12, -20, 15], degrees=True).as_matrix()
FLIPS = list(product((1, -1), repeat=3))
ORDERS = [list(zip(axes, flips, strict=True)) for axes in permutations(range(3)) for flips in FLIPS]
PIR = [(1, -1), (2, -1), (0, 1)]


def affine_of(directions: np.ndarray = OBLIQUE) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions * (0.5, 1.0, 2.0), (-8, 4, 16)
    return affine


def stored(path: Path, voxels: np.ndarray, affine: np.ndarray, order: list[tuple[int, int]]) -> Path:
    """Writes the same image with its axes in another order: (axis in RAS, direction) of each."""
    back = nib.orientations.ornt_transform(np.array([[0, 1], [1, 1], [2, 1]]), np.array(order))
    turned = affine @ nib.orientations.inv_ornt_aff(back, voxels.shape)
    nib.save(nib.Nifti1Image(nib.orientations.apply_orientation(voxels, back), turned), path)
    return path


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 100, SHAPE).astype(np.int16)


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("directions", [np.eye(3), OBLIQUE], ids=["straight", "oblique"])
def test_every_order_is_read_as_one_and_written_as_it_was(order, directions, voxels, tmp_path):
    affine = affine_of(directions)
    path = stored(tmp_path / "image.nii.gz", voxels, affine, order)
    found, grid = read_labels(path)
    assert np.array_equal(found, voxels)
    assert grid.matches(Grid.of(SHAPE, affine))
    write_labels(tmp_path / "again.nii.gz", found, grid)
    before, after = (nib.load(tmp_path / name) for name in ("image.nii.gz", "again.nii.gz"))
    assert np.array_equal(before.get_fdata(), after.get_fdata())
    assert np.allclose(before.affine, after.affine, atol=1e-5)


def test_what_is_in_ras_already_stays_as_it_is(voxels, tmp_path):
    path = stored(tmp_path / "image.nii.gz", voxels, affine_of(), ORDERS[0])
    found, grid = read_image(path)
    assert grid.stored is None
    assert np.array_equal(found, nib.load(path).get_fdata(dtype=np.float32))
    assert np.array_equal(grid.affine, nib.load(path).affine)


def test_in_ras_a_file_is_written_in_the_order_of_memory(voxels, tmp_path):
    found, grid = read_image(stored(tmp_path / "image.nii.gz", voxels, affine_of(), PIR))
    write_image(tmp_path / "ras.nii.gz", found, grid.in_ras)
    again = nib.load(tmp_path / "ras.nii.gz")
    assert np.array_equal(again.get_fdata(), voxels)
    assert nib.aff2axcodes(again.affine) == ("R", "A", "S")


def test_a_singular_affine_is_left_for_the_check(voxels, tmp_path):
    affine = np.diag([1.0, 0.0, 1.0, 1.0])
    image = nib.Nifti1Image(voxels, np.eye(4))
    image.header.set_sform(affine, code=1)
    nib.save(image, tmp_path / "flat.nii")
    _, grid = read_image(tmp_path / "flat.nii")
    assert grid.stored is None
    assert grid.shape == SHAPE


def case(folder: Path, name: str, voxels: np.ndarray, order: list[tuple[int, int]]) -> Case:
    image = stored(folder / f"{name}.nii.gz", voxels, affine_of(), order)
    reference = stored(folder / f"{name}_labels.nii.gz", (voxels > 50).astype(np.int16), affine_of(), order)
    return Case("case", (image,), reference)


@pytest.mark.parametrize("change", ["resolution:3", "ghosting:3", "noise:2", "bias:3"])
def test_a_shift_is_the_same_in_anatomy_however_an_image_is_stored(change, voxels, tmp_path):
    plain, other = (
        replace(case(tmp_path, name, voxels, order), shift=(Shift(change), ("t1",))).read_target()
        for name, order in (("ras", ORDERS[0]), ("pir", PIR))
    )
    assert np.array_equal(plain.images, other.images)


def test_keys_are_those_of_before_for_files_in_ras_and_others_for_the_rest(voxels, tmp_path):
    from dlfbench.datasets.digests import digest, digest_file

    plain, other = (case(tmp_path, name, voxels, order) for name, order in (("ras", ORDERS[0]), ("pir", PIR)))
    assert digests_of(plain)[0] == digest([digest_file(plain.images[0])])
    assert digests_of(other)[0] != digest([digest_file(other.images[0])])


def with_header(path: Path, voxels: np.ndarray, *, pixdim=None, qform=None, unit="mm") -> Path:
    image = nib.Nifti1Image(voxels, affine_of(np.eye(3)))
    image.set_sform(affine_of(np.eye(3)), code=1)
    image.set_qform(affine_of(np.eye(3)) if qform is None else qform, code=1)
    image.header.set_xyzt_units(unit)
    if pixdim:
        image.header["pixdim"][1:4] = pixdim
        image.header["qform_code"] = 0
    nib.save(image, path)
    return path


MOVED = affine_of(np.eye(3))
MOVED[0, 3] += 3.0

CONTRADICTIONS = {
    "none": ({}, {}),
    "forms": ({"qform": MOVED}, {"forms": "qform and sform place voxels up to 3 mm apart"}),
    "pixdim": ({"pixdim": (1.0, 1.0, 2.0)}, {"pixdim": "pixdim says voxels of 1x1x2 mm, the affine 0.5x1x2 mm"}),
    "metres": ({"unit": "meter"}, {"units": "its unit of length is said to be metres"}),
    "micrometres": ({"unit": "micron"}, {"units": "its unit of length is said to be micrometres"}),
}


@pytest.mark.parametrize(("header", "expected"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_the_check_says_where_a_header_contradicts_itself(header, expected, voxels, tmp_path):
    found = dict(contradictions(with_header(tmp_path / "image.nii.gz", voxels, **header)))
    assert found.keys() == expected.keys()
    assert all(expected[kind] in text for kind, text in found.items())


def test_programs_that_look_at_pixdim_alone_do_not_get_a_file_that_contradicts_itself(voxels, tmp_path):
    assert is_stored_as_read(with_header(tmp_path / "plain.nii.gz", voxels))
    assert not is_stored_as_read(with_header(tmp_path / "pixdim.nii.gz", voxels, pixdim=(1.0, 1.0, 2.0)))
    assert not is_stored_as_read(stored(tmp_path / "pir.nii.gz", voxels, affine_of(), PIR))
    four = nib.Nifti1Image(voxels[..., None], affine_of())
    nib.save(four, tmp_path / "four.nii.gz")
    assert not is_stored_as_read(tmp_path / "four.nii.gz")
