"""Toy targets with atlases for networks to learn from."""

import numpy as np

from dlfbench.images import Grid
from dlfbench.segmenters.interface import TrainingCase
from dlfbench.volumes import AtlasSet, Target

SHAPE = (18, 16, 14)


def scene(seed: int, atlases: int = 4, modalities: int = 1) -> tuple[Target, AtlasSet, np.ndarray]:
    """A bright ball in two halves; atlases are balls a little elsewhere."""
    rng = np.random.default_rng(seed)
    points = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"))

    def ball(away: np.ndarray) -> np.ndarray:
        off = points - (np.array(SHAPE) / 2 + away).reshape(3, 1, 1, 1)
        return np.where((off**2).sum(axis=0) < 20, np.where(off[0] < 0, 3, 5), 0).astype(np.int16)

    labels = np.stack([ball(rng.normal(0, 0.8, 3)) for _ in range(atlases + 1)])
    images = np.repeat(20.0 * labels[:, None] + rng.normal(0, 3, (atlases + 1, 1, *SHAPE)), modalities, axis=1)
    images = images.astype(np.float32)
    target = Target(f"t{seed}", images[0], Grid.of(SHAPE, np.eye(4)))
    return target, AtlasSet(tuple(map(str, range(atlases))), images[1:], labels[1:], (0, 3, 5)), labels[0]


class Case(TrainingCase):
    """A scene to learn from."""

    def __init__(self, seed: int) -> None:
        self.target, self.atlas_set, self.reference = scene(seed)
        self.name = self.target.name

    def read_target(self) -> Target:
        return self.target

    def read_reference(self) -> np.ndarray:
        return self.reference

    def read_atlases(self) -> AtlasSet:
        return self.atlas_set
