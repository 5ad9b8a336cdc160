from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dlfbench.fusion.oracle import Oracle
from dlfbench.fusion.posterior import Entries, Posterior
from dlfbench.fusion.region import candidate_box, disputed, grow
from dlfbench.fusion.votes import class_indices, winning_labels
from dlfbench.images import UNKNOWN
from dlfbench.segmenters.contract.scene import Scene
from dlfbench.segmenters.function import method_from_function
from dlfbench.segmenters.interface import Context
from dlfbench.segmenters.outcome import check_outcome
from dlfbench.segmenters.registry import make_method
from dlfbench.segmenters.specs import parse_method
from dlfbench.volumes import AtlasSet

VALUES = (0, 1, 4)
Candidates = arrays(np.int16, st.tuples(st.integers(1, 6), *[st.just(3)] * 3), elements=st.sampled_from(VALUES))


def vote_share(candidates: np.ndarray, values: tuple[int, ...]) -> np.ndarray:
    return Posterior.of_votes(candidates, values).dense()


def column(*votes: int) -> np.ndarray:
    """Candidates of one voxel."""
    return np.array(votes, dtype=np.int16).reshape(-1, 1, 1, 1)


def test_votes_are_shared_by_hand() -> None:
    assert vote_share(column(1, 4, 4, 0), VALUES).ravel().tolist() == [0.25, 0.25, 0.5]


@pytest.mark.parametrize(("votes", "winner"), [((4, 1), 1), ((4, 0, 1), 0), ((4, 4, 1, 1), 1), ((4, 4, 1), 4)])
def test_ties_go_to_the_lower_label(votes: tuple[int, ...], winner: int) -> None:
    assert Posterior.of_votes(column(*votes), VALUES).labels().item() == winner


@given(Candidates)
def test_shares_sum_to_one_and_ignore_the_order_of_atlases(candidates: np.ndarray) -> None:
    share = vote_share(candidates, VALUES)
    assert np.allclose(share.sum(axis=0), 1)
    assert np.array_equal(share, vote_share(candidates[::-1], VALUES))


@pytest.mark.parametrize(
    ("votes", "shares"), [((1, UNKNOWN, 4), [0, 0.5, 0.5]), ((4, UNKNOWN), [0, 0, 1]), ((UNKNOWN, UNKNOWN), [1, 0, 0])]
)
def test_an_atlas_that_ends_before_a_voxel_has_no_vote(votes: tuple[int, ...], shares: list[float]) -> None:
    assert vote_share(column(*votes), VALUES).ravel().tolist() == shares


def test_the_oracle_asks_those_that_vote() -> None:
    candidates = column(1, *[0] * 5, *[UNKNOWN] * 14)  # one of six, not of twenty
    assert Oracle.of(candidates, column(1)[0], VALUES).at(0.1).item() == 1
    assert Oracle.of(column(UNKNOWN, UNKNOWN), column(1)[0], VALUES).at(0.1).item() == 0


def test_who_does_not_vote_disputes_nothing_and_is_no_foreground() -> None:
    candidates = np.full((3, 5, 5, 5), UNKNOWN, np.int16)
    candidates[0] = 4
    assert not disputed(candidates, (1, 1, 1)).any()
    candidates[1, 2, 2, 2] = 1
    assert disputed(candidates, (0, 0, 0)).sum() == 1
    candidates[:2] = UNKNOWN
    candidates[2, 1, 2, 3] = 1
    assert candidate_box(candidates, (0, 0, 0)) == (slice(1, 2), slice(2, 3), slice(3, 4))
    assert not disputed(np.full((2, 3, 3, 3), UNKNOWN, np.int16), (1, 1, 1)).any()


ENDING = Scene(atlases=6)


def ending_atlases() -> AtlasSet:
    """The last four of six atlases end half-way along x; no atlas has the last corner."""
    atlases = ENDING.atlas_set()
    labels = atlases.labels.copy()
    labels[2:, 8:] = UNKNOWN
    labels[:, -1, -1, -1] = UNKNOWN
    return replace(atlases, labels=labels)


def only_the_first_two(atlases: AtlasSet) -> AtlasSet:
    return AtlasSet(atlases.names[:2], atlases.images[:2], atlases.labels[:2], atlases.label_values)


@pytest.mark.parametrize("name", ["mv", "svwv", "jlf", "staple", "staple[everywhere=true]"])
def test_only_atlases_that_reach_a_voxel_decide_there(name: str, tmp_path: Path) -> None:
    use, settings = parse_method(name)
    method = make_method(use, str(settings.pop("use")), settings).segmenter
    atlases, context = ending_atlases(), Context(tmp_path, 0, "cpu", 1)
    found = method.segment(ENDING.target(), atlases, context)
    check_outcome(found, ENDING.grid, VALUES)
    assert found.labels[-1, -1, -1] == 0
    both = (atlases.labels[0] == atlases.labels[1]) & (atlases.labels[0] > 0)
    both[:11] = False  # patches from beyond the end reach so far
    assert both.sum() > 20
    assert np.array_equal(found.labels[both], atlases.labels[0][both])
    assert found.posterior is not None
    if name in ("mv", "svwv"):
        alone = method.segment(ENDING.target(), only_the_first_two(atlases), context)
        assert alone.posterior is not None
        assert np.allclose(found.posterior[:, 11:], alone.posterior[:, 11:], atol=1e-5)


