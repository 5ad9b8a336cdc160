"""Counts and surface distances of two masks, computed once on the box around both."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, find_objects
from scipy.spatial import KDTree

from dlfbench.images import FloatArray

BoolArray = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class MaskPair:
    """What all metrics of one label are made from.

    Attributes:
        prediction_vox: Voxels of the prediction.
        reference_vox: Voxels of the reference.
        shared_vox: Voxels of both.
        to_reference_mm: Distance of each surface voxel of the prediction to the reference's surface; empty where a
            mask is empty.
        to_prediction_mm: The same from the reference's surface to the prediction's.
        diagonal_mm: Length of the image's diagonal.
        tolerance_mm: For surface Dice.
    """

    prediction_vox: int
    reference_vox: int
    shared_vox: int
    to_reference_mm: FloatArray
    to_prediction_mm: FloatArray
    diagonal_mm: float
    tolerance_mm: float


def pair_masks(
    prediction: BoolArray, reference: BoolArray, spacing_mm: Spacing, *, tolerance_mm: float = 1.0
) -> MaskPair:
    """Counts and surface distances of two masks.

    Args:
        prediction: Mask (x, y, z).
        reference: Mask (x, y, z).
        spacing_mm: Distance between voxel centres along (x, y, z), mm.
        tolerance_mm: For surface Dice.
    """
    diagonal_mm = float(np.linalg.norm(np.multiply(prediction.shape, spacing_mm)))
    box = _box_around(prediction | reference)
    prediction, reference = prediction[box], reference[box]
    surfaces = _surface(prediction), _surface(reference)
    return MaskPair(
        int(np.count_nonzero(prediction)),
        int(np.count_nonzero(reference)),
        int(np.count_nonzero(prediction & reference)),
        _distances_mm(*surfaces, spacing_mm),
        _distances_mm(*surfaces[::-1], spacing_mm),
        diagonal_mm,
        tolerance_mm,
    )


def _box_around(mask: BoolArray) -> tuple[slice, ...]:
    boxes = find_objects(mask.view(np.uint8))
    return boxes[0] if boxes else (slice(0, 0),) * mask.ndim


def _surface(mask: BoolArray) -> BoolArray:
    """Mask voxels with a face neighbour outside the mask; what lies outside the array is outside the mask."""
    inside: BoolArray = binary_erosion(mask)
    return mask & ~inside


def _distances_mm(surface: BoolArray, other: BoolArray, spacing_mm: Spacing) -> FloatArray:
    """Distance of each voxel of a surface to the nearest of another; none if either is empty."""
    if not (surface.any() and other.any()):
        return np.empty(0)
    distances = np.zeros(np.count_nonzero(surface))
    # good segmentations share most of their surface: only the rest needs a search
    apart = surface & ~other
    tree = KDTree(np.argwhere(other) * np.asarray(spacing_mm), leafsize=32)
    distances[apart[surface]] = tree.query(np.argwhere(apart) * np.asarray(spacing_mm))[0]
    return distances
