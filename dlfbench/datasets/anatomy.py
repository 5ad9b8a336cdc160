"""The synthetic anatomy of the phantom: where each tissue is, and what it looks like in each modality.

Coordinates are millimetres in the anatomy's own space, (x, y, z) = (medial to lateral, posterior to anterior, inferior
to superior), the origin in the middle. Shapes are loosely those of the medial temporal lobe: a bent tube (body) with
a bulb (head) at its front end, a sheet of cortex below it, a ventricle above it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.floating[Any]]

BACKGROUND, HEAD, BODY, CORTEX = 0, 1, 2, 3
LABELS = {"background": BACKGROUND, "head": HEAD, "body": BODY, "cortex": CORTEX}

# Tissues: labels 1 to 3 first, then what has no label.
WHITE, FLUID, OTHER_CORTEX, LESION, VESSEL = 4, 5, 6, 7, 8

# t1 cannot tell head from body, t2 cannot tell body from cortex, and neither tells cortex from the cortex that goes on
# beside it: that border is a matter of shape alone.
T1 = {HEAD: 0.62, BODY: 0.62, CORTEX: 0.48, WHITE: 0.90, FLUID: 0.15, OTHER_CORTEX: 0.48, LESION: 0.30, VESSEL: 0.05}
T2 = {HEAD: 0.72, BODY: 0.58, CORTEX: 0.58, WHITE: 0.36, FLUID: 1.00, OTHER_CORTEX: 0.58, LESION: 0.92, VESSEL: 0.10}


@dataclass(frozen=True)
class Lesion:
    """A round lesion that pushes tissue away.

    Attributes:
        centre_mm: Its middle.
        radius_mm: Its size.
    """

    centre_mm: tuple[float, float, float]
    radius_mm: float


def tissues(points_mm: Field, *, thickness: float = 1.0, lesion: Lesion | None = None) -> npt.NDArray[np.int8]:
    """The tissue at each point.

    Args:
        points_mm: (3, ...).
        thickness: Factor on the radius of head and body; below 1 is atrophy.
        lesion: Where there is one.

    Returns:
        Tissue codes, of the shape of one coordinate.
    """
    if lesion is not None:
        away_mm = points_mm - _column(lesion.centre_mm)
        distance_mm = np.sqrt((away_mm**2).sum(axis=0))
        pushed = 1 - np.exp(-((distance_mm / (1.6 * lesion.radius_mm)) ** 2))
        points_mm = _column(lesion.centre_mm) + away_mm * pushed
    x, y, z = points_mm
    found = np.full(x.shape, WHITE, dtype=np.int8)
    sheet_z = -7.5 + 0.02 * x**2 + 0.6 * np.sin(y / 5.0)
    sheet = np.abs(z - sheet_z) < 1.9
    found[sheet] = OTHER_CORTEX
    found[z < sheet_z - 1.9] = FLUID
    found[sheet & (np.abs(x - 1.0 - 0.1 * y) < 6.0) & (np.abs(y + 1.0) < 13.5)] = CORTEX
    spine_x, spine_z = 0.022 * (y - 3.0) ** 2 - 2.0, -1.6 + 0.008 * (y + 4.0) ** 2
    across_mm = np.sqrt(((x - spine_x) / 1.25) ** 2 + (z - spine_z) ** 2)
    found[(across_mm < 5.9) & (z > spine_z + 2.2) & (y < 9.0) & (y > -20.0)] = FLUID
    found[(across_mm < 3.9 * thickness) & (y > -14.0) & (y <= 5.0)] = BODY
    bulb_mm = np.sqrt(((x + 1.6) / 1.3) ** 2 + ((y - 8.0) / 1.25) ** 2 + ((z + 0.9) / 1.0) ** 2)
    found[(bulb_mm < 4.9 * thickness) & (y > 5.0 + 0.25 * x)] = HEAD
    found[(x - 11.0) ** 2 + (z - 4.0) ** 2 < 2.2] = VESSEL
    found[(np.abs(np.hypot(x - 13.0, z + 2.0) - 4.0) < 1.1) & (x > 8.0)] = OTHER_CORTEX
    if lesion is not None:
        found[distance_mm < lesion.radius_mm] = LESION
    return found


def _column(point_mm: tuple[float, float, float]) -> Field:
    return np.asarray(point_mm).reshape(3, 1, 1, 1)
