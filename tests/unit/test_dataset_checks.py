"""What the check of voxels finds; damage that a run meets is in e2e/test_bad_input.py as well."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from builders import SHAPE, write_dataset
from dlfbench.datasets.cases import Dataset
from dlfbench.datasets.check import check_dataset, describe
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.errors import InputError
from dlfbench.images import UNKNOWN, read_labels

Array = npt.NDArray[np.generic]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", people=2, modalities=2)


def image(data: Path, channel: int = 0) -> Path:
    return data / f"imagesTr/p00L_{channel:04d}.nii.gz"


def label(data: Path) -> Path:
    return data / "labelsTr/p00L.nii.gz"


def edit(path: Path, change: Callable[[Array], Array], spacing_mm: float = 1.0) -> None:
    file = nib.load(path)
    nib.save(nib.Nifti1Image(change(np.asarray(file.dataobj)), file.affine @ np.diag([spacing_mm, 1, 1, 1])), path)


def place(path: Path, affine: Array) -> None:
    file = nib.load(path)
    made = nib.Nifti1Image(np.asarray(file.dataobj), None)
    made.header.set_sform(affine, code=1)
    nib.save(made, path)


def put(array: Array, value: float) -> Array:
    array = array.astype(np.float64)
    array[0, 0, 0] = value
    return array


def keep_one_file_for_both_modalities(data: Path) -> None:
    shutil.move(image(data), data / "imagesTr/p00L.nii.gz")
    image(data, 1).unlink()


RGB = np.zeros(SHAPE, dtype=[(colour, "u1") for colour in "RGB"])

DAMAGE: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "label shape": (lambda d: edit(label(d), lambda a: a[1:]), ["p00L.nii.gz", "16x18x14", "found 15x18x14"]),
    "label spacing": (lambda d: edit(label(d), np.asarray, 2), ["1x1.2x1.5 mm", "found 16x18x14 voxels of 2x1.2x1.5"]),
    "modalities differ": (
        lambda d: edit(image(d, 1), lambda a: a[1:]),
        ["p00L_0001", "grid of p00L_0000", "resample", "data import"],
    ),
    "undeclared": (lambda d: edit(label(d), lambda a: put(a, 7)), ["labels [0, 1, 2]", "found [7]", "declare"]),
    "negative label": (lambda d: edit(label(d), lambda a: put(a, -1)), ["found [-1]"]),
    "fraction": (lambda d: edit(label(d), lambda a: put(a, 0.5)), ["integers", "[0.5]"]),
    "NaN label": (lambda d: edit(label(d), lambda a: put(a, np.nan)), ["integers", "nan"]),
    "constant": (lambda d: edit(image(d), np.ones_like), ["p00L_0000", "voxels that differ", "1 everywhere"]),
    "singular": (lambda d: place(image(d), np.diag([1, 1, 0, 1.0])), ["p00L_0000", "singular", "header"]),
    "affine with NaN": (lambda d: place(image(d), np.diag([1, np.nan, 1, 1.0])), ["p00L_0000", "not finite"]),
    "past int32": (lambda d: edit(label(d), lambda a: put(a, 3e9)), ["at most 2147483647", "3000000000"]),
    "NaN": (lambda d: edit(image(d), lambda a: put(a, np.nan)), ["p00L_0000", "found 1 NaN or infinite"]),
    "NaN in the second": (lambda d: edit(image(d, 1), lambda a: put(a, np.nan)), ["p00L_0001", "1 NaN"]),
    "infinite": (lambda d: edit(image(d), lambda a: put(a, -np.inf)), ["found 1 NaN or infinite"]),
    "too large for float32": (lambda d: edit(image(d), lambda a: put(a, 1e300)), ["found 1 NaN or infinite"]),
    "colour": (lambda d: edit(image(d), lambda a: RGB), ["one real number a voxel", "'R'"]),
    "complex": (lambda d: edit(image(d), lambda a: a.astype(np.complex64)), ["one real number a voxel", "complex64"]),
    "4D image": (
        lambda d: edit(image(d), lambda a: np.stack([a, a], 3)),
        ["3D", "4D", "(16, 18, 14, 2)", "data import msd"],
    ),
    "4D label": (lambda d: edit(label(d), lambda a: np.stack([a, a], 3)), ["p00L.nii.gz", "3D", "4D"]),
    "truncated": (lambda d: image(d).write_bytes(image(d).read_bytes()[:900]), ["cannot be read", "again"]),
    "truncated label": (lambda d: label(d).write_bytes(label(d).read_bytes()[:200]), ["p00L.nii.gz", "cannot be read"]),
    "no bytes": (lambda d: image(d).write_bytes(b""), ["cannot be read", "again"]),
    "one file for two modalities": (keep_one_file_for_both_modalities, ["expected 2 modalities", "found 1"]),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_case_has_one_line_that_names_it(kind: str, data: Path) -> None:
    damage, said = DAMAGE[kind]
    damage(data)
    with pytest.raises(InputError) as caught:
        check_dataset(read_decathlon(data))
    (problem,) = caught.value.problems
    assert problem.startswith(str(data))
    assert all(part in problem for part in ["case p00L", *said]), problem


def test_msd_with_all_modalities_in_one_file_is_told_of_the_fourth_axis_only(data: Path) -> None:
    keep_one_file_for_both_modalities(data)
    edit(data / "imagesTr/p00L.nii.gz", lambda a: np.stack([a, a], 3))
    with pytest.raises(InputError, match="store each modality") as caught:
        check_dataset(read_decathlon(data))
    assert len(caught.value.problems) == 1


def test_every_problem_of_every_case_is_told_in_order(data: Path) -> None:
    edit(image(data), lambda a: put(a, np.nan))
    edit(label(data), lambda a: put(a, 8))
    edit(data / "labelsTr/p01R.nii.gz", lambda a: put(a, 9))
    with pytest.raises(InputError) as caught:
        check_dataset(read_decathlon(data))
    assert [problem.split("case ")[1][:4] for problem in caught.value.problems] == ["p00L", "p00L", "p01R"]


def test_a_case_without_foreground_is_used_with_a_warning(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    edit(label(data), np.zeros_like)
    check_dataset(read_decathlon(data))
    assert "case p00L: the label map is empty" in caplog.text
    for path in (data / "labelsTr").iterdir():
        edit(path, np.zeros_like)
    with pytest.raises(InputError, match="no label map of 4 has a label"):
        check_dataset(read_decathlon(data))


def test_volumes_thinner_than_the_registration_takes_are_refused(data: Path) -> None:
    check_dataset(read_decathlon(data), least_vox=SHAPE[2])
    with pytest.raises(InputError, match="expected 15 voxels or more along every axis.*found 16x18x14") as caught:
        check_dataset(read_decathlon(data), least_vox=SHAPE[2] + 1)
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize("value", [9, 40_000])
def test_voxels_to_be_ignored_are_no_undeclared_label(value: int, data: Path) -> None:
    edit(label(data), lambda a: put(a, value))
    header = json.loads((data / "dataset.json").read_text())
    header["labels"]["ignore"] = value
    (data / "dataset.json").write_text(json.dumps(header))
    dataset = read_decathlon(data)
    assert dataset.labels.names == ("background", "front", "back")
    check_dataset(dataset)
    assert dataset.cases[0].read_reference()[0][0, 0, 0] == UNKNOWN


def test_labels_that_a_case_has_but_does_not_name_are_refused(data: Path) -> None:
    (data / "cases.tsv").write_text("case\tlabels\np00L\tfront\n")
    assert read_decathlon(data).cases[0].undrawn == (2,)
    with pytest.raises(InputError, match="does not name back, which the label map has"):
        check_dataset(read_decathlon(data))


def test_two_cases_of_one_name_are_refused_with_both_files(data: Path) -> None:
    dataset = read_decathlon(data)
    first, second = dataset.cases[:2]
    with pytest.raises(InputError) as caught:
        check_dataset(replace(dataset, cases=(*dataset.cases[:2], replace(second, name=first.name))))
    (problem,) = caught.value.problems
    assert all(part in problem for part in (f"case {first.name}", str(first.reference), str(second.reference)))


def test_a_case_without_reference_is_named(data: Path) -> None:
    dataset = read_decathlon(data)
    blind = replace(dataset, cases=(dataset.cases[0].blind(), *dataset.cases[1:]))
    with pytest.raises(InputError, match="case p00L: expected a label map, found none"):
        check_dataset(blind)


def test_differences_below_the_tolerance_are_none(data: Path) -> None:
    edit(label(data), np.asarray, 1 + 1e-5)
    check_dataset(read_decathlon(data))


def test_progress_is_told_per_case(data: Path) -> None:
    told: list[tuple[int, int]] = []
    check_dataset(read_decathlon(data), lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def dataset_of(labels: npt.NDArray[np.uint8], folder: Path) -> Dataset:
    for path in (folder / "labelsTr").iterdir():
        edit(path, lambda _: labels)
    return read_decathlon(folder)


def test_description_has_mean_volumes_and_ranges(data: Path) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:2, 0, 0], labels[:3, 1, 1] = 1, 2
    found = describe(dataset_of(labels, data))
    assert found.mean_volumes_mm3 == pytest.approx((2 * 1.8, 3 * 1.8))  # voxels of 1 x 1.2 x 1.5 mm
    assert found.shapes == (SHAPE, SHAPE)
    assert found.columns["side"] == {"L": 2, "R": 2}


def test_what_nobody_drew_has_no_volume(data: Path) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:2, 0, 0] = 1
    (data / "cases.tsv").write_text(
        "case\tlabels\np00L\tfront,back\n" + "".join(f"{c}\tfront\n" for c in ("p00R", "p01L", "p01R"))
    )
    first = dataset_of(labels, data)
    assert describe(first).mean_volumes_mm3 == pytest.approx((2 * 1.8, 0))
    edit(label(data), lambda a: put(a, 2))
    assert describe(first).mean_volumes_mm3[1] == pytest.approx(1.8)  # of the one case in which it was drawn
    (data / "cases.tsv").write_text("case\tlabels\n" + "".join(f"{c.name}\tfront\n" for c in first.cases))
    assert dict(describe(read_decathlon(data)).rows())["mean volume, mm\u00b3"] == "front 3, back (not drawn)"


def test_description_tells_least_and_most(data: Path) -> None:
    edit(label(data), lambda a: a[2:], 2.0)
    rows = dict(describe(read_decathlon(data)).rows())
    assert rows["shape, voxels"] == "14x18x14 to 16x18x14"
    assert rows["spacing, mm"] == "1x1.2x1.5 to 2x1.2x1.5"


def test_real_data_have_no_problem(shared_data: Path) -> None:
    check_dataset(read_decathlon(shared_data / "MICCAI2012_MTL"))


def test_labels_outside_of_the_box_of_non_zero_voxels_are_told(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    def blacken(voxels: Array) -> Array:
        return np.where(np.arange(voxels.shape[2]) < 7, 0, voxels)

    check_dataset(read_decathlon(data))
    assert not caplog.records
    reference, _ = read_labels(label(data))
    edit(image(data), blacken)
    check_dataset(read_decathlon(data))
    assert not caplog.records, "the second modality is not zero there"
    edit(image(data, 1), blacken)
    check_dataset(read_decathlon(data))
    (record,) = caplog.records
    assert f"{np.count_nonzero(reference[:, :, :7])} labelled voxels of 1 cases" in record.message
    assert "p00L" in record.message
