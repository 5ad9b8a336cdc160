"""Votes that are kept within the box of their label, against plain arrays."""

import numpy as np
import pytest

from dlfbench.fusion.atlas_votes import AtlasVotes
from dlfbench.fusion.posterior import Entries
from dlfbench.images import UNKNOWN

SHAPE = (4, 5, 9, 8, 7)


@pytest.fixture
def votes() -> np.ndarray:
    """Of 4 atlases for 5 labels: everywhere, at a corner, in the middle, nowhere, and below nothing."""
    rng = np.random.default_rng(0)
    given = np.zeros(SHAPE, np.float16)
    given[:, 0] = rng.random((4, 9, 8, 7))
    given[1:3, 1, :3, :2, 5:] = rng.random((2, 3, 2, 2))
    given[:2, 2, 3:6, 4:5, 2:5] = rng.random((2, 3, 1, 3))
    given[3, 4, 6, 6, 6] = -1
    return given


def test_nothing_is_lost(votes: np.ndarray) -> None:
    kept = AtlasVotes.of(votes)
    assert kept.shape == SHAPE
    assert len(kept) == 4
    assert np.array_equal(kept.dense(), votes.astype(np.float32))
    assert np.array_equal(kept.mean(), votes.mean(axis=0, dtype=np.float32))
    assert np.array_equal(kept.exceed(0.5), np.abs(votes).max(axis=0) > 0.5)
    assert kept.exceed(0.5)[4, 6, 6, 6]


def test_a_label_takes_no_more_than_its_box(votes: np.ndarray) -> None:
    assert AtlasVotes.of(votes).nbytes == 2 * 4 * (9 * 8 * 7 + 3 * 2 * 2 + 3 * 1 * 3 + 0 + 1)
    assert AtlasVotes.of(votes[:, :1] > 0).nbytes == 2 * 4 * 9 * 8 * 7


@pytest.mark.parametrize("atlases", [slice(0), slice(1, 3), np.array([3, 0, 0])], ids=["none", "some", "drawn"])
def test_some_atlases(votes: np.ndarray, atlases: slice | np.ndarray) -> None:
    kept = AtlasVotes.of(votes)
    assert np.array_equal(kept.dense(atlases), votes[atlases].astype(np.float32))
    assert np.array_equal(kept.of_atlases(atlases).dense(), votes[atlases].astype(np.float32))


@pytest.mark.parametrize("corner", [(0, 0, 0), (2, 1, 3), (5, 4, 3), (6, 5, 4)])
def test_in_a_box_only_classes_that_are_voted_for_are_told(votes: np.ndarray, corner: tuple[int, int, int]) -> None:
    x, y, z = (slice(first, first + 3) for first in corner)
    for drawn in ([0, 0, 3], [1, 2]):
        atlases = np.array(drawn)
        there = votes[:, :, x, y, z][atlases]
        classes, found = AtlasVotes.of(votes).near((x, y, z), atlases)
        assert classes == there.any(axis=(0, 2, 3, 4)).nonzero()[0].tolist()
        assert np.array_equal(found, there[:, classes].astype(np.float32))


def test_in_padding_nobody_votes(votes: np.ndarray) -> None:
    padded = AtlasVotes.of(votes).padded((1, 2, 0), (12, 10, 8))
    expected = np.pad(votes.astype(np.float32), [(0, 0), (0, 0), (1, 2), (2, 0), (0, 1)])
    assert np.array_equal(padded.dense(), expected)
    classes, found = padded.near((slice(0, 4), slice(0, 4), slice(4, 8)), np.arange(4))
    assert np.array_equal(found, expected[:, classes, :4, :4, 4:])


def test_where_nobody_votes_there_is_nothing() -> None:
    none = AtlasVotes.of(np.zeros((0, 3, 4, 4, 4), np.float16))
    assert (len(none), none.nbytes, none.dense().shape) == (0, 0, (0, 3, 4, 4, 4))
    classes, found = none.near((slice(0, 2), slice(0, 2), slice(0, 2)), np.arange(0))
    assert (classes, found.shape) == ([], (0, 0, 2, 2, 2))


@pytest.mark.parametrize("corner", [(0, 0, 0), (2, 1, 3), (5, 4, 3), (6, 5, 4)])
def test_a_part_has_the_votes_that_are_there(votes: np.ndarray, corner: tuple[int, int, int]) -> None:
    x, y, z = (slice(first, first + 3) for first in corner)
    part = AtlasVotes.of(votes).part((x, y, z))
    assert part.shape == (4, 5, 3, 3, 3)
    assert np.array_equal(part.dense(), votes[:, :, x, y, z].astype(np.float32))
    assert np.array_equal(part.mean(), votes[:, :, x, y, z].mean(axis=0, dtype=np.float32))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (0, 3, 2, 1)], ids=["C", "F", "planes"])
def test_labels_have_one_vote_each_but_where_votes_are_weighed(order: tuple[int, ...]) -> None:
    labels = np.random.default_rng(1).choice([0, 3, 7, UNKNOWN], (4, 6, 5, 4)).astype(np.int16)
    labels = np.ascontiguousarray(labels.transpose(order)).transpose(np.argsort(order))
    expected = np.stack([labels == value for value in (0, 3, 5, 7)], axis=1).astype(np.float32, order="C")
    assert np.array_equal(AtlasVotes.of_labels(labels, (0, 3, 5, 7)).dense(), expected)
    # two voxels are weighed: atlas 2 votes for class 3 in one, atlases 0 and 3 for class 1 and 2 in the other
    entries = Entries(np.array([8, 90, 90]), np.array([2 * 4 + 3, 1, 3 * 4 + 2]), np.array([1.5, 0.25, -2.0]))
    flat = expected.reshape(16, -1)
    flat[:, [8, 90]] = 0
    flat[[11, 1, 14], [8, 90, 90]] = [1.5, 0.25, -2.0]
    assert np.array_equal(AtlasVotes.of_labels(labels, (0, 3, 5, 7), entries).dense(), expected)


def test_votes_that_half_precision_cannot_hold_are_the_largest() -> None:
    weighed = Entries(np.array([0, 0]), np.array([0, 1]), np.array([7e4, -7e4]))
    votes = AtlasVotes.of_labels(np.zeros((1, 1, 1, 1), np.int16), (0, 1), weighed).dense()
    assert votes.ravel().tolist() == [65504, -65504]
