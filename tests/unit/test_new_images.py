"""Which files are new images, what they are called, and what a table says of them."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from dlfbench.errors import InputError
from dlfbench.use.images import check_images, find_images


def write(folder: Path, *names: str, affine: np.ndarray | None = None) -> None:
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    for name in names:
        made = nib.Nifti1Image(voxels, np.eye(4) if affine is None else None)
        if affine is not None:  # also one that places no voxel
            made.header.set_sform(affine, code=1)
        nib.save(made, folder / f"{name}.nii.gz")


def names(*sources: Path, modalities: tuple[str, ...] = ("T1",)) -> list[str]:
    return [case.name for case in find_images(sources, modalities)]


def test_a_number_of_four_digits_is_part_of_a_name_where_there_is_one_modality(tmp_path: Path) -> None:
    write(tmp_path, "OAS1_0012", "OAS1_0013", "b_0000")
    assert names(tmp_path) == ["OAS1_0012", "OAS1_0013", "b"]
    write(tmp_path, "b_0001")
    with pytest.raises(InputError, match="b_0001.nii.gz: expected 1 channel"):
        names(tmp_path)


def test_hidden_files_of_other_systems_are_no_images(tmp_path: Path) -> None:
    write(tmp_path, "a")
    (tmp_path / "._a.nii.gz").write_bytes(b"of macOS")
    assert names(tmp_path) == ["a"]


def test_a_table_chooses_its_rows_and_a_file_given_twice_is_one(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    table = tmp_path / "some.tsv"
    table.write_text("case\tside\nb\tL\n")
    assert names(table) == ["b"]
    assert [(case.name, dict(case.columns)) for case in find_images([tmp_path, table], ("T1",))] == [
        ("a", {}),
        ("b", {"side": "L"}),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Case\tside\na\tL\n", "expected a column `case`"),
        (b"case\tside\na\tL\nz\tR\n", "case 'z' is not in the dataset"),
        ("case\tside\na\t\u00e9\n".encode("latin-1"), "expected tab-separated UTF-8 text"),
    ],
)
def test_a_damaged_table_beside_images_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    write(tmp_path, "a")
    (tmp_path / "cases.tsv").write_bytes(content)
    with pytest.raises(InputError, match=said):
        names(tmp_path)


def test_a_table_may_tell_of_images_that_were_not_given(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    (tmp_path / "cases.tsv").write_text("case\tside\na\tL\nb\tR\n")
    assert [dict(case.columns) for case in find_images([tmp_path / "b.nii.gz"], ("T1",))] == [{"side": "R"}]


def test_an_affine_that_places_no_voxel_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a", affine=np.diag([1.0, 1.0, 0.0, 1.0]))
    with pytest.raises(InputError, match="singular"):
        check_images(find_images([tmp_path], ("T1",)), [], ())
