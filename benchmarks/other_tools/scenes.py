"""The masks that every tool is given: small, valid, and such that definitions come apart. Needs NumPy only."""

from dataclasses import dataclass
from typing import Any

import numpy as np

SHAPE = (20, 20, 20)
TOLERANCE_MM = 1.0


@dataclass(frozen=True)
class Scene:
    """Two masks.

    Attributes:
        name: Short.
        words: What they are.
        prediction: Mask (x, y, z).
        reference: Mask (x, y, z).
        spacing_mm: Distance between voxel centres along (x, y, z), mm.
        tolerance_mm: For surface Dice.
    """

    name: str
    words: str
    prediction: Any
    reference: Any
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    tolerance_mm: float = TOLERANCE_MM


def scenes() -> dict[str, Scene]:
    """All, by name."""
    nothing, cube = np.zeros(SHAPE, bool), _box((5, 12), (5, 12), (5, 12))
    holed, outlier, single = cube.copy(), cube.copy(), _box((5, 6), (5, 6), (5, 6))
    holed[8, 8, 8] = False
    outlier[16:19, 16:19, 16:19] = True
    flat, moved = _box((5, 12), (5, 12), (5, 9)), _box((5, 12), (5, 12), (6, 10))
    made = (
        Scene("both empty", "two empty masks", nothing, nothing),
        Scene("missed", "a cube of 7 voxels a side; nothing is predicted", nothing, cube),
        Scene("invented", "nothing; a cube of 7 voxels a side is predicted", cube, nothing),
        Scene("equal", "the same cube twice", cube, cube),
        Scene("single voxels", "one voxel; predicted 3 voxels away", np.roll(single, 3, 0), single),
        Scene("hole", "a cube of 7 voxels a side; predicted with a hole of one voxel in its centre", holed, cube),
        Scene("outlier", "a cube of 343 voxels; predicted with a second of 27 voxels far away", outlier, cube),
        Scene("grown", "a cube of 3 voxels a side; one of 9 is predicted around it", *_grown()),
        Scene("thick slices", "a box in 1 x 1 x 4 mm voxels; predicted one slice off", moved, flat, (1, 1, 4)),
        Scene("at the edge", "a box that touches the image's edge; predicted one voxel shorter there", *_at_the_edge()),
        Scene("rounding", "voxels of 0.1 mm; a box predicted 3 voxels off, tolerance 0.3 mm", *_rounding(), 0.3),
    )
    return {scene.name: scene for scene in made}


def _box(*sides: tuple[int, int]) -> Any:
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


def _grown() -> tuple[Any, Any]:
    return _box((5, 14), (5, 14), (5, 14)), _box((8, 11), (8, 11), (8, 11))


def _at_the_edge() -> tuple[Any, Any]:
    return _box((1, 8), (5, 12), (5, 12)), _box((0, 8), (5, 12), (5, 12))


def _rounding() -> tuple[Any, Any, tuple[float, float, float]]:
    return _box((8, 15), (5, 12), (5, 12)), _box((5, 12), (5, 12), (5, 12)), (0.1, 0.1, 0.1)
