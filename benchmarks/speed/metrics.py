"""The metrics of one label map: ours against MedPy and surface-distance."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.speed.fusion import Problem
from benchmarks.speed.measure import Row, compare
from dlfbench.fusion.posterior import Posterior
from dlfbench.metrics.known import METRICS
from dlfbench.metrics.masks import pair_masks

TOLERANCE_MM = 1.0

Pair = tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], tuple[float, float, float]]


def metric_rows(chosen: Sequence[Problem]) -> Iterable[Row]:
    """Dice, HD95, ASSD and surface Dice of each label of the majority vote."""
    pairs = [pair for problem in chosen for pair in _pairs(problem)]
    yield compare("Dice, HD95, ASSD", pairs, ("dlfbench.metrics", _ours), ("MedPy", _medpy), "one label of one case")
    note = "one label of one case; theirs weights by surface area"
    yield compare(
        "the same and surface Dice", pairs, ("dlfbench.metrics", _ours), ("surface-distance", _deepmind), note
    )


def _pairs(problem: Problem) -> Iterable[Pair]:
    values = problem.atlases.label_values
    voted = Posterior.of_votes(problem.atlases.labels, values).labels()
    for value in problem.values:
        yield voted == value, problem.reference == value, problem.target.grid.spacing_mm


def _ours(pair: Pair) -> Any:
    prediction, reference, spacing_mm = pair
    masks = pair_masks(prediction, reference, spacing_mm, tolerance_mm=TOLERANCE_MM)
    return [metric.of(masks) for metric in METRICS]


def _medpy(pair: Pair) -> Any:
    from medpy.metric import binary

    prediction, reference, spacing_mm = pair
    dice = binary.dc(prediction, reference)
    return [dice, *(f(prediction, reference, voxelspacing=spacing_mm) for f in (binary.hd95, binary.assd))]


def _deepmind(pair: Pair) -> Any:
    import surface_distance as tool

    prediction, reference, spacing_mm = pair
    distances = tool.compute_surface_distances(reference, prediction, spacing_mm)
    return [
        tool.compute_dice_coefficient(reference, prediction),
        tool.compute_robust_hausdorff(distances, 95),
        tool.compute_average_surface_distance(distances),
        tool.compute_surface_dice_at_tolerance(distances, TOLERANCE_MM),
    ]
