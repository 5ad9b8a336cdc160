"""Where NIfTI headers contradict themselves. They are used; other programs may place voxels otherwise."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from dlfbench.datasets.cases import Dataset
from dlfbench.images import Grid

_SAME_SIZE = 1e-3
_UNITS = {"meter": "metres", "micron": "micrometres"}


def header_warnings(dataset: Dataset) -> list[str]:
    """One line per kind of contradiction: the first file, what it says, what is used, and how many more there are."""
    first: dict[str, str] = {}
    count: dict[str, int] = {}
    for case in dataset.cases:
        for path in (*case.images, *([case.reference] if case.reference else [])):
            for kind, text in contradictions(path):
                first.setdefault(kind, f"{path}: case {case.name}: {text}")
                count[kind] = count.get(kind, 0) + 1
    more = {kind: f" (so do {n - 1} more files)" if n > 1 else "" for kind, n in count.items()}
    return [text + more[kind] for kind, text in first.items()]


def contradictions(path: Path) -> Iterator[tuple[str, str]]:
    """Kind and text of each; none for what is no NIfTI file or cannot be read."""
    try:
        file: Any = nib.load(path)  # type: ignore[attr-defined]
    except Exception:  # whoever reads the voxels says what is wrong
        return
    if not isinstance(file, nib.Nifti1Image) or len(file.shape) < 3:
        return
    used = Grid.of(file.shape[:3], file.affine)
    by_qform, qform = file.get_qform(coded=True)
    by_sform, sform = file.get_sform(coded=True)
    if qform and sform and by_qform is not None and by_sform is not None:
        apart_mm = _apart_mm(Grid.of(file.shape[:3], by_qform), Grid.of(file.shape[:3], by_sform))
        if apart_mm > 0.01 * min(used.spacing_mm):
            yield (
                "forms",
                f"qform and sform place voxels up to {apart_mm:.3g} mm apart; the sform is used; write the header anew",
            )
    sizes = np.array(file.header.get_zooms()[:3], dtype=float)
    if not np.allclose(sizes, used.spacing_mm, rtol=_SAME_SIZE):
        says, holds = ("x".join(f"{v:g}" for v in np.round(found, 4)) for found in (sizes, used.spacing_mm))
        yield "pixdim", f"pixdim says voxels of {says} mm, the affine {holds} mm; the affine is used; write it anew"
    unit = _UNITS.get(file.header.get_xyzt_units()[0])
    if unit:
        yield "units", f"its unit of length is said to be {unit}; numbers are taken as millimetres; convert the header"


def _apart_mm(one: Grid, other: Grid) -> float:
    """How far apart two grids of one shape place the same voxel, at most."""
    ends = np.array(list(np.ndindex(2, 2, 2))) * (np.array(one.shape) - 1)
    apart = np.subtract(one.affine, other.affine)[:3]
    return float(np.linalg.norm(np.c_[ends, np.ones(8)] @ apart.T, axis=1).max())
