import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dlfbench.fusion.oracle import oracle
from dlfbench.fusion.region import candidate_box, disputed, grow
from dlfbench.fusion.votes import vote_share, winning_labels

VALUES = (0, 1, 4)
Candidates = arrays(np.int16, st.tuples(st.integers(1, 6), *[st.just(3)] * 3), elements=st.sampled_from(VALUES))


def column(*votes: int) -> np.ndarray:
    """Candidates of one voxel."""
    return np.array(votes, dtype=np.int16).reshape(-1, 1, 1, 1)


def test_votes_are_shared_by_hand() -> None:
    assert vote_share(column(1, 4, 4, 0), VALUES).ravel().tolist() == [0.25, 0.25, 0.5]


@pytest.mark.parametrize(("votes", "winner"), [((4, 1), 1), ((4, 0, 1), 0), ((4, 4, 1, 1), 1), ((4, 4, 1), 4)])
def test_ties_go_to_the_lower_label(votes: tuple[int, ...], winner: int) -> None:
    assert winning_labels(vote_share(column(*votes), VALUES), VALUES).item() == winner


@given(Candidates)
def test_shares_sum_to_one_and_ignore_the_order_of_atlases(candidates: np.ndarray) -> None:
    share = vote_share(candidates, VALUES)
    assert np.allclose(share.sum(axis=0), 1)
    assert np.array_equal(share, vote_share(candidates[::-1], VALUES))


@pytest.mark.parametrize(("threshold", "expected"), [(1 / 20, 1), (0.10, 1), (0.11, 0), (0.5, 0)])
def test_oracle_needs_its_share_of_the_atlases(threshold: float, expected: int) -> None:
    candidates = column(*[1] * 2, *[0] * 18)  # two of twenty: exactly 10%
    assert oracle(candidates, column(1)[0], VALUES, threshold).item() == expected


@given(Candidates, st.randoms())
def test_a_lower_threshold_never_makes_the_oracle_worse(candidates: np.ndarray, random: object) -> None:
    reference = candidates[-1]
    right = [(oracle(candidates, reference, VALUES, t) == reference).sum() for t in (0.01, 0.3, 0.6, 1.0)]
    assert right == sorted(right, reverse=True)
    assert right[0] == reference.size


def test_box_holds_every_candidate_and_its_margin_within_the_image() -> None:
    candidates = np.zeros((2, 9, 9, 9), np.int16)
    candidates[0, 1, 4, 5], candidates[1, 2, 6, 5] = 1, 4
    assert candidate_box(candidates, (2, 1, 0)) == (slice(0, 5), slice(3, 8), slice(5, 6))


def test_box_of_empty_candidates_is_the_image() -> None:
    assert candidate_box(np.zeros((2, 3, 4, 5), np.int16), (1, 1, 1)) == (slice(0, 3), slice(0, 4), slice(0, 5))


def test_disputed_voxels_see_more_than_one_label() -> None:
    candidates = np.zeros((2, 7, 1, 1), np.int16)
    candidates[:, 5:] = 1
    assert disputed(candidates, (1, 0, 0)).ravel().tolist() == [False] * 4 + [True, True, False]
    assert grow(disputed(candidates, (0, 0, 0)), (1, 0, 0)).sum() == 0
