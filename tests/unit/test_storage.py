"""Groups by how intensities are stored."""

from pathlib import Path

import numpy as np
import pytest

from builders import write_dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.storage import storage_group, write_storage_groups
from dlfbench.images import Grid, write_image

GRID = Grid.of((2, 2, 2), np.eye(4))


@pytest.mark.parametrize(
    ("kind", "highest", "group"),
    [(np.uint8, 255, "uint8"), (np.float32, 4703, "float-1e3"), (np.float32, 5336, "float-1e6")],
)
def test_the_group_is_type_and_size(kind: type, highest: float, group: str, tmp_path: Path) -> None:
    write_image(tmp_path / "x.nii.gz", np.full((2, 2, 2), highest, kind), GRID)
    assert storage_group(tmp_path / "x.nii.gz") == group


def test_groups_are_columns_of_the_dataset_and_earlier_ones_are_kept(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, people=2)
    write_storage_groups(read_decathlon(folder), folder)
    assert {case.columns["group"] for case in read_decathlon(folder).cases} == {"a"}
    (folder / "cases.tsv").unlink()
    write_storage_groups(read_decathlon(folder), folder)
    assert {case.columns["group"] for case in read_decathlon(folder).cases} == {"float-1e3"}


@pytest.mark.slow
def test_real_cases_have_the_groups_of_their_table(shared_data: Path) -> None:
    dataset = read_decathlon(shared_data / "Task04_Hippocampus")
    assert all(storage_group(case.images[0]) == case.columns["group"] for case in dataset.cases)
