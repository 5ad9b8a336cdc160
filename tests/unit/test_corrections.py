"""Corrections of the vote: which voxels, what is seen of them, and that they are learned."""

from dataclasses import replace

import numpy as np
import torch

from dlfbench.dlf.corrections import RADIUS, CorrectionProblem, Corrections, Disputed
from dlfbench.networks.samples import Geometry, Sample, make_sample
from scenes import Case, scene

WHOLE = Geometry(None, (2, 2, 2), (72, 72, 72))


def voted(seed: int) -> Sample:
    """A scene with the vote of all its atlases, and a reference."""
    target, atlases, reference = scene(seed)
    sample = make_sample(target, atlases, WHOLE, reference)
    return replace(sample, atlases=sample.atlases[:0], votes=sample.votes.mean(axis=0, dtype=np.float32)[None])


def test_disputed_voxels_are_those_next_to_another_label() -> None:
    sample = voted(1)
    winners = np.pad(sample.votes[0].argmax(axis=0), 1, mode="edge")
    expected = [
        voxel
        for voxel in np.ndindex(sample.votes.shape[2:])
        if len(np.unique(winners[tuple(slice(i, i + 3) for i in voxel)])) > 1
    ]
    assert [tuple(voxel) for voxel in Disputed.of(sample, (1, 1, 1)).voxels] == expected


def test_what_is_seen_is_the_patch_around_a_voxel() -> None:
    sample, spacing = voted(2), (1.0, 2.0, 0.5)
    disputed = Disputed.of(sample, spacing)
    seen = disputed.look(np.array([5]))
    place = tuple(disputed.voxels[5])
    around = tuple(slice(i, i + 2 * RADIUS + 1) for i in place)
    votes = np.pad(sample.votes[0], [(0, 0)] + [(RADIUS, RADIUS)] * 3, mode="edge")
    assert np.allclose(seen.votes[0].numpy(), votes[(slice(1, None), *around)].ravel())
    assert np.allclose(seen.vote[0].numpy(), np.log(np.clip(sample.votes[(0, slice(None), *place)], 0.01, None)))
    winners = sample.votes[0].argmax(axis=0)
    middle = np.argwhere(winners > 0).mean(axis=0)
    assert np.allclose(seen.places[0].numpy(), (place - middle) * spacing / 10, atol=1e-6)
    assert seen.truth[0].argmax() == sample.reference[place]  # type: ignore[index]


def test_a_mirrored_look_is_a_look_at_the_mirrored_sample() -> None:
    sample = voted(3)
    flipped = replace(
        sample, target=sample.target[:, ::-1].copy(), votes=sample.votes[:, :, ::-1].copy(), reference=None
    )
    one, other = Disputed.of(sample, (1, 1, 1)), Disputed.of(flipped, (1, 1, 1))
    last = sample.target.shape[1] - 1
    where = {tuple(voxel): number for number, voxel in enumerate(other.voxels.tolist())}
    twins = np.array([where[(last - x, y, z)] for x, y, z in one.voxels.tolist()])
    mine, theirs = one.look(np.arange(len(twins)), mirror_axis=0), other.look(twins)
    for name in ("images", "votes", "vote", "places"):
        assert torch.allclose(getattr(mine, name), getattr(theirs, name), atol=1e-5), name


def test_nothing_is_corrected_at_the_start_nor_where_nothing_is_disputed() -> None:
    disputed, network = Disputed.of(voted(4), (1, 1, 1)), Corrections(1, 3).eval()
    with torch.no_grad():
        assert network.predict(disputed, None).abs().max() == 0
        torch.nn.init.ones_(network.layers[-1].bias)
        found = network.predict(disputed, 0)
    elsewhere = np.ones(disputed.shape, bool)
    elsewhere[tuple(disputed.voxels.T)] = False
    assert found[:, ~torch.from_numpy(elsewhere)].min() == 1
    assert found[:, torch.from_numpy(elsewhere)].abs().max() == 0


def test_unknown_voxels_teach_nothing() -> None:
    sample = voted(5)
    unknown = replace(sample, reference=np.full_like(sample.reference, -1))
    problem = CorrectionProblem([Case(5)], lambda case: Disputed.of(unknown, (1, 1, 1)), None)
    assert problem.loss(Corrections(1, 3), problem.draw(np.random.default_rng(0))).item() == 0


def test_systematic_errors_are_learned() -> None:
    torch.manual_seed(0)
    problem = CorrectionProblem(
        [Case(s) for s in range(4)], lambda c: Disputed.of(voted(int(c.name[1:])), (1, 1, 1)), 0
    )
    network, rng = Corrections(1, 3), np.random.default_rng(0)
    optimizer = torch.optim.AdamW(network.parameters(), 4e-3)
    losses = []
    for _ in range(30):
        loss = problem.loss(network.train(), problem.draw(rng))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
