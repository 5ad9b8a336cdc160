"""Scores of label maps: every metric of every label."""

import logging
from collections.abc import Collection

import numpy as np

from dlfbench.datasets.cases import LabelSet
from dlfbench.images import UNKNOWN, LabelArray
from dlfbench.metrics.definitions import OWN_METRICS, LabelScore, Metric
from dlfbench.metrics.known import MORE_METRICS
from dlfbench.metrics.masks import MaskPair, Spacing, pair_masks

log = logging.getLogger(__name__)


def score_labels(
    prediction: LabelArray,
    reference: LabelArray,
    *,
    labels: LabelSet,
    spacing_mm: Spacing,
    tolerance_mm: float = 1.0,
    undrawn: Collection[int] = (),
) -> list[LabelScore]:
    """Scores a label map against the reference on the same grid.

    Args:
        prediction: Label map (x, y, z).
        reference: Label map (x, y, z). Voxels that are `UNKNOWN` count nowhere, neither in it nor in the prediction.
        labels: The declared labels.
        spacing_mm: Distance between voxel centres along (x, y, z), mm.
        tolerance_mm: For surface Dice.
        undrawn: Labels that nobody drew in the reference: nothing is said of them.

    Returns:
        One score per foreground label, in the order of `labels`; without numbers where it was not drawn.

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
    unknown = reference == UNKNOWN
    prediction, reference = np.where(unknown, 0, prediction), np.where(unknown, 0, reference)
    scores = []
    for value, _ in labels.foreground:
        if value in undrawn:
            scores.append(_not_drawn(value))
            continue
        pair = pair_masks(prediction == value, reference == value, spacing_mm, tolerance_mm=tolerance_mm)
        scores.append(_score(value, pair, spacing_mm))
    return scores


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


def _not_drawn(label: int) -> LabelScore:
    """No number at all: a label that is in neither map has volumes of 0."""
    nothing = dict.fromkeys([metric.name for metric in OWN_METRICS], float("nan"))
    return LabelScore(
        label=label,
        reference_volume_mm3=float("nan"),
        prediction_volume_mm3=float("nan"),
        reference_empty=False,
        prediction_empty=False,
        more={metric.name: float("nan") for metric in MORE_METRICS},
        **nothing,
    )


def _of_plugin(metric: Metric, pair: MaskPair) -> float:
    try:
        return float(metric.of(pair))
    except Exception:  # a stranger's metric costs its own column, and no other
        log.exception("metric %s failed", metric.name)
        return float("nan")


def _describe(labels: LabelArray) -> str:
    return f"{'x'.join(str(n) for n in labels.shape)} voxels"
