"""Dice, HD95, ASSD, surface Dice and volume error of label maps, with one rule for empty masks.

A label's surface distances are computed once, on the box around both masks; each metric is a short function of them.

The rule for empty masks: both empty, every metric is NaN (excluded from means, and counted); exactly one empty, the
metric takes its worst value, so that a missed label never vanishes from a mean. `reference_empty` and
`prediction_empty` are kept beside the values.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, find_objects
from scipy.spatial import KDTree

from dlfbench import plugins
from dlfbench.cases import LabelSet
from dlfbench.images import FloatArray, LabelArray

log = logging.getLogger(__name__)

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
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool
    definition: str
    value: Callable[[MaskPair], float]
    worst: Callable[[MaskPair], float]
    absolute: bool = False

    def of(self, pair: MaskPair) -> float:
        """The metric under the rule for empty masks: NaN if both are empty, the worst value if one is."""
        empty = (pair.prediction_vox == 0) + (pair.reference_vox == 0)
        return float("nan") if empty == 2 else float((self.worst if empty else self.value)(pair))

    def comparable(self, values: Any) -> Any:
        """Values as they are averaged, ranked and tested: magnitudes where the sign is only a direction."""
        return abs(values) if self.absolute else values


@dataclass(frozen=True)
class LabelScore:
    """One label of one prediction. NaN: the label is in neither map.

    Attributes:
        label: The label's value.
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
    ),
    Metric(
        "hd95_mm",
        "HD95",
        "mm",
        False,
        "95th-percentile Hausdorff distance: for each surface voxel of one mask the Euclidean distance to the nearest "
        "surface voxel of the other; the 95th percentile in each direction; the larger of the two. Other tools pool "
        "both directions (MedPy) or weight by surface area, and so differ. Surface voxels are mask voxels with a face "
        "neighbour outside the mask or the image. The image's diagonal if exactly one mask is empty.",
        _hd95_mm,
        _diagonal_mm,
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
    ),
)


def score_labels(
    prediction: LabelArray,
    reference: LabelArray,
    *,
    labels: LabelSet,
    spacing_mm: Spacing,
    tolerance_mm: float = 1.0,
) -> list[LabelScore]:
    """Scores a label map against the reference on the same grid.

    Args:
        prediction: Label map (x, y, z).
        reference: Label map (x, y, z).
        labels: The declared labels.
        spacing_mm: Distance between voxel centres along (x, y, z), mm.
        tolerance_mm: For surface Dice.

    Returns:
        One score per foreground label, in the order of `labels`.

    Raises:
        ValueError: The shapes differ, or the spacing is not positive.
    """
    if prediction.shape != reference.shape:
        raise ValueError(
            f"the prediction has {_describe(prediction)} and the reference {_describe(reference)}: "
            "a prediction must be on the reference's grid"
        )
    if len(spacing_mm) != prediction.ndim or min(spacing_mm) <= 0:
        raise ValueError(f"spacing_mm must be {prediction.ndim} positive lengths, found {spacing_mm}")
    scores = []
    for value, _ in labels.foreground:
        pair = pair_masks(prediction == value, reference == value, spacing_mm, tolerance_mm=tolerance_mm)
        scores.append(_score(value, pair, spacing_mm))
    return scores


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


def _score(label: int, pair: MaskPair, spacing_mm: Spacing) -> LabelScore:
    voxel_mm3 = float(np.prod(spacing_mm))
    values = {metric.name: metric.of(pair) for metric in OWN_METRICS}
    return LabelScore(
        label=label,
        reference_volume_mm3=pair.reference_vox * voxel_mm3,
        prediction_volume_mm3=pair.prediction_vox * voxel_mm3,
        reference_empty=pair.reference_vox == 0,
        prediction_empty=pair.prediction_vox == 0,
        more={metric.name: _of_plugin(metric, pair) for metric in MORE_METRICS},
        **values,
    )


def _of_plugin(metric: Metric, pair: MaskPair) -> float:
    try:
        return float(metric.of(pair))
    except Exception:  # a stranger's metric costs its own column, and no other
        log.exception("metric %s failed", metric.name)
        return float("nan")


def _describe(labels: LabelArray) -> str:
    return f"{'x'.join(str(n) for n in labels.shape)} voxels"


def known_metric_plugins() -> list[plugins.Plugin]:
    """Metrics of the entry point group `dlfbench.metrics`, with the reason where one cannot be used."""
    return [_checked(plugin) for plugin in plugins.plugins(plugins.METRICS).values()]


def _checked(plugin: plugins.Plugin) -> plugins.Plugin:
    taken = {field.name for field in fields(LabelScore)}
    reason = plugin.reason
    if not reason and not isinstance(plugin.loaded, Metric):
        reason = f"expected a dlfbench.Metric, found {type(plugin.loaded).__name__}"
    elif not reason and (plugin.loaded.name != plugin.name or not plugin.name.isidentifier() or plugin.name in taken):
        reason = f"its name, {plugin.loaded.name!r}, must be that of its entry point, and of no other column"
    return replace(plugin, loaded=None, reason=reason) if reason else plugin


# at the end: the plugins import this module
MORE_METRICS: tuple[Metric, ...] = tuple(plugin.loaded for plugin in known_metric_plugins() if not plugin.reason)
METRICS = (*OWN_METRICS, *MORE_METRICS)
