"""Metrics per label: overlap, surface distances, volume; and the one rule for empty masks.

A surface is made of the mask's voxels that have a neighbour (of six) outside of it; outside the image counts as
outside. Distances are between voxel centres, in mm, by the exact Euclidean distance transform of SciPy.

Empty masks: both empty, the metric is undefined (NaN) and the case is counted as such; one empty, it takes its worst
value (Dice and surface Dice 0, distances the image's diagonal). A failure never vanishes from a mean.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dlfbench.cases import LabelSet
from dlfbench.images import LabelArray

Mask = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Metric:
    """What a metric is and which way it is better.

    Attributes:
        name: Column in the results.
        title: Heading in reports.
        better: Whether higher, lower, or nearer to zero is better.
        unit: `mm`, or empty.
        definition: One sentence for reports.
    """

    name: str
    title: str
    better: Literal["higher", "lower", "zero"]
    unit: str
    definition: str


METRICS = (
    Metric("dice", "Dice", "higher", "", "2 |P and R| / (|P| + |R|), P the prediction's voxels, R the reference's (Dice 1945)."),
    Metric(
        "hd95_mm",
        "HD95",
        "lower",
        "mm",
        "The larger of the two directed 95th percentiles of surface distances. Other tools pool the two directions, or "
        "weight by surface area, and give other values.",
    ),
    Metric(
        "assd_mm",
        "ASSD",
        "lower",
        "mm",
        "Average symmetric surface distance: the mean over all surface voxels of both masks of the distance to the other surface.",
    ),
    Metric(
        "surface_dice",
        "Surface Dice",
        "higher",
        "",
        "Share of the surface voxels of both masks that lie within the tolerance of the other surface (Nikolov et al. 2021, "
        "counted in voxels).",
    ),
    Metric("volume_error", "Relative volume error", "zero", "", "(|P| - |R|) / |R|; 0 is best, its sign says over- or under-segmentation."),
)


@dataclass(frozen=True)
class LabelScore:
    """The metrics of one label of one case.

    Attributes:
        label: Value in the label map.
        dice: 0 to 1.
        hd95_mm: Hausdorff distance, 95th percentile.
        assd_mm: Average symmetric surface distance.
        surface_dice: 0 to 1, at the tolerance asked for.
        volume_error: Relative; NaN where the reference is empty.
        reference_volume_mm3: Volume of the label in the reference.
        prediction_volume_mm3: Volume of the label in the prediction.
        reference_empty: The reference has no voxel of the label.
        prediction_empty: The prediction has no voxel of the label.
    """

    label: int
    dice: float
    hd95_mm: float
    assd_mm: float
    surface_dice: float
    volume_error: float
    reference_volume_mm3: float
    prediction_volume_mm3: float
    reference_empty: bool
    prediction_empty: bool


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances (mm) from each surface voxel of one mask to the nearest of the other, in both directions."""

    to_reference_mm: npt.NDArray[np.float64]
    to_prediction_mm: npt.NDArray[np.float64]


def score_labels(
    prediction: LabelArray, reference: LabelArray, *, labels: LabelSet, spacing_mm: Spacing, tolerance_mm: float = 1.0
) -> list[LabelScore]:
    """Scores a label map against its reference on the same grid.

    Args:
        prediction: (x, y, z).
        reference: (x, y, z).
        labels: The declared labels; the background is not scored.
        spacing_mm: Voxel size along (x, y, z).
        tolerance_mm: Of the surface Dice.

    Returns:
        One score per foreground label.

    Raises:
        ValueError: The shapes differ.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, the reference {reference.shape}")
    values = [value for value, _ in labels.foreground]
    return [_score(prediction == v, reference == v, v, spacing_mm, tolerance_mm) for v in values]


def _score(prediction: Mask, reference: Mask, label: int, spacing_mm: Spacing, tolerance_mm: float) -> LabelScore:
    voxel_mm3 = float(np.prod(spacing_mm))
    sizes = int(prediction.sum()), int(reference.sum())
    if all(sizes):
        distances = surface_distances(prediction, reference, spacing_mm)
        surface = hd95(distances), assd(distances), surface_dice(distances, tolerance_mm)
    elif any(sizes):
        diagonal_mm = float(np.linalg.norm(np.asarray(reference.shape) * spacing_mm))
        surface = diagonal_mm, diagonal_mm, 0.0
    else:
        surface = np.nan, np.nan, np.nan
    return LabelScore(
        label,
        dice(prediction, reference),
        *surface,
        volume_error=(sizes[0] - sizes[1]) / sizes[1] if sizes[1] else np.nan,
        reference_volume_mm3=sizes[1] * voxel_mm3,
        prediction_volume_mm3=sizes[0] * voxel_mm3,
        reference_empty=not sizes[1],
        prediction_empty=not sizes[0],
    )


def dice(prediction: Mask, reference: Mask) -> float:
    """Overlap of two masks, 0 to 1; NaN where both are empty (Dice 1945)."""
    total = int(prediction.sum()) + int(reference.sum())
    return 2 * int((prediction & reference).sum()) / total if total else float("nan")


def surface_distances(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> SurfaceDistances:
    """Distances between the surfaces of two masks, neither of them empty."""
    box = ndimage.find_objects((prediction | reference).astype(np.int8))[0]
    surfaces = [_surface(mask[box]) for mask in (prediction, reference)]
    away_mm = [ndimage.distance_transform_edt(~surface, sampling=spacing_mm) for surface in surfaces]
    return SurfaceDistances(away_mm[1][surfaces[0]], away_mm[0][surfaces[1]])


def hd95(distances: SurfaceDistances) -> float:
    """The larger of the two directed 95th percentiles, mm."""
    return float(max(np.percentile(d, 95) for d in (distances.to_reference_mm, distances.to_prediction_mm)))


def assd(distances: SurfaceDistances) -> float:
    """Mean over the surface voxels of both masks, mm."""
    return float(_both(distances).mean())


def surface_dice(distances: SurfaceDistances, tolerance_mm: float) -> float:
    """Share of the surface voxels of both masks within the tolerance."""
    return float((_both(distances) <= tolerance_mm).mean())


def _both(distances: SurfaceDistances) -> npt.NDArray[np.float64]:
    return np.concatenate([distances.to_reference_mm, distances.to_prediction_mm])


def _surface(mask: Mask) -> Mask:
    return mask & ~ndimage.binary_erosion(mask)
