"""Scores of label maps: every metric of every label."""

import logging
from dataclasses import dataclass

import numpy as np

from dlfbench.datasets.cases import LabelSet
from dlfbench.images import LabelArray
from dlfbench.metrics.definitions import OWN_METRICS, LabelScore, Metric
from dlfbench.metrics.known import MORE_METRICS
from dlfbench.metrics.masks import LabelMasks, MaskPair, Spacing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """A reference to score against: its masks, surfaces and search trees are made once, for all predictions.

    Attributes:
        masks: Of its labels.
        labels: The declared labels.
        tolerance_mm: For surface Dice.
    """

    masks: LabelMasks
    labels: LabelSet
    tolerance_mm: float

    @classmethod
    def of(
        cls, reference: LabelArray, *, labels: LabelSet, spacing_mm: Spacing, tolerance_mm: float = 1.0
    ) -> "Reference":
        """Of a label map (x, y, z) with its spacing in mm; see `score_labels`."""
        if len(spacing_mm) != reference.ndim or min(spacing_mm) <= 0:
            raise ValueError(f"spacing_mm must be {reference.ndim} positive lengths, found {spacing_mm}")
        return cls(LabelMasks.of(reference, labels.values, spacing_mm), labels, tolerance_mm)

    def scores(self, prediction: LabelArray) -> list[LabelScore]:
        """One score per foreground label of a label map (x, y, z), in the order of `labels`."""
        if prediction.shape != self.masks.classes.shape:
            raise ValueError(
                f"the prediction has {_describe(prediction)} and the reference {_describe(self.masks.classes)}: "
                "a prediction must be on the reference's grid"
            )
        found = LabelMasks.of(prediction, self.labels.values, self.masks.spacing_mm)
        pairs = self.masks.pairs(found, len(self.labels.values), tolerance_mm=self.tolerance_mm)
        voxel_mm3 = float(np.prod(self.masks.spacing_mm))
        return [_score(value, pair, voxel_mm3) for (value, _), pair in zip(self.labels.foreground, pairs, strict=True)]


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
    return Reference.of(reference, labels=labels, spacing_mm=spacing_mm, tolerance_mm=tolerance_mm).scores(prediction)


def _score(label: int, pair: MaskPair, voxel_mm3: float) -> LabelScore:
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
