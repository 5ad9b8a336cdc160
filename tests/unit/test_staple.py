"""STAPLE against SimpleITK's own answer and against expectation maximisation written out."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk

from dlfbench.images import Grid
from dlfbench.segmenters.interface import Context
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines.mv import MajorityVoting
from dlfbench_baselines.staple import Staple, expectation

VALUES = (0, 2, 5, 300)
SHAPE = (9, 8, 7)


def atlases(errors: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.3), seed: int = 0) -> tuple[Target, AtlasSet]:
    """Candidates of a truth of three labels, each wrong in its share of the voxels. Nobody votes for 300."""
    generator = np.random.default_rng(seed)
    truth = np.zeros(SHAPE, np.int16)
    truth[2:7, 2:6, 1:6] = 2
    truth[4:, 2:6, 1:6] = 5
    labels = [np.where(generator.random(SHAPE) < e, generator.choice(VALUES[:3], SHAPE), truth) for e in errors]
    target = Target("t", truth[None].astype(np.float32), Grid.of(SHAPE, np.eye(4)))
    names = tuple(f"a{i}" for i in range(len(errors)))
    return target, AtlasSet(names, np.zeros((len(errors), 1, *SHAPE), np.float32), np.stack(labels), VALUES)


def written_out(votes: npt.NDArray[np.int64], labels: int, rounds: int) -> npt.NDArray[np.float64]:
    """Expectation maximisation from the majority's labels, voxel by label (Rohlfing 2004)."""
    prior = np.bincount(votes.ravel(), minlength=labels) / votes.size
    share = np.stack([(votes == label).mean(axis=0) for label in range(labels)], axis=1)
    majority = share == share.max(axis=1, keepdims=True)
    w = (majority & (majority.sum(axis=1, keepdims=True) == 1)).astype(float)
    for _ in range(rounds):
        tables = [np.stack([w[vote == j].sum(axis=0) for j in range(labels)]) / w.sum(axis=0) for vote in votes]
        w = prior * np.prod([table[vote] for table, vote in zip(tables, votes, strict=True)], axis=0)
        w /= w.sum(axis=1, keepdims=True)
    return w


def test_posterior_is_that_of_expectation_maximisation() -> None:
    target, candidates = atlases()
    votes = np.searchsorted(VALUES, candidates.labels).reshape(5, -1)
    found = Staple(everywhere=True).fuse(target, candidates, Context(Path())).dense()
    assert np.abs(found[:3].reshape(3, -1).T - written_out(votes, 3, 200)).max() < 1e-3
    assert (found[3] == 0).all()


def test_voxels_that_nobody_disputes_do_not_count() -> None:
    target, candidates = atlases()
    votes = np.searchsorted(VALUES, candidates.labels).reshape(5, -1)
    disputed = (votes != votes[0]).any(axis=0)
    found = Staple().fuse(target, candidates, Context(Path())).dense().reshape(4, -1)
    assert 0 < disputed.sum() < disputed.size
    assert np.abs(found[:3, disputed].T - written_out(votes[:, disputed], 3, 200)).max() < 1e-3
    assert np.array_equal(found[:, ~disputed].argmax(axis=0), votes[0, ~disputed])


def test_labels_are_those_of_simpleitk() -> None:
    target, candidates = atlases()
    images = [sitk.GetImageFromArray(labels.astype(np.uint16)) for labels in candidates.labels]
    expected = sitk.GetArrayFromImage(sitk.MultiLabelSTAPLE(images))
    assert np.array_equal(Staple(everywhere=True).segment(target, candidates, Context(Path())).labels, expected)


def test_reliable_atlases_outvote_the_majority() -> None:
    target, candidates = atlases(errors=(0.01, 0.01, 0.6, 0.6, 0.6, 0.6))
    truth = target.images[0]
    found, majority = (m.segment(target, candidates, Context(Path())).labels for m in (Staple(), MajorityVoting()))
    assert (majority != truth).sum() > 10
    assert (found != truth).sum() < 0.3 * (majority != truth).sum()


def test_ties_go_to_the_lower_label() -> None:
    votes = np.array([[0], [1]])
    tables = np.array([[[0.8, 0.2], [0.2, 0.8]]] * 2)
    posterior = expectation(votes, np.array([0.5, 0.5]), tables)
    assert posterior.ravel().tolist() == [0.5, 0.5]


def test_votes_that_rule_out_every_label_leave_a_posterior() -> None:
    votes = np.array([[0], [1]])
    posterior = expectation(votes, np.array([0.7, 0.3]), np.stack([np.eye(2), np.eye(2)]))
    assert posterior.ravel() == pytest.approx([0.7, 0.3])


def test_one_label_alone_is_certain() -> None:
    target, candidates = atlases()
    same = AtlasSet(candidates.names, candidates.images, np.full_like(candidates.labels, 5), VALUES)
    assert (Staple().fuse(target, same, Context(Path())).dense()[2] == 1).all()


@pytest.mark.parametrize("settings", [{"threshold": 0}, {"iterations": 0}])
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="threshold and iterations: expected"):
        Staple(**settings)  # type: ignore[arg-type]
