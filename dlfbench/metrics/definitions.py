"""What each metric is: a short function of two masks, its unit and direction, and its definition for reports."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dlfbench.metrics.masks import MaskPair

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Metric:
    """How one number is made from a label's two masks, and how it is read.

    Attributes:
        name: Column in the results.
        title: For tables and figures.
        unit: `mm`, or empty for a ratio.
        higher_is_better: Otherwise lower is.
        definition: One paragraph for reports.
        value: The metric where neither mask is empty.
        worst: Its value where exactly one mask is empty.
        absolute: The sign says the direction of the error: means, rankings and tests are over magnitudes.
        best: The best value there is, which a method that rightly finds nothing has against one that finds something;
            no value and no interval lies beyond it. None: not said, so that such cases are left out of comparisons.
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool
    definition: str
    value: Callable[[MaskPair], float]
    worst: Callable[[MaskPair], float]
    absolute: bool = False
    best: float | None = None

    def of(self, pair: MaskPair) -> float:
        """The metric under the rule for empty masks: NaN if both are empty, the worst value if one is."""
        empty = (pair.prediction_vox == 0) + (pair.reference_vox == 0)
        return float("nan") if empty == 2 else float((self.worst if empty else self.value)(pair))

    @property
    def direction(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return 1 if self.higher_is_better else -1

    @property
    def of_rightly_nothing(self) -> float:
        """What a method that rightly finds nothing has against one that finds something."""
        return np.nan if self.best is None else self.best

    def fault(self, value: float) -> str:
        """Why a value of two masks, not both empty, cannot be; empty where it can."""
        if not np.isfinite(value):
            return f"expected a number, found {value}"
        if self.best is not None and self.direction * (self.comparable(value) - self.best) > _ROUNDING:
            side = "most" if self.higher_is_better else "least"
            return f"expected at {side} its best value, {self.best:g}, found {value:g}"
        return ""

    def within(self, low: Any, high: Any) -> tuple[Any, Any]:
        """Limits of an interval of means, cut at the best value there is."""
        if self.best is None:
            return low, high
        return (low, np.minimum(high, self.best)) if self.higher_is_better else (np.maximum(low, self.best), high)

    def comparable(self, values: Any) -> Any:
        """Values as they are averaged, ranked and tested: magnitudes where the sign is only a direction."""
        return abs(values) if self.absolute else values


@dataclass(frozen=True)
class LabelScore:
    """One label of one prediction. NaN: the label is in neither map.

    Attributes:
        label: The label's value; of a group of labels its number, see `LabelSet.scored`.
        dice: 2 |P and R| / (|P| + |R|).
        hd95_mm: Larger of the two directed 95th percentiles of surface distance, mm.
        assd_mm: Mean surface distance over both directions, mm.
        surface_dice: Share of both surfaces within the tolerance of the other.
        volume_error: (P - R) / R, signed.
        reference_volume_mm3: Volume in the reference.
        prediction_volume_mm3: Volume in the prediction.
        reference_empty: The reference has no such voxel.
        prediction_empty: The prediction has no such voxel.
        more: Values of the metrics that plugins add, by name.
        reason: Why metrics of plugins have no value: a line for each that failed, see `failed_line`.
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
    more: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    def row(self) -> dict[str, Any]:
        """All values by column of the results."""
        row = asdict(self)
        return {**row, **row.pop("more")}


def _dice(pair: MaskPair) -> float:
    return 2 * pair.shared_vox / (pair.prediction_vox + pair.reference_vox)


def _hd95_mm(pair: MaskPair) -> float:
    return max(float(np.percentile(pair.to_reference_mm, 95)), float(np.percentile(pair.to_prediction_mm, 95)))


def _assd_mm(pair: MaskPair) -> float:
    surface_vox = pair.to_reference_mm.size + pair.to_prediction_mm.size
    return float(pair.to_reference_mm.sum() + pair.to_prediction_mm.sum()) / surface_vox


def _surface_dice(pair: MaskPair) -> float:
    # a hair of slack, so that a distance that equals the tolerance counts in spite of rounding
    tolerance_mm = pair.tolerance_mm * (1 + 1e-9)
    near = np.count_nonzero(pair.to_reference_mm <= tolerance_mm) + np.count_nonzero(
        pair.to_prediction_mm <= tolerance_mm
    )
    return near / (pair.to_reference_mm.size + pair.to_prediction_mm.size)


def _volume_error(pair: MaskPair) -> float:
    return (pair.prediction_vox - pair.reference_vox) / pair.reference_vox


def _zero(pair: MaskPair) -> float:
    return 0.0


def _diagonal_mm(pair: MaskPair) -> float:
    return pair.diagonal_mm


def _wholly_wrong_volume(pair: MaskPair) -> float:
    return -1.0 if pair.prediction_vox == 0 else 1.0


OWN_METRICS = (
    Metric(
        "dice",
        "Dice",
        "",
        True,
        "Dice = 2|P ∩ R| / (|P| + |R|) of the predicted and reference voxels of a label (Dice 1945). "
        "0 if exactly one of them is empty.",
        _dice,
        _zero,
        best=1.0,
    ),
    Metric(
        "hd95_mm",
        "HD95",
        "mm",
        False,
        "95th-percentile Hausdorff distance: for each surface voxel of one mask the Euclidean distance to the nearest "
        "surface voxel of the other; the 95th percentile in each direction; the larger of the two. Other tools pool "
        "both directions (MedPy) or weight by surface area, and so differ. Surface voxels are mask voxels with a face "
        "neighbour outside the mask or the image; a neighbour that is to be ignored does not count. "
        "The image's diagonal if exactly one mask is empty.",
        _hd95_mm,
        _diagonal_mm,
        best=0.0,
    ),
    Metric(
        "assd_mm",
        "ASSD",
        "mm",
        False,
        "Average symmetric surface distance: mean over the surface voxels of both masks of the distance to the other's "
        "surface. The image's diagonal if exactly one mask is empty.",
        _assd_mm,
        _diagonal_mm,
        best=0.0,
    ),
    Metric(
        "surface_dice",
        "Surface Dice",
        "",
        True,
        "Share of the surface voxels of both masks that lie within the tolerance of the other's surface (normalised "
        "surface Dice, Nikolov et al. 2021, counted in voxels, not weighted by area). 0 if exactly one mask is empty.",
        _surface_dice,
        _zero,
        best=1.0,
    ),
    Metric(
        "volume_error",
        "Volume error",
        "",
        False,
        "Relative volume error (P − R) / R. The sign tells over- from under-segmentation; means, rankings and tests "
        "are over magnitudes. −1 if only the prediction is empty, +1 by convention if only the reference is.",
        _volume_error,
        _wholly_wrong_volume,
        absolute=True,
        best=0.0,
    ),
)
