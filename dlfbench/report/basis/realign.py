"""Segmentations of two scans of one person on one grid: the images are aligned rigidly, and the labels follow."""

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from dlfbench.datasets.cases import FIRST_GROUP
from dlfbench.errors import InputError
from dlfbench.records.record import Record
from dlfbench.registration.greedy import to_sitk
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
    values = {int(number): record.data.values_of(int(number)) for number in numbers}
    found: dict[str, Array] = defaultdict(lambda: np.full((len(pairs), len(values) + 1), np.nan))
    for at, pair in enumerate(pairs):
        try:
            for name, dice in _of_pair(record, pair, values).items():
                found[name][at] = dice
        except (InputError, OSError, RuntimeError, KeyError, IndexError) as error:
            log.warning("report: %s and %s are compared by volume only: %s", pair.first, pair.second, error)
    return dict(found)


def _of_pair(record: Record, pair: Pair, values: Mapping[int, tuple[int, ...]]) -> dict[str, list[float]]:
    image, moved_image = (record.files(case)[0] for case in (pair.first, pair.second))
    first, second = (record.segmentations(pair.test_set, case) for case in (pair.first, pair.second))
    fixed = sitk.ReadImage(image, sitk.sitkFloat32)
    transform = align_rigidly(fixed, sitk.ReadImage(moved_image, sitk.sitkFloat32))
    maps = {name: (sitk.ReadImage(first[name]), sitk.ReadImage(second[name])) for name in first if name in second}
    both = {"reference": (_reference(record, pair.first), _reference(record, pair.second)), **maps}
    return {name: _dice(a, b, fixed=fixed, transform=transform, values=values) for name, (a, b) in both.items()}


def _reference(record: Record, case: str) -> sitk.Image:
    """The reference as the run read it, which the file alone may not say: its values may be another tool's."""
    labels, grid = record.case(case).read_reference()
    image: sitk.Image = to_sitk(np.maximum(labels, 0), grid)
    return image


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
    a: sitk.Image, b: sitk.Image, *, fixed: sitk.Image, transform: sitk.Transform, values: Mapping[int, tuple[int, ...]]
) -> list[float]:
    """Per label or group, and the mean over labels; NaN where neither map has the label."""
    there: Any = sitk.GetArrayFromImage(sitk.Resample(a, fixed, sitk.Transform(), sitk.sitkNearestNeighbor))
    here: Any = sitk.GetArrayFromImage(sitk.Resample(b, fixed, transform, sitk.sitkNearestNeighbor))
    dice = {number: _overlap(np.isin(there, of), np.isin(here, of)) for number, of in values.items()}
    alone = [value for number, value in dice.items() if number < FIRST_GROUP and not np.isnan(value)]
    return [*dice.values(), float(np.mean(alone)) if alone else float("nan")]


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else float("nan")
