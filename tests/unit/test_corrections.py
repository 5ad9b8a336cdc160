"""Corrections of deep label fusion's vote: what the trees hear, that they learn from it, and what stays as it was."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from dlfbench.dlf.corrections import PARTS, Voted, best_part, correct, learn_corrections, see
from dlfbench.fusion.corrective_trees import Shelf
from dlfbench.networks.samples import Geometry, Sample, make_sample
from dlfbench.segmenters.interface import Context
from dlfbench.segmenters.people import groups_of_people
from dlfbench.volumes import Target
from scenes import Case, scene

WHOLE = Geometry(None, (2, 2, 2), (72, 72, 72))
VALUES, SPACING = (0, 3, 5), (1.0, 1.0, 1.0)


def voted(seed: int, *, knows: float = 0.0) -> Voted:
    """A scene with the vote of all its atlases and a witness who says so much of the truth, on an image of noise."""
    target, atlases, reference = scene(seed)
    sample = make_sample(target, atlases, WHOLE, reference)
    assert sample.reference is not None
    truth = (sample.reference == np.arange(3).reshape(3, 1, 1, 1)).astype(np.float32)
    noise = np.random.default_rng(seed).normal(size=(1 + len(truth), *truth.shape[1:])).astype(np.float32)
    consensus = sample.votes.mean(axis=0, dtype=np.float32)[None]
    return Voted(
        replace(sample, target=noise[:1], atlases=sample.atlases[:0], votes=consensus), knows * truth + noise[1:]
    )


def learn(folder: Path, cases: list[Voted], *, rounds: int = 20) -> list[str]:
    told: list[str] = []
    context = Context(folder, seed=1, progress=lambda share, text: told.append(text))
    seen = [one for case in cases for one in see(case, SPACING)]
    learn_corrections(seen, Shelf(folder, VALUES), rounds=rounds, context=context)
    return told


def errors(found: np.ndarray, sample: Sample) -> int:
    assert sample.reference is not None
    return int((found.argmax(axis=0) != sample.reference).sum())


def test_a_witness_is_believed_as_far_as_it_was_right_on_other_people(tmp_path: Path) -> None:
    wrong = {}
    for name, knows in (("knows", 6.0), ("guesses", 0.0)):
        (tmp_path / name).mkdir()
        learn(tmp_path / name, [voted(seed, knows=knows) for seed in range(4)])
        new = voted(50, knows=knows)
        wrong[name] = errors(correct(new, Shelf(tmp_path / name, VALUES).read(), SPACING), new.sample)
    vote = errors(voted(50).sample.votes[0], voted(50).sample)
    assert wrong["knows"] < 0.5 * vote
    assert wrong["guesses"] < 1.3 * vote


@pytest.mark.parametrize(("knows", "expected"), [(8.0, PARTS[-1]), (-8.0, 0.0)])
def test_the_part_of_a_witness_that_is_added_is_as_its_word_is_worth(knows: float, expected: float) -> None:
    vote_stands: list[None] = [None, None, None]
    cases = [(seen, vote_stands) for seed in range(2) for seen in see(voted(seed, knows=knows), SPACING)]
    assert best_part(cases) == expected


def test_shares_sum_to_one_and_far_from_any_border_the_vote_stands(tmp_path: Path) -> None:
    learn(tmp_path, [voted(seed, knows=6.0) for seed in range(2)], rounds=3)
    new = voted(50, knows=6.0)
    found, vote = correct(new, Shelf(tmp_path, VALUES).read(), SPACING), new.sample.votes[0]
    assert np.abs(found.sum(axis=0) - 1).max() < 1e-6
    certain = (vote == 1).any(axis=0)
    assert (found[:, :2, :2] == vote[:, :2, :2]).all()
    assert certain[:2, :2].all()


def test_an_interrupted_fit_goes_on_with_the_labels_that_are_missing(tmp_path: Path) -> None:
    cases = [voted(seed) for seed in range(2)]
    assert learn(tmp_path, cases, rounds=2) == ["label 0", "label 3", "label 5"]
    (tmp_path / "label3.npz").unlink()
    assert learn(tmp_path, cases, rounds=2) == ["label 3"]
    assert learn(tmp_path, cases, rounds=2) == []


def test_where_nothing_is_known_or_voted_for_the_vote_stands(tmp_path: Path) -> None:
    known = voted(1)
    unknown = replace(known, sample=replace(known.sample, reference=np.full_like(known.sample.reference, -1)))
    learn(tmp_path, [unknown], rounds=2)
    assert Shelf(tmp_path, VALUES).read() == [None, None, None]
    found = correct(known, [None, None, None], SPACING)
    assert np.allclose(found, known.sample.votes[0], atol=1e-6)
    empty = np.zeros_like(known.sample.votes)
    empty[:, 0] = 1
    nothing = replace(known, sample=replace(known.sample, votes=empty))
    assert (correct(nothing, [None, None, None], SPACING) == empty[0]).all()
    (tmp_path / "no").mkdir()
    learn(tmp_path / "no", [nothing], rounds=2)
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
