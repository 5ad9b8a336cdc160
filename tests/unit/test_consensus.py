"""The consensus of many atlases, made where labels are in dispute, against plain arrays."""

import numpy as np
import pytest
import torch

from dlfbench.dlf.consensus import Dispute, in_blocks, plain_shares
from dlfbench.dlf.votes import shares
from dlfbench.fusion.atlas_votes import AtlasVotes

SHAPE = (3, 4, 8, 6, 4)


@pytest.fixture
def votes() -> np.ndarray:
    """Of 3 atlases for 4 labels: everywhere, in a box, in a corner with one below nothing, nowhere."""
    rng = np.random.default_rng(0)
    given = np.zeros(SHAPE, np.float16)
    given[:, 0, :, :, :3] = rng.random((3, 8, 6, 3))
    given[1:, 1, 2:5, 1:4, 1:] = rng.random((2, 3, 3, 3))
    given[0, 2, 6:, 4:, :2] = [[[0.5, -0.5], [2, 0]], [[1, 1], [1, 0]]]
    return given


def test_dispute_is_where_more_than_one_label_has_a_vote_or_one_below_nothing(votes: np.ndarray) -> None:
    found = Dispute.of(AtlasVotes.of(votes))
    voted = (votes != 0).any(axis=0)
    disputed = (voted.sum(axis=0) > 1) | (votes < 0).any(axis=(0, 1))
    for label, voxels in enumerate(found.voxels):
        assert np.array_equal(voxels, np.flatnonzero(voted[label] & disputed))
        for atlas in range(3):
            assert np.array_equal(found.of_atlas(atlas, label), votes[atlas, label].ravel()[voxels])
    assert np.array_equal(found.alone[~disputed], voted.argmax(axis=0)[~disputed])


def test_the_consensus_of_plain_sums_is_their_shares(votes: np.ndarray) -> None:
    dispute = Dispute.of(AtlasVotes.of(votes))
    sums = torch.from_numpy(votes.astype(np.float32).sum(axis=0))[None]
    expected = shares(sums)[0].numpy()
    expected[0] += expected.sum(axis=0) == 0
    found = dispute.consensus(dispute.plain())
    assert found.label_values == (0, 1, 2, 3)
    assert np.allclose(found.dense(), expected, atol=1e-6)
    boxes = AtlasVotes.of(votes).boxes
    for label, (box, part) in enumerate(zip(boxes, plain_shares(AtlasVotes.of(votes)), strict=True)):
        if box is not None:
            assert np.allclose(part, shares(sums)[0, label].numpy()[box], atol=1e-6)


def test_blocks_have_the_mean_of_their_voxels(votes: np.ndarray) -> None:
    kept = AtlasVotes.of(votes)
    expected = votes.astype(np.float32).reshape(3, 4, 4, 2, 3, 2, 4, 1).mean(axis=(3, 5, 7))
    assert np.allclose(in_blocks(kept.boxes, kept.inside, SHAPE[2:], (2, 2, 1)), expected, atol=1e-6)


def test_without_atlases_there_is_no_dispute() -> None:
    nobody = AtlasVotes.of_labels(np.zeros((0, 8, 8, 8), np.int16), (0, 3, 5))
    dispute = Dispute.of(nobody)
    assert (dispute.consensus(dispute.plain()).dense()[0] == 1).all()
    assert [part.size for part in plain_shares(nobody)] == [0, 0, 0]
