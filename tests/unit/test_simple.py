"""SIMPLE, by hand."""

from pathlib import Path

import numpy as np
import pytest

from dlfbench.fusion.posterior import Posterior
from dlfbench.images import UNKNOWN, Grid
from dlfbench.segmenters.interface import Context
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines.simple import Simple

SHAPE = (6, 4, 4)


def fused(candidates: list[np.ndarray], folder: Path, **settings: float) -> Posterior:
    labels = np.stack(candidates).astype(np.int16)
    images = np.zeros((len(labels), 1, *SHAPE), np.float32)
    atlases = AtlasSet(tuple(map(str, range(len(labels)))), images, labels, (0, 4))
    target = Target("t", images[0], Grid.of(SHAPE, np.eye(4)))
    return Simple(**settings).fuse(target, atlases, Context(folder))  # type: ignore[arg-type]


def slab(start: int, stop: int) -> np.ndarray:
    labels = np.zeros(SHAPE, np.int16)
    labels[start:stop] = 4
    return labels


def test_an_atlas_that_disagrees_is_dropped(tmp_path: Path) -> None:
    posterior = fused([slab(0, 3), slab(0, 3), slab(0, 4), slab(3, 6)], tmp_path).dense()
    # the last has Dice 0 with the vote; of the others, weighed by Dice 1, 1 and 6/7, the third alone has plane 3
    assert posterior[1, 5].max() == 0
    assert posterior[1, 3] == pytest.approx((6 / 7) / (2 + 6 / 7))
    assert posterior[1, :3] == pytest.approx(1)
    assert posterior.sum(axis=0) == pytest.approx(1)


def test_where_an_atlas_ends_is_no_error_of_it(tmp_path: Path) -> None:
    short = slab(0, 2)
    short[2:4] = UNKNOWN
    short[4, 0, 0] = 4
    posterior = fused([slab(0, 4)] * 3 + [short], tmp_path, alpha=2).dense()
    performance = 2 * 32 / (33 + 32)  # of the planes that it sees
    assert posterior[1, 4, 0, 0] == pytest.approx(performance / (3 + performance))
    assert posterior[1, :4] == pytest.approx(1)


def test_shares_take_the_memory_of_the_dispute_whatever_the_labels(tmp_path: Path) -> None:
    labels = np.stack([slab(0, 3), slab(0, 3), slab(0, 4)])
    images = np.zeros((3, 1, *SHAPE), np.float32)
    atlases = AtlasSet(("a", "b", "c"), images, labels, (0, 4, *range(5, 30_000)))
    found = Simple().fuse(Target("t", images[0], Grid.of(SHAPE, np.eye(4))), atlases, Context(tmp_path))
    assert (len(found.voxels), len(found.shares)) == (16, 32)


def test_so_many_atlases_are_kept_at_least(tmp_path: Path) -> None:
    posterior = fused([slab(0, 3), slab(0, 3), slab(0, 4), slab(3, 6)], tmp_path, least=4).dense()
    assert posterior[1].sum() > 0
    assert fused([slab(0, 0)] * 3, tmp_path).dense()[0] == pytest.approx(1)


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match="alpha: expected 0 or more, found -1; least"):
        Simple(alpha=-1, least=0)
