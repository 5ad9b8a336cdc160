"""How far shares can be taken at their word: of the voxels that are given 0.8 to a label, 8 in 10 should have it."""

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.datasets.cases import LabelSet
from dlfbench.fusion.posterior import Posterior
from dlfbench.fusion.region import candidate_box
from dlfbench.images import UNKNOWN, LabelArray

BINS = 10
MARGIN_MM = 10.0
"""Voxels count in the box of the reference's foreground, and so far around it. Easy background flatters everybody, so
the box must be the same for all methods: that of a method's own shares would reward shares that are scattered."""

CALIBRATION_COLUMNS: dict[str, str] = {
    "method": "name of the method",
    "fold": "index of the fold",
    "test_set": "name of the test set",
    "case": "name of the case",
    "person": "whose image it is",
    "label": "value of the label",
    "label_name": "name of the label",
    "bin": f"which of {BINS} equal parts of 0 to 1 the share lies in",
    "voxels": "voxels with such a share",
    "expected": "sum of their shares",
    "observed": "how many of them have the label in the reference",
    "squared": "sum of squared differences between share and reference (0 or 1)",
}
"""Columns of calibration.parquet, one row per method x fold x test set x case x label x bin."""


def calibration(
    posterior: Posterior,
    reference: LabelArray,
    labels: LabelSet,
    *,
    spacing_mm: tuple[float, float, float],
    undrawn: Collection[int] = (),
) -> dict[int, list[dict[str, float]]]:
    """Counts of voxels by the share that a label has in them, near the structure.

    Args:
        posterior: Of the labels.
        reference: Label map (x, y, z); `UNKNOWN` voxels do not count.
        labels: The declared labels.
        spacing_mm: Distance between voxel centres along (x, y, z), mm.
        undrawn: Labels that nobody drew in the reference: nothing is said of them.

    Returns:
        For each foreground label its bins: voxels, expected, observed, squared. Nothing where the reference is empty.
    """
    if not (reference > 0).any():
        return {}
    x, y, z = (int(np.ceil(MARGIN_MM / spacing)) for spacing in spacing_mm)
    box = candidate_box(reference[None], (x, y, z))
    truth = reference[box]
    known = truth != UNKNOWN
    return {
        value: _bins(posterior.of_class(index)[box][known], truth[known] == value)
        for index, value in enumerate(labels.values)
        if index > 0 and value not in undrawn
    }


def _bins(shares: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.bool_]) -> list[dict[str, float]]:
    shares = shares.astype(np.float64)
    which = np.minimum((shares * BINS).astype(np.intp), BINS - 1)
    sums = {"expected": shares, "observed": truth, "squared": (shares - truth) ** 2}
    counts = {"voxels": np.bincount(which, minlength=BINS)}
    counts |= {name: np.bincount(which, weights=values, minlength=BINS) for name, values in sums.items()}
    return [{name: float(values[place]) for name, values in counts.items()} for place in range(BINS)]
