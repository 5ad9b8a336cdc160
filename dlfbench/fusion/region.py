"""Which voxels need work: the box around the candidates, and where the candidates disagree."""

from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dlfbench.images import LabelArray

Box = tuple[slice, slice, slice]
Radius = tuple[int, int, int]


def candidate_box(candidates: LabelArray, margin: Radius) -> Box:
    """The smallest box around every candidate's foreground, grown by a margin within the image.

    Args:
        candidates: (atlas, x, y, z).
        margin: Voxels along (x, y, z).

    Returns:
        Slices along (x, y, z); the whole image where no candidate has foreground.
    """
    found = ndimage.find_objects((candidates > 0).any(axis=0).astype(np.int8))
    shape = candidates.shape[1:]
    if not found:
        return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])
    x, y, z = (slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in zip(found[0], margin, shape, strict=True))
    return x, y, z


def disputed(candidates: LabelArray, radius: Radius) -> npt.NDArray[np.bool_]:
    """Voxels within whose neighbourhood the candidates show more than one label.

    Args:
        candidates: (atlas, x, y, z), labels or their indices; below 0 is no vote.
        radius: Of the neighbourhood, voxels along (x, y, z).

    Returns:
        (x, y, z). Elsewhere every atlas that votes shows one and the same label throughout the neighbourhood.
    """
    size = tuple(2 * r + 1 for r in radius)
    least = candidates.min(axis=0, where=candidates >= 0, initial=np.iinfo(candidates.dtype).max)
    highest = ndimage.maximum_filter(candidates.max(axis=0), size, mode="nearest")
    lowest = ndimage.minimum_filter(least, size, mode="nearest")
    different: npt.NDArray[np.bool_] = highest > lowest
    return different


def grow(mask: npt.NDArray[np.bool_], radius: Radius) -> npt.NDArray[np.bool_]:
    """Dilates a mask by a box of the given radius."""
    grown: npt.NDArray[np.bool_] = ndimage.maximum_filter(mask, tuple(2 * r + 1 for r in radius), mode="constant")
    return grown


def offsets(radius: Radius) -> list[tuple[int, int, int]]:
    """Every offset within a radius, x slowest."""
    x, y, z = (range(-r, r + 1) for r in radius)
    return list(product(x, y, z))
