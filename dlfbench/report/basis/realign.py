"""Segmentations of two scans of one person on one grid: the images are aligned rigidly, and the labels follow."""

import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from dlfbench.errors import InputError
from dlfbench.records.record import Record
from dlfbench.report.basis.statistics import Array

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """Two cases that show the same anatomy."""

    test_set: str
    first: str
    second: str


def realigned_dice(record: Record, pairs: list[Pair]) -> dict[str, Array]:
    """Dice of the two segmentations of each pair, by method, and of the references.

    Returns:
        (pair, label or group), the last the mean over labels; NaN where a file is missing.
    """
    numbers = sorted(record.results["label"].unique())
    values = [record.data.values_of(int(number)) for number in numbers]
    found: dict[str, Array] = defaultdict(lambda: np.full((len(pairs), len(values) + 1), np.nan))
    for at, pair in enumerate(pairs):
        try:
            for name, dice in _of_pair(record, pair, values).items():
                found[name][at] = dice
        except (InputError, OSError, RuntimeError, KeyError, IndexError) as error:
            log.warning("report: %s and %s are compared by volume only: %s", pair.first, pair.second, error)
    return dict(found)


def _of_pair(record: Record, pair: Pair, values: list[tuple[int, ...]]) -> dict[str, list[float]]:
    (image, reference), (moved_image, moved_reference) = (record.files(case) for case in (pair.first, pair.second))
    first, second = (record.segmentations(pair.test_set, case) for case in (pair.first, pair.second))
    maps = {"reference": (reference, moved_reference)}
    maps |= {method: (first[method], second[method]) for method in first if method in second}
    fixed = sitk.ReadImage(image, sitk.sitkFloat32)
    transform = align_rigidly(fixed, sitk.ReadImage(moved_image, sitk.sitkFloat32))
    return {name: _dice(a, b, fixed=fixed, transform=transform, values=values) for name, (a, b) in maps.items()}


def align_rigidly(fixed: sitk.Image, moving: sitk.Image) -> sitk.Transform:
    """The rigid transform from points of `fixed` to points of `moving` with the highest correlation of intensities."""
    start = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # the order of sums changes the result
    method.SetMetricAsCorrelation()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 100)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1, 0])
    method.SetInitialTransform(start, inPlace=False)
    return method.Execute(fixed, moving)


def _dice(
    a: Path, b: Path, *, fixed: sitk.Image, transform: sitk.Transform, values: list[tuple[int, ...]]
) -> list[float]:
    """Per label or group, and the mean over labels; NaN where neither map has the label."""
    there: Any = sitk.GetArrayFromImage(sitk.ReadImage(a))
    moved = sitk.Resample(sitk.ReadImage(b), fixed, transform, sitk.sitkNearestNeighbor)
    here: Any = sitk.GetArrayFromImage(moved)
    dice = [_overlap(np.isin(there, of), np.isin(here, of)) for of in values]
    alone = [value for value, of in zip(dice, values, strict=True) if len(of) == 1 and not np.isnan(value)]
    return [*dice, float(np.mean(alone)) if alone else float("nan")]


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else float("nan")
