"""What a method's answer must satisfy, and how it is told where it does not."""

from typing import Any

import numpy as np
import pytest

from dlfbench.fusion.posterior import Posterior
from dlfbench.images import Grid
from dlfbench.segmenters.outcome import check_outcome
from dlfbench.volumes import Segmentation

SHAPE, VALUES = (3, 4, 2), (0, 1, 4)
GRID = Grid.of(SHAPE, np.eye(4))
LABELS = np.zeros(SHAPE, np.int16)


def posterior(*shares: float) -> Any:
    """The same shares in every voxel."""
    return np.tile(np.reshape(shares, (-1, 1, 1, 1)), (1, *SHAPE)).astype(np.float32)


def said_of(found: Any) -> str:
    with pytest.raises(ValueError, match=".") as caught:
        check_outcome(Segmentation(LABELS, found), GRID, VALUES)
    return str(caught.value)


def test_shares_below_0_are_refused_in_an_array_but_for_rounding() -> None:
    assert said_of(posterior(1.25, -0.5, 0.25)).startswith("posterior has 24 shares below 0, down to -0.5")
    check_outcome(Segmentation(LABELS, posterior(1 + 1e-6, -1e-6, 0)), GRID, VALUES)


def test_other_kinds_of_arrays_are_named() -> None:
    assert said_of(posterior(1, 0, 0).tolist()) == (
        "posterior is of type list, expected a NumPy array or a dlfbench.Posterior"
    )
    assert said_of(posterior(1, 0, 0).astype(object)) == "posterior has type object, expected floating-point numbers"
    check_outcome(Segmentation(LABELS, posterior(1, 0, 0).astype(bool)), GRID, VALUES)
    for labels, said in ((LABELS.tolist(), "is of type list"), (LABELS > 0, "has type bool, expected integers")):
        with pytest.raises(ValueError, match=f"label map {said}"):
            check_outcome(Segmentation(labels), GRID, VALUES)  # type: ignore[arg-type]


def test_they_may_be_in_a_posterior_as_joint_label_fusion_gives_it() -> None:
    voxels, classes = np.array([3]), np.array([0, 1], np.int32)
    shares = np.array([1.02, -0.02], np.float32)
    found = Posterior(VALUES, LABELS, voxels, np.array([0, 2]), classes, shares)
    check_outcome(Segmentation(LABELS, found), GRID, VALUES)
