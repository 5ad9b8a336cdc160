"""What corrective learning looks at: the voxels near a host's foreground, and their features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.region import Box, Radius, candidate_box, grow
from dlfbench.volumes import Target
from dlfbench_baselines.patches import offsets


@dataclass(frozen=True)
class Region:
    """A case cut to the box around the voxels near its host's foreground, with room for patches on every side.

    Attributes:
        box: The box in the image, without that room.
        images: (modality, x, y, z), mean 0 and standard deviation 1 over the voxels near the foreground.
        posterior: The host's (class, x, y, z).
        rois: Where each label is in question (class, x, y, z).
        middle_mm: Centre of mass of the host's foreground, from the corner of this array.
        spacing_mm: Of voxels.
        patch: Radius of patches.
    """

    box: Box
    images: npt.NDArray[np.float32]
    posterior: npt.NDArray[np.float32]
    rois: npt.NDArray[np.bool_]
    middle_mm: npt.NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    patch: Radius

    def voxels(self, label: int) -> npt.NDArray[np.int64]:
        """Flat index of the voxels where a label, given by its index, is in question."""
        return np.flatnonzero(self.rois[label])

    def features(self, label: int, voxels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """What a classifier sees of some voxels.

        Args:
            label: Index of the label in question.
            voxels: Flat index of each voxel.

        Returns:
            (voxel, feature): position in mm; every label's posterior; the patch of each modality; the patch of this
            label's posterior.
        """
        shape = self.rois.shape[1:]
        places = np.stack(np.unravel_index(voxels, shape), axis=1) * self.spacing_mm - self.middle_mm
        shares = self.posterior.reshape(len(self.posterior), -1)[:, voxels].T
        steps = np.ravel_multi_index(np.add(offsets(self.patch), self.patch).T, shape)
        around = voxels[:, None] + (steps - steps[len(steps) // 2])
        patches = [volume.ravel()[around] for volume in (*self.images, self.posterior[label])]
        return np.concatenate([places.astype(np.float32), shares, *patches], axis=1)

    def cut(self, volume: npt.NDArray[Any], mode: Any = "edge") -> npt.NDArray[Any]:
        """A volume (..., x, y, z) of the image, cut as the region is."""
        return _cut(volume, self.box, self.patch, mode)

    def put_back(self, values: npt.NDArray[np.float32], volume: npt.NDArray[np.float32]) -> None:
        """Writes values (class, x, y, z), cut as the region is, into a volume of the image."""
        room = tuple(slice(r, r + s.stop - s.start) for r, s in zip(self.patch, self.box, strict=True))
        volume[(slice(None), *self.box)] = values[(slice(None), *room)]


def make_region(
    target: Target, posterior: npt.NDArray[np.float32], *, patch: Radius, dilation: Radius
) -> Region | None:
    """Cuts a case to what corrective learning looks at.

    A label is in question where the host gives it, or gives it within the dilation, if it gives foreground that near.

    Args:
        target: The image.
        posterior: The host's (class, x, y, z).
        patch: Radius of the patches that are features.
        dilation: How far from the host's border the true one may lie.

    Returns:
        None where the host found no foreground: there is nothing to correct.
    """
    labels = posterior.argmax(axis=0)
    if not labels.any():
        return None
    near = grow(labels != 0, dilation)
    box = candidate_box(near[None].astype(np.int8), (0, 0, 0))
    rois = np.stack([near & grow(labels == label, dilation) for label in range(len(posterior))])
    middle = np.argwhere(labels != 0).mean(axis=0) - [s.start - r for s, r in zip(box, patch, strict=True)]
    return Region(
        box,
        _cut(_standard(target.images, near), box, patch),
        _cut(posterior, box, patch),
        _cut(rois, box, patch, "constant"),
        middle * target.grid.spacing_mm,
        target.grid.spacing_mm,
        patch,
    )


def _cut(volume: npt.NDArray[Any], box: Box, room: Radius, mode: Any = "edge") -> npt.NDArray[Any]:
    padded = np.pad(volume, [(0, 0)] * (volume.ndim - 3) + [(r, r) for r in room], mode=mode)
    x, y, z = (slice(s.start, s.stop + 2 * r) for s, r in zip(box, room, strict=True))
    return np.ascontiguousarray(padded[..., x, y, z])


def _standard(images: npt.NDArray[np.float32], near: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Every modality with mean 0 and standard deviation 1 over some voxels: scanners differ in both."""
    values = images[:, near].astype(np.float64)
    mean, sd = (moment.reshape(-1, 1, 1, 1) for moment in (values.mean(axis=1), values.std(axis=1)))
    return ((images - mean) / np.where(sd > 0, sd, 1)).astype(np.float32)
