"""Cutting volumes to what a network needs to see: intensities, coordinates, padding."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.region import Box

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Region:
    """A box of an image, padded at its end to a size that the network can halve.

    Attributes:
        box: Slices along (x, y, z) of the image.
        padding: Voxels behind the box along (x, y, z).
    """

    box: Box
    padding: tuple[int, int, int]

    @classmethod
    def of(cls, box: Box, multiple: tuple[int, int, int]) -> "Region":
        sizes = [s.stop - s.start for s in box]
        # twice the multiple at least: normalisation needs more than one voxel on the coarsest level
        x, y, z = (max(2 * m - n, -n % m) for n, m in zip(sizes, multiple, strict=True))
        return cls(box, (x, y, z))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the padded box."""
        x, y, z = (s.stop - s.start + p for s, p in zip(self.box, self.padding, strict=True))
        return x, y, z

    def cut(self, volume: Array) -> Array:
        """(..., x, y, z) of the image to (..., x, y, z) of the box, without padding."""
        return volume[(..., *self.box)]

    def pad(self, volume: Array, value: float = 0) -> Array:
        """(..., x, y, z) of the box to (..., x, y, z) of the padded box."""
        widths = [(0, 0)] * (volume.ndim - 3) + [(0, p) for p in self.padding]
        return np.pad(volume, widths, constant_values=value)

    def inner(self, volume: Array) -> Array:
        """(..., x, y, z) of the padded box, less the padding."""
        x, y, z = (slice(0, s.stop - s.start) for s in self.box)
        return volume[..., x, y, z]


def coordinate_maps(region: Region) -> npt.NDArray[np.float32]:
    """Where a voxel lies in its region, -1 to 1 along each axis; beyond 1 in the padding: (3, x, y, z)."""
    sizes = [s.stop - s.start for s in region.box]
    axes = [np.linspace(-1, 1 + 2 * pad / max(n - 1, 1), n + pad) for n, pad in zip(sizes, region.padding, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)


def standardise(images: Array) -> npt.NDArray[np.float32]:
    """Each volume (..., x, y, z) with mean 0 and standard deviation 1; a constant one becomes 0."""
    axes = (-3, -2, -1)
    mean, sd = (f(images, axis=axes, keepdims=True, dtype=np.float64) for f in (np.mean, np.std))
    return ((images - mean) / np.where(sd > 0, sd, 1)).astype(np.float32)
