"""Cutting volumes to what a network needs to see: intensities, coordinates, padding."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.region import Box

Array = npt.NDArray[Any]
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Region:
    """A box of an image in the middle of what a network sees, a size that it can halve.

    Attributes:
        box: Slices along (x, y, z) of the image.
        before: Voxels of padding before the box along (x, y, z).
        after: Voxels of padding behind the box along (x, y, z).
    """

    box: Box
    before: Triple = (0, 0, 0)
    after: Triple = (0, 0, 0)

    @classmethod
    def of(cls, box: Box, multiple: Triple, least: Triple = (0, 0, 0)) -> "Region":
        """A box, padded to a multiple of a size, and to a least size that is one."""
        sizes = [s.stop - s.start for s in box]
        # twice the multiple at least: normalisation needs more than one voxel on the coarsest level
        wanted = [max(2 * m, -(-max(n, few) // m) * m) for n, m, few in zip(sizes, multiple, least, strict=True)]
        x, y, z = ((most - n) // 2 for n, most in zip(sizes, wanted, strict=True))
        u, v, w = (most - n - first for n, most, first in zip(sizes, wanted, (x, y, z), strict=True))
        return cls(box, (x, y, z), (u, v, w))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the padded box."""
        x, y, z = (a + s.stop - s.start + b for s, a, b in zip(self.box, self.before, self.after, strict=True))
        return x, y, z

    def cut(self, volume: Array) -> Array:
        """(..., x, y, z) of the image to (..., x, y, z) of the box, without padding."""
        return volume[(..., *self.box)]

    def pad(self, volume: Array, value: float = 0) -> Array:
        """(..., x, y, z) of the box to (..., x, y, z) of the padded box; the same array where there is no padding."""
        if not any((*self.before, *self.after)):
            return volume
        widths = [(0, 0)] * (volume.ndim - 3) + list(zip(self.before, self.after, strict=True))
        return np.pad(volume, widths, constant_values=value)

    @property
    def inside(self) -> Box:
        """The box, in voxels of the padded one."""
        x, y, z = (slice(a, a + s.stop - s.start) for s, a in zip(self.box, self.before, strict=True))
        return x, y, z

    def inner(self, volume: Array) -> Array:
        """(..., x, y, z) of the padded box, less the padding."""
        return volume[(..., *self.inside)]


def coordinate_maps(region: Region, start: Triple = (0, 0, 0), size: Triple | None = None) -> npt.NDArray[np.float32]:
    """Where a voxel lies in its region's box, -1 to 1 along each axis, beyond that in the padding: (3, x, y, z).

    Args:
        region: The region.
        start: First voxel of the padded box that is asked for; may lie before it.
        size: How many voxels along (x, y, z); of the padded box by default.
    """
    axes = [
        2 * (np.arange(first, first + many) - before) / max(s.stop - s.start - 1, 1) - 1
        for s, before, first, many in zip(region.box, region.before, start, size or region.shape, strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)


def standardise(images: Array) -> npt.NDArray[np.float32]:
    """Each volume (..., x, y, z) with mean 0 and standard deviation 1; a constant one becomes 0."""
    axes = (-3, -2, -1)
    mean, sd = (f(images, axis=axes, keepdims=True, dtype=np.float64) for f in (np.mean, np.std))
    return ((images - mean) / np.where(sd > 0, sd, 1)).astype(np.float32)