def test_a_method_that_knows_nothing_of_it_is_put_right() -> None:
    atlases = ending_atlases()
    plain = np.stack([(atlases.labels == value).mean(axis=0) for value in VALUES])  # sums to a third, and to 0
    method = method_from_function(lambda target, atlases: plain)()
    found = method.segment(ENDING.target(), atlases, Context(Path(), 0, "cpu", 1))
    check_outcome(found, ENDING.grid, VALUES)
    assert np.allclose(found.posterior, vote_share(atlases.labels, VALUES))
    first = method_from_function(lambda target, atlases: atlases.labels[0])()
    answer = first.segment(ENDING.target(), atlases, Context(Path(), 0, "cpu", 1))
    check_outcome(answer, ENDING.grid, VALUES)


@pytest.mark.parametrize(("threshold", "expected"), [(1 / 20, 1), (0.10, 1), (0.11, 0), (0.5, 0)])
def test_oracle_needs_its_share_of_the_atlases(threshold: float, expected: int) -> None:
    candidates = column(*[1] * 2, *[0] * 18)  # two of twenty: exactly 10%
    assert Oracle.of(candidates, column(1)[0], VALUES).at(threshold).item() == expected


@given(Candidates, st.randoms())
def test_a_lower_threshold_never_makes_the_oracle_worse(candidates: np.ndarray, random: object) -> None:
    reference = candidates[-1]
    right = [(Oracle.of(candidates, reference, VALUES).at(t) == reference).sum() for t in (0.01, 0.3, 0.6, 1.0)]
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


def counted(candidates: np.ndarray) -> np.ndarray:
    """Shares of votes, class by class over the whole image."""
    votes = np.stack([(candidates == value).sum(axis=0) for value in VALUES]).astype(np.float32)
    votes[0] += votes.sum(axis=0) == 0
    return votes / votes.sum(axis=0)


Voters = arrays(np.int16, st.tuples(st.integers(1, 6), *[st.just(3)] * 3), elements=st.sampled_from((*VALUES, UNKNOWN)))


@given(Voters)
def test_a_short_posterior_says_what_the_array_of_all_classes_says(candidates: np.ndarray) -> None:
    expected, found = counted(candidates), Posterior.of_votes(candidates, VALUES)
    assert np.array_equal(found.dense(), expected)
    assert np.array_equal(found.labels(), winning_labels(expected, VALUES))
    some = np.arange(27)[::-2]
    assert np.array_equal(found.at(some), expected.reshape(3, -1)[:, some].T)
    assert all(np.array_equal(found.of_class(index), expected[index]) for index in range(3))
    box = (slice(1, 3), slice(0, 2), slice(1, None))
    box = tuple(slice(*side.indices(n)) for side, n in zip(box, candidates.shape[1:], strict=True))
    assert np.array_equal(found.cut(box).dense(), found.dense()[(slice(None), *box)])
    again = Posterior.of_dense(expected, VALUES)
    assert np.array_equal(again.dense(), expected)
    assert np.array_equal(again.labels(), found.labels())


@given(Voters, Voters)
def test_voxels_are_replaced_whole(one: np.ndarray, other: np.ndarray) -> None:
    found, more = Posterior.of_votes(one, VALUES), Posterior.of_votes(other, VALUES)
    entries = Entries(more.entry_voxels, more.classes, more.shares)
    expected = counted(one).reshape(3, -1)
    expected[:, more.voxels] = counted(other).reshape(3, -1)[:, more.voxels]
    assert np.array_equal(found.replaced(entries).dense().reshape(3, -1), expected)


def test_entries_of_one_voxel_and_class_are_added_up() -> None:
    entries = Entries(np.array([7, 2, 7, 7]), np.array([1, 0, 1, 0]), np.array([1.0, 2.0, 1.5, 0.5]))
    found = entries.summed(3)
    assert [found.voxels.tolist(), found.classes.tolist(), found.shares.tolist()] == [
        [2, 7, 7],
        [0, 0, 1],
        [2, 0.5, 2.5],
    ]
    assert found.where_sum_exceeds(2.5).voxels.tolist() == [7, 7]
    assert found.normalised().shares.tolist() == [1, pytest.approx(1 / 6), pytest.approx(5 / 6)]


@pytest.mark.parametrize("values", [VALUES, (0, 1, 2**24)])
def test_labels_become_indices(values: tuple[int, ...]) -> None:
    labels = np.array([0, 1, 3, values[2], values[2] + 5, UNKNOWN], np.int32)
    assert class_indices(labels, values).tolist() == [0, 1, 0, 2, 0, UNKNOWN]
