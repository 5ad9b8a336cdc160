"""What corrective learning looks at: the voxels near the foreground of a vote (its host's), and their features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dlfbench.fusion.posterior import Posterior
from dlfbench.fusion.region import Box, Radius, candidate_box, grow, offsets
from dlfbench.fusion.votes import class_indices


@dataclass(frozen=True)
class Region:
    """A case near its host's foreground. Voxels are told by their flat index in the image.

    Attributes:
        box: Around the voxels near the foreground, in the image.
        images: (modality, x, y, z) of the box with room for patches on every side, mean 0 and standard deviation 1
            over the voxels near the foreground.
        host: The host's posterior of the whole image.
        voxels: Where each label is in question.
        middle: Centre of mass of the host's foreground, in voxels.
        spacing_mm: Of voxels.
        patch: Radius of patches.
    """

    box: Box
    images: npt.NDArray[np.float32]
    host: Posterior
    voxels: tuple[npt.NDArray[np.int64], ...]
    middle: npt.NDArray[np.float64]
    spacing_mm: Sequence[float]
    patch: Radius

    def features(self, label: int, voxels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """What a classifier sees of some voxels.

        Args:
            label: Index of the label in question.
            voxels: Flat index of each voxel in the image.

        Returns:
            (voxel, feature): position in mm; every label's posterior; the patch of each modality; the patch of this
            label's posterior.
        """
        indices = np.stack(np.unravel_index(voxels, self.host.shape[1:]), axis=1)
        places = (indices - self.middle) * self.spacing_mm
        shape = self.images.shape[1:]
        inside = indices - [s.start - r for s, r in zip(self.box, self.patch, strict=True)]
        middles = np.ravel_multi_index(tuple(inside.T), shape)
        steps = np.ravel_multi_index(np.add(offsets(self.patch), self.patch).T, shape)
        around = middles[:, None] + (steps - steps[len(steps) // 2])
        share = _cut(self.host.of_class(label), self.box, self.patch)
        patches = [volume.ravel()[around] for volume in (*self.images, share)]
        return np.concatenate([places.astype(np.float32), self.host.at(voxels), *patches], axis=1)


def make_region(
    images: npt.NDArray[np.float32],
    spacing_mm: Sequence[float],
    host: Posterior,
    *,
    patch: Radius,
    dilation: Radius,
) -> Region | None:
    """Cuts a case to what corrective learning looks at.

    A label is in question where the host gives it, or gives it within the dilation, if it gives foreground that near.

    Args:
        images: The target (modality, x, y, z).
        spacing_mm: Of its voxels.
        host: The host's posterior.
        patch: Radius of the patches that are features.
        dilation: How far from the host's border the true one may lie.

    Returns:
        None where the host found no foreground: there is nothing to correct.
    """
    classes = class_indices(host.labels(), host.label_values)
    if not classes.any():
        return None
    near = grow(classes != 0, dilation)
    box = candidate_box(near[None].astype(np.int8), (0, 0, 0))
    boxes = ndimage.find_objects(classes + 1, max_label=len(host.label_values))
    return Region(
        box,
        _cut(_standard(images, near), box, patch),
        host,
        tuple(_in_question(classes, label, near, found, dilation) for label, found in enumerate(boxes)),
        np.argwhere(classes != 0).mean(axis=0),
        spacing_mm,
        patch,
    )


def _in_question(
    classes: npt.NDArray[np.int16], label: int, near: npt.NDArray[np.bool_], box: Box | None, dilation: Radius
) -> npt.NDArray[np.int64]:
    """Flat index of the voxels near the foreground that are within the dilation of a label, which lies in a box."""
    if box is None:
        return np.empty(0, np.int64)
    wide = tuple(
        slice(max(0, s.start - r), min(n, s.stop + r)) for s, r, n in zip(box, dilation, near.shape, strict=True)
    )
    found = np.argwhere(near[wide] & grow(classes[wide] == label, dilation)) + [s.start for s in wide]
    return np.ravel_multi_index(tuple(found.T), near.shape)


def _cut(volume: npt.NDArray[Any], box: Box, room: Radius, mode: Any = "edge") -> npt.NDArray[Any]:
    padded = np.pad(volume, [(0, 0)] * (volume.ndim - 3) + [(r, r) for r in room], mode=mode)
    x, y, z = (slice(s.start, s.stop + 2 * r) for s, r in zip(box, room, strict=True))
    return np.ascontiguousarray(padded[..., x, y, z])


def _standard(images: npt.NDArray[np.float32], near: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Every modality with mean 0 and standard deviation 1 over some voxels: scanners differ in both."""
    values = images[:, near].astype(np.float64)
    mean, sd = (moment.reshape(-1, 1, 1, 1) for moment in (values.mean(axis=1), values.std(axis=1)))
    return ((images - mean) / np.where(sd > 0, sd, 1)).astype(np.float32)
