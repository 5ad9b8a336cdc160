"""What looks wrong with a registration. A flagged atlas is kept; the report counts it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.images import LabelArray

MAX_FOLDED_SHARE = 0.02
MAX_VOLUME_SCALE = 2.5
MIN_COVERED_SHARE = 0.5


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
        labels: Warped label map (x, y, z).
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
        "no overlap: no label falls on the target": not labels.any(),
    }
    return tuple(text for text, found in findings.items() if found)
