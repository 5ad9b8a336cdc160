"""What a registration returns is checked before it is stored, and it alone is blamed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import dlfbench
from dlfbench.images import UNKNOWN, Grid, numbered
from dlfbench.registration.outcome import check_warped
from dlfbench.volumes import Atlas, Target

SHAPE = (5, 6, 4)
GRID = Grid.of(SHAPE, np.eye(4))
TARGET = Target("t", np.zeros((2, *SHAPE)), GRID)
# values 0, 3, 9 and -1 are numbers 0 to 3
_, NUMBERS = numbered(np.resize([0, 9, 3, -1], (4, 4, 4)).astype(np.int16))
ATLAS = Atlas("a", np.zeros((2, 4, 4, 4)), NUMBERS, Grid.of((4, 4, 4), np.eye(4)))
GOOD = dlfbench.WarpedAtlas(
    np.ones((2, *SHAPE), np.float32), np.resize([UNKNOWN, 0, 1, 2, 3], SHAPE).astype(np.int16), ("folded: 3%",)
)


def with_one(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.copy()
    changed[..., -1, -1] = value
    return changed


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int64])
def test_labels_of_the_atlas_of_any_integer_type_are_taken(kind: type) -> None:
    check_warped(replace(GOOD, labels=GOOD.labels.astype(kind)), TARGET, ATLAS)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: None, "warp returned NoneType, expected a dlfbench.WarpedAtlas"),
        (lambda: (GOOD.images, GOOD.labels), "warp returned tuple"),
        (lambda: replace(GOOD, images=GOOD.images[:1]), r"images have shape (1, 5, 6, 4), expected (2, 5, 6, 4)"),
        (lambda: replace(GOOD, images=GOOD.images.astype(float)), "images have type float64, expected float32"),
        (lambda: replace(GOOD, images=with_one(GOOD.images, np.nan)), "images have 10 values that are not finite"),
        (lambda: replace(GOOD, images=GOOD.images.tolist()), "images are of type list"),
        (lambda: replace(GOOD, labels=GOOD.labels[1:]), r"labels have shape (4, 6, 4), expected (5, 6, 4)"),
        (lambda: replace(GOOD, labels=GOOD.labels.astype(float)), "labels have type float64, expected integers"),
        (lambda: replace(GOOD, labels=GOOD.labels > 0), "labels have type bool"),
        (
            lambda: replace(GOOD, labels=with_one(GOOD.labels, 4)),
            "labels go from -1 to 4, those of the atlas from 0 to 3",
        ),
        (lambda: replace(GOOD, labels=with_one(GOOD.labels, -2)), "labels go from -2 to 3"),
        (lambda: replace(GOOD, flags="folded"), "flags are 'folded', expected a tuple of texts"),
        (lambda: replace(GOOD, flags=(0.3,)), "flags are (0.3,)"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_was_expected(answer: Callable[[], Any], said: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        check_warped(answer(), TARGET, ATLAS)
    assert said in str(caught.value)
