"""Tiles of large images, and posteriors that are made of theirs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from dlfbench.fusion.region import Box
from dlfbench.networks.posteriors import in_tiles
from dlfbench.networks.samples import Geometry, Sample, make_sample
from dlfbench.networks.tiles import Room, tiles
from scenes import scene

SHAPES = [(181, 217, 181), (48, 40, 48), (16, 16, 200), (24, 24, 24), (192, 8, 8)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("most", [10**9, 500_000, 70_000])
def test_tiles_cover_a_volume_once_and_look_a_little_further(shape: tuple[int, ...], most: int) -> None:
    count, found = np.zeros(shape, int), list(tiles(shape, most))
    for tile in found:
        count[tile.told] += 1
        assert np.zeros(shape)[tile.seen][tile.inner].shape == np.zeros(shape)[tile.told].shape
        assert np.zeros(shape)[tile.seen].size <= max(most, 48**3)
        for seen, told, n in zip(tile.seen, tile.told, shape, strict=True):
            assert seen.start == max(0, told.start - 16)
            assert seen.stop == min(n, told.stop + 16)
            assert (seen.stop - seen.start) % 16 == 0 or seen.stop == n
    assert (count == 1).all()
    if np.prod(shape) <= most:
        assert len(found) == 1


def test_memory_decides_how_much_is_looked_at() -> None:
    room = Room(memory_mb=2048, features=32)
    assert room.atlases((48, 40, 48), 3) == 21
    assert room.atlases((192, 224, 192), 134) == 1
    assert room.voxels(3) > 256**3 > room.voxels(134) > 64**3


def test_a_posterior_of_tiles_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    target, atlases, _ = scene(3)
    sample = make_sample(target, atlases, Geometry(None, (8, 8, 8), (40, 24, 128)))
    asked: list[Box] = []

    def voted(part: Sample, box: Box) -> Tensor:
        asked.append(box)
        return torch.from_numpy(part.votes.mean())[None]

    whole = in_tiles(sample, Room(2048, 4), voted)
    assert len(asked) == 1
    monkeypatch.setattr(Room, "voxels", lambda self, classes: 40**3)
    found = in_tiles(sample, Room(2048, 4), voted)
    assert len(asked) > 3
    assert np.array_equal(found.dense(), whole.dense())
    assert np.array_equal(found.labels(), whole.labels())


def test_of_many_classes_the_least_shares_are_left_out() -> None:
    target, atlases, _ = scene(3)
    many = replace(atlases, label_values=tuple(range(40)))
    sample = make_sample(target, many, Geometry(None, (8, 8, 8)))
    scores = np.random.default_rng(0).random((40, *sample.target.shape[1:])).astype(np.float32) + 0.01
    found = in_tiles(sample, Room(2048, 4), lambda part, box: torch.from_numpy(scores)[None])
    shares = found.dense()
    assert ((shares > 0).sum(axis=0) == 16).all()
    assert np.allclose(shares.sum(axis=0), 1, atol=1e-5)
    assert np.array_equal(shares.argmax(axis=0), scores.argmax(axis=0))
    kept = scores * (shares > 0)
    assert np.allclose(shares, kept / kept.sum(axis=0), atol=1e-6)


def test_of_equal_shares_no_more_are_kept_than_of_others() -> None:
    target, atlases, _ = scene(3)
    sample = make_sample(target, replace(atlases, label_values=tuple(range(40))), Geometry(None, (8, 8, 8)))
    scores = torch.full((1, 40, *sample.target.shape[1:]), 0.1)
    scores[:, 7] = 0.4
    found = in_tiles(sample, Room(2048, 4), lambda part, box: scores).dense()
    assert ((found > 0).sum(axis=0) == 16).all()
    assert (found[[7, *range(7), *range(8, 16)]] > 0).all()
