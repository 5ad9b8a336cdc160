"""VoteNet: what it learns and how it votes, by hand."""

from pathlib import Path

import numpy as np
import torch

from dlfbench.networks.samples import Geometry, make_sample, to_tensors
from dlfbench.networks.unet import Architecture, level_strides
from dlfbench.segmenters.interface import Context, Training
from dlfbench_baselines.votenet import VoteNet
from dlfbench_baselines.votenet_network import VoteNetwork
from scenes import Case, scene

SMALL = Geometry((2, 2, 2), (8, 8, 8))


class Known(VoteNetwork):
    """Whose chances are said, rather than learned: as the label's, per atlas."""

    def __init__(self, right: list[float]) -> None:
        super().__init__(1, Architecture(2, level_strides((1, 1, 1), 4), blocks=True))
        self.right = right

    def chances(self, seen: object) -> torch.Tensor:
        votes = seen.votes  # type: ignore[attr-defined]
        right = torch.tensor(self.right).view(1, -1, 1, 1, 1).expand(1, -1, *votes.shape[3:])
        return torch.stack([1 - right, right], dim=2)


def test_those_that_are_right_vote_and_all_where_none_is() -> None:
    sample = make_sample(*scene(3)[:2], SMALL)
    some = Known([0.9, 0.2, 0.6, 0.5]).predict(sample, atlases_at_a_time=4)[0].numpy()
    assert np.array_equal(some, sample.votes.dense()[[0, 2]].sum(axis=0))
    none = Known([0.1, 0.2, 0.3, 0.5]).predict(sample, atlases_at_a_time=4)[0].numpy()
    assert np.array_equal(none, sample.votes.dense().sum(axis=0))


def test_it_learns_whether_an_atlas_s_label_is_the_reference_s() -> None:
    target, atlases, reference = scene(3)
    sample = make_sample(target, atlases, SMALL, reference)
    assert sample.reference is not None
    truth = torch.from_numpy(np.stack([sample.reference == k for k in range(3)]).astype(np.float32))[None]
    truth[..., 0] = 0  # nobody knows
    network = VoteNetwork(1, Architecture(2, level_strides((1, 1, 1), 4), blocks=True)).train()
    (output,) = network(to_tensors(sample)._replace(truth=truth))
    assert output.truth is not None
    right = output.truth[:, 1].numpy()
    assert output.scores.shape == (4, 2, *sample.target.shape[1:])
    labels = sample.votes.dense().argmax(axis=1)
    assert np.array_equal(right[..., 1:], (labels == sample.reference)[..., 1:].astype(np.float32))
    assert output.truth[..., 0].abs().max() == 0


def test_whether_a_vote_for_a_label_that_nobody_drew_is_right_is_not_learned() -> None:
    target, atlases, reference = scene(3)
    sample = make_sample(target, atlases, SMALL, reference)
    truth = torch.from_numpy(np.stack([sample.reference == k for k in range(3)]).astype(np.float32))[None]
    seen = to_tensors(sample)._replace(truth=truth, undrawn=torch.tensor([[0.0, 0.0, 1.0]]))
    (output,) = VoteNetwork(1, Architecture(2, level_strides((1, 1, 1), 4), blocks=True)).train()(seen)
    assert output.truth is not None
    unknown = output.truth.sum(dim=1) == 0
    possible = (sample.votes.dense()[:, 2] > 0).any(axis=0) & (sample.reference == 0)
    assert possible.sum() > 0
    assert (unknown.numpy() == (possible | (sample.reference == -1))).all()


def test_a_step_and_a_segmentation(tmp_path: Path) -> None:
    method, context = (
        VoteNet(preset="quick", features=2, steps=1, patch_vox=16, margin_vox=1),
        Context(tmp_path, seed=1),
    )
    method.fit(Training([Case(seed) for seed in range(2)], (0, 3, 5), ("m",)), context)
    target, atlases, _ = scene(9)
    found = method.segment(target, atlases, context)
    assert found.posterior is not None
    assert np.allclose(found.posterior.sum(axis=0), 1, atol=1e-5)
    assert set(np.unique(found.labels)) <= {0, 3, 5}
