"""What looks wrong with a registration. A flagged atlas is kept; the report counts it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.images import LabelArray

# Greedy folds a few voxels of most crops: 0.2% in the median of 134 pairs of hippocampus crops, 1.8% at the worst,
# but 3 to 10% of crops of 12 thick slices.
MAX_FOLDED_SHARE = 0.02
# 4 of the same 134 pairs lie beyond it, with a mean Dice of a candidate of 0.54 against 0.76 of the others.
MAX_VOLUME_SCALE = 2.5
# Atlases covered 92% or more of the target in every pair of crops that was looked at.
MIN_COVERED_SHARE = 0.5


def jacobian_determinant(displacement_mm: npt.NDArray[Any], to_mm: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Volume change of x -> x + u(x) at each voxel, by central differences; 0 or less where space folds.

    Args:
        displacement_mm: u (x, y, z, 3) along the axes of space.
        to_mm: 3 x 3, steps in voxels to mm along the same axes of space.

    Returns:
        (x, y, z).
    """
    by_voxel = np.stack(np.gradient(displacement_mm.astype(np.float64), axis=(0, 1, 2)), axis=-1)
    jacobian: npt.NDArray[np.float64] = np.linalg.det(np.eye(3) + by_voxel @ np.linalg.inv(to_mm))
    return jacobian


def quality_flags(
    images: npt.NDArray[np.float32],
    labels: LabelArray,
    *,
    affine: npt.NDArray[Any],
    jacobian: npt.NDArray[Any],
    support: npt.NDArray[Any],
) -> tuple[str, ...]:
    """Checks a registration.

    Args:
        images: Warped atlas (modality, x, y, z).
        labels: Warped label map (x, y, z); below 0 there is none.
        affine: 4 x 4, target to atlas in mm.
        jacobian: Jacobian determinant of the deformation (x, y, z).
        support: Share of each voxel (x, y, z) that lies in the atlas's field of view.

    Returns:
        One short text per finding: `non-finite`, `folded`, `absurd affine`, `no overlap`; empty when all is well.
    """
    scale = float(np.linalg.det(affine[:3, :3]))
    folded = float((jacobian <= 0).mean())
    covered = float((support > 0.5).mean())
    finite = all(np.isfinite(array).all() for array in (images, affine, jacobian, support))
    findings = {
        "non-finite: image, affine or warp": not finite,
        f"folded: {folded:.1%} of voxels": folded > MAX_FOLDED_SHARE,
        f"absurd affine: volume scaled by {scale:.2g}": not 1 / MAX_VOLUME_SCALE <= scale <= MAX_VOLUME_SCALE,
        f"no overlap: atlas covers {covered:.0%} of the target": covered < MIN_COVERED_SHARE,
        "no overlap: no label falls on the target": not (labels > 0).any(),
    }
    return tuple(text for text, found in findings.items() if found)
