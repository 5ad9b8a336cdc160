"""What looks wrong with a registration. A flagged atlas is kept; the report counts it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.images import LabelArray

MAX_FOLDED_SHARE = 0.005
MAX_VOLUME_SCALE = 2.5
MIN_COVERED_SHARE = 0.3


def quality_flags(
    images: npt.NDArray[np.float32], labels: LabelArray, affine: npt.NDArray[Any], jacobian: npt.NDArray[Any]
) -> tuple[str, ...]:
    """Checks a registration.

    Args:
        images: Warped atlas (modality, x, y, z); zero outside of the atlas's field of view.
        labels: Warped label map (x, y, z).
        affine: 4 x 4, target to atlas in mm.
        jacobian: Jacobian determinant of the deformation (x, y, z).

    Returns:
        One short text per finding: `non-finite`, `folded`, `absurd affine`, `no overlap`; empty when all is well.
    """
    scale = abs(float(np.linalg.det(affine[:3, :3])))
    folded = float((jacobian <= 0).mean())
    covered = float((images[0] != 0).mean())
    findings = {
        "non-finite: voxels or warp": not (np.isfinite(images).all() and np.isfinite(jacobian).all()),
        f"folded: {folded:.1%} of voxels": folded > MAX_FOLDED_SHARE,
        f"absurd affine: volume scaled by {scale:.2g}": not 1 / MAX_VOLUME_SCALE <= scale <= MAX_VOLUME_SCALE,
        f"no overlap: atlas covers {covered:.0%} of the target": covered < MIN_COVERED_SHARE,
        "no overlap: no label falls on the target": not labels.any(),
    }
    return tuple(text for text, found in findings.items() if found)
