"""Corrections of deep label fusion's vote, and who tells how much its image network counts."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import softmax

from dlfbench.dlf.corrections import PARTS, best_part, correct, learn_corrections, see
from dlfbench.dlf.learning import judges_among
from dlfbench.fusion.corrective_trees import Seen, Shelf
from dlfbench.fusion.posterior import Posterior
from dlfbench.images import Grid
from dlfbench.networks.samples import Geometry, Sample, make_sample
from dlfbench.segmenters.interface import Context
from dlfbench.segmenters.people import groups_of_people
from dlfbench.volumes import Target
from scenes import Case, scene

WHOLE = Geometry(None, (2, 2, 2))
VALUES = (0, 3, 5)


Voted = tuple[Sample, Posterior]


def listed(shares: npt.NDArray[np.floating]) -> Posterior:
    return Posterior.of_dense(shares, tuple(range(len(shares))))


def voted(seed: int) -> Voted:
    """A scene on an image of noise, and the vote of all its atlases."""
    target, atlases, reference = scene(seed)
    sample = make_sample(target, atlases, WHOLE, reference)
    noise = np.random.default_rng(seed).normal(size=sample.target.shape).astype(np.float32)
    return replace(sample, target=noise), listed(sample.votes.mean())


def seen(seed: int) -> Seen:
    found = see(*voted(seed))
    assert found is not None
    return found


def learn(folder: Path, cases: list[Voted], *, rounds: int = 20) -> list[str]:
    told: list[str] = []
    context = Context(folder, seed=1, progress=lambda share, text: told.append(text))
    found = [one for case in cases if (one := see(*case)) is not None]
    learn_corrections(found, Shelf(folder, VALUES), rounds=rounds, context=context)
    return told


@pytest.mark.parametrize(("knows", "expected"), [(8.0, PARTS[-1]), (0.0, 0.0), (-8.0, 0.0)])
def test_the_part_of_a_witness_that_is_added_is_as_its_word_is_worth(knows: float, expected: float) -> None:
    cases = []
    for seed in range(2):
        reference = voted(seed)[0].reference
        truth = (reference == np.arange(3).reshape(3, 1, 1, 1)).astype(np.float32)
        noise = np.random.default_rng(seed).normal(size=truth.shape).astype(np.float32)
        cases.append((seen(seed), listed(softmax(knows * truth + noise, axis=0))))
    assert best_part(cases, [None, None, None]) == expected


def test_a_witness_who_only_knows_which_labels_are_elsewhere_is_not_heard() -> None:
    """Of forty labels three are here; the least shares of the others together would make that worth hearing."""
    sample, vote = voted(0)
    consensus = vote.dense()
    many = np.concatenate([consensus, np.zeros((37, *consensus.shape[1:]), np.float32)])
    found = see(sample, listed(many))
    assert found is not None
    rng = np.random.default_rng(0)
    own = np.zeros_like(many)
    own[:3] = softmax(rng.normal(0, 1, consensus.shape), axis=0)
    assert best_part([(found, listed(own))], [None] * 40) == 0


def test_shares_sum_to_one_and_far_from_any_border_the_vote_stands(tmp_path: Path) -> None:
    learn(tmp_path, [voted(seed) for seed in range(2)], rounds=3)
    new, consensus = voted(50)
    found, vote = correct(new, consensus, Shelf(tmp_path, VALUES).read()).dense(), consensus.dense()
    assert np.abs(found.sum(axis=0) - 1).max() < 1e-6
    certain = (vote == 1).any(axis=0)
    assert (found[:, :2, :2] == vote[:, :2, :2]).all()
    assert certain[:2, :2].all()


def test_places_are_in_millimetres_of_the_case_s_own_voxels() -> None:
    """Of two targets that are the same but for the size of voxels, and not of the first training case's."""
    (target, atlases, reference), coarse = scene(1), Grid.of(scene(1)[0].grid.shape, np.diag([2.0, 1.0, 1.0, 1.0]))
    places = []
    for grid in (target.grid, coarse):
        sample = make_sample(replace(target, grid=grid), atlases, WHOLE, reference)
        found = see(sample, listed(sample.votes.mean()))
        assert found is not None
        places.append(found[0].features(1, found[0].voxels[1])[:, :3])
    assert np.allclose(places[1], places[0] * [2, 1, 1])


def test_an_interrupted_fit_goes_on_with_the_labels_that_are_missing(tmp_path: Path) -> None:
    cases = [voted(seed) for seed in range(2)]
    assert learn(tmp_path, cases, rounds=2) == ["label 0", "label 3", "label 5"]
    (tmp_path / "label3.npz").unlink()
    assert learn(tmp_path, cases, rounds=2) == ["label 3"]
    assert learn(tmp_path, cases, rounds=2) == []


def test_where_nothing_is_known_or_voted_for_the_vote_stands(tmp_path: Path) -> None:
    known, vote = voted(1)
    assert known.reference is not None
    unknown = replace(known, reference=np.full_like(known.reference, -1))
    learn(tmp_path, [(unknown, vote)], rounds=2)
    assert Shelf(tmp_path, VALUES).read() == [None, None, None]
    assert np.allclose(correct(known, vote, [None, None, None]).dense(), vote.dense(), atol=1e-6)
    nobody = np.zeros_like(vote.dense())
    nobody[0] = 1
    empty = listed(nobody)
    assert (correct(known, empty, [None, None, None]).dense() == nobody).all()
    (tmp_path / "no").mkdir()
    learn(tmp_path / "no", [(known, empty)], rounds=2)
    assert Shelf(tmp_path / "no", VALUES).read() == [None, None, None]


@dataclass
class Image(Case):
    """A case of a person."""

    name: str
    whose: str

    def read_target(self) -> Target:
        target, _, _ = scene(0)
        return replace(target, name=self.name, columns={"person": self.whose} if self.whose else {})


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_person_is_in_two_groups(count: int) -> None:
    cases = [Image(f"c{number}", person) for number, person in enumerate(["a", "b", "a", "c", "d", "b", ""])]
    groups = groups_of_people(cases, count)
    people = [{case.whose or case.name for case in group} for group in groups]  # type: ignore[attr-defined]
    assert sorted(case.name for group in groups for case in group) == [case.name for case in cases]
    assert sum(map(len, people)) == len(set().union(*people)) == 5
    assert max(map(len, people)) - min(map(len, people)) <= 1


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.2, 1), (0.4, 2), (1.0, 4)])
def test_judges_are_whole_people_and_somebody_is_left_to_learn_from(share: float, expected: int) -> None:
    cases = [Image(f"c{number}", person) for number, person in enumerate(["a", "b", "a", "c", "d", "b", ""])]
    judges = judges_among(cases, share)
    people = {case.person for case in judges}
    assert len(people) == expected
    assert judges == [case for case in cases if case.person in people]
    assert judges_among(cases[:1], share) == []
