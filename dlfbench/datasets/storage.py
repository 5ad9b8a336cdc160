"""Groups of MSD hippocampus cases by how their intensities are stored.

The published files name no scanner. Three kinds of intensities are a visible trace of how images were acquired and
processed; training on one kind and testing on another is a generalization split that anybody can repeat.
"""

import csv
from pathlib import Path

from dlfbench.datasets.cases import Dataset
from dlfbench.images import read_voxels

# no image lies near it: the brightest of the one kind has 4,703, the dimmest maximum of the other is 5,335
_LARGE = 5000.0


def storage_group(path: Path) -> str:
    """`uint8`, `float-1e3` (maximum about a thousand) or `float-1e6` (larger)."""
    voxels, _ = read_voxels(path)
    if voxels.dtype.kind in "ui":
        return str(voxels.dtype)
    return "float-1e6" if voxels.max() > _LARGE else "float-1e3"


def write_storage_groups(dataset: Dataset, folder: Path) -> None:
    """Writes FOLDER/cases.tsv with the group of each case; one that is there is kept."""
    table = folder / "cases.tsv"
    if table.exists():
        return
    rows = [(case.name, storage_group(case.images[0])) for case in dataset.cases]
    with table.open("w", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows([("case", "group"), *rows])
