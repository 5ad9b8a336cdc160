"""Scores of label maps: every metric of every label."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.datasets.cases import LabelSet
from dlfbench.errors import reason_of
from dlfbench.images import UNKNOWN, LabelArray
from dlfbench.metrics.definitions import OWN_METRICS, LabelScore
from dlfbench.metrics.failed import failed_line
from dlfbench.metrics.known import MORE_METRICS
from dlfbench.metrics.masks import BoolArray, LabelMasks, MaskPair, Spacing


@dataclass(frozen=True)
class Reference:
    """A reference to score against: its masks, surfaces and search trees are made once, for all predictions.

    Attributes:
        masks: Of its labels.
        unknown: Voxels (x, y, z) that count nowhere; None where there are none.
        labels: The declared labels.
        tolerance_mm: For surface Dice.
        undrawn: Labels that nobody drew in it.
    """

    masks: LabelMasks
    unknown: BoolArray | None
    labels: LabelSet
    tolerance_mm: float
    undrawn: Collection[int]

    @classmethod
    def of(
        cls,
        reference: LabelArray,
        *,
        labels: LabelSet,
        spacing_mm: Spacing,
        tolerance_mm: float = 1.0,
        undrawn: Collection[int] = (),
    ) -> "Reference":
        """Of a label map (x, y, z); arguments and faults as of `score_labels`."""
        if len(spacing_mm) != reference.ndim or min(spacing_mm) <= 0:
            raise ValueError(f"spacing_mm must be {reference.ndim} positive lengths, found {spacing_mm}")
        nowhere = reference == UNKNOWN
        unknown = nowhere if nowhere.any() else None
        masks = LabelMasks.of(reference, labels.values, spacing_mm, unknown)
        return cls(masks, unknown, labels, tolerance_mm, undrawn)

    def scores(self, prediction: LabelArray) -> list[LabelScore]:
        """One score per foreground label of a label map (x, y, z), then per group, in the order of `labels`."""
        if prediction.shape != self.masks.classes.shape:
            raise ValueError(
                f"the prediction has {_describe(prediction)} and the reference {_describe(self.masks.classes)}: "
                "a prediction must be on the reference's grid"
            )
        known = prediction if self.unknown is None else np.where(self.unknown, 0, prediction)
        found = LabelMasks.of(known, self.labels.values, self.masks.spacing_mm, self.unknown)
        place = {value: index for index, value in enumerate(self.labels.values)}
        scores = []
        for number, _, values in self.labels.scored:
            if set(values) & set(self.undrawn):
                scores.append(_not_drawn(number))
            else:
                pair = self.masks.pair(found, [place[v] for v in values], tolerance_mm=self.tolerance_mm)
                scores.append(_score(number, pair, self.masks.spacing_mm))
        return scores


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

    >>> reference = np.zeros((3, 3, 3), np.int16)
    >>> reference[1, 1, :2] = 1
    >>> prediction = np.where(np.arange(3) == 1, reference, 0)  # one of the two voxels
    >>> labels = LabelSet((0, 1), ("background", "organ"))
    >>> (score,) = score_labels(prediction, reference, labels=labels, spacing_mm=(1.0, 1.0, 2.0))
    >>> round(score.dice, 3), score.reference_volume_mm3
    (0.667, 4.0)

    Returns:
        One score per foreground label, then per group, in the order of `labels`; without numbers where a label of it
        was not drawn.

    Raises:
        ValueError: The shapes differ, or the spacing is not positive.
    """
    scored = Reference.of(reference, labels=labels, spacing_mm=spacing_mm, tolerance_mm=tolerance_mm, undrawn=undrawn)
    return scored.scores(prediction)


def _score(label: int, pair: MaskPair, spacing_mm: Spacing) -> LabelScore:
    voxel_mm3 = float(np.prod(spacing_mm))
    values: dict[str, Any] = {metric.name: metric.of(pair) for metric in OWN_METRICS}
    more, failed = _of_plugins(pair)
    return LabelScore(
        label=label,
        reference_volume_mm3=pair.reference_vox * voxel_mm3,
        prediction_volume_mm3=pair.prediction_vox * voxel_mm3,
        reference_empty=pair.reference_vox == 0,
        prediction_empty=pair.prediction_vox == 0,
        more=more,
        reason="\n".join(failed),
        **values,
    )


def _not_drawn(label: int) -> LabelScore:
    """No number at all: a label that is in neither map has volumes of 0."""
    nothing: dict[str, Any] = dict.fromkeys([metric.name for metric in OWN_METRICS], float("nan"))
    return LabelScore(
        label=label,
        reference_volume_mm3=float("nan"),
        prediction_volume_mm3=float("nan"),
        reference_empty=False,
        prediction_empty=False,
        more={metric.name: float("nan") for metric in MORE_METRICS},
        **nothing,
    )


def _of_plugins(pair: MaskPair) -> tuple[dict[str, float], list[str]]:
    """Values by name, and what failed: a stranger's metric costs its own column, and no other."""
    values = dict.fromkeys((metric.name for metric in MORE_METRICS), float("nan"))
    failed: list[str] = []
    if pair.prediction_vox == 0 and pair.reference_vox == 0:
        return values, failed
    for metric in MORE_METRICS:
        try:
            value = float(metric.of(pair))
        except Exception as error:
            failed.append(failed_line(metric.name, reason_of(error)))
            continue
        if fault := metric.fault(value):
            failed.append(failed_line(metric.name, fault))
        else:
            values[metric.name] = value
    return values, failed


def _describe(labels: npt.NDArray[Any]) -> str:
    return f"{'x'.join(str(n) for n in labels.shape)} voxels"
