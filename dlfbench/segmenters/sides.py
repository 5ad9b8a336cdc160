"""Whether labels tell left from right: then a mirrored image has other labels, and nobody may learn from it."""

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.votes import class_indices
from dlfbench.segmenters.interface import Training, TrainingCase

_ONE_SIDE = 0.9


def labels_have_sides(training: Training) -> bool:
    """Whether one label lies to the left of the foreground's middle, and another to its right, in all cases together.

    So it is in whole brains whose left and right structures have labels of their own. Crops around one structure have
    labels in both halves, at the latest where cases of both sides are put together.
    """
    halves = sum((_halves(case, training.label_values) for case in training.cases), np.zeros((2, 1)))
    there = halves[:, halves.sum(axis=0) > 0]
    shares = there[0] / there.sum(axis=0)
    return bool((shares >= _ONE_SIDE).any() and (shares <= 1 - _ONE_SIDE).any())


def _halves(case: TrainingCase, label_values: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Voxels of each label on both sides of the middle of the foreground, along the left-right axis: (2, label)."""
    axis = int(np.abs(np.asarray(case.read_target().grid.affine)[0, :3]).argmax())
    classes = np.moveaxis(class_indices(case.read_reference(), label_values), axis, 0)
    drawn = classes > 0
    slices = np.nonzero(drawn)[0]
    if not len(slices):
        return np.zeros((2, len(label_values)))
    beyond = slices > (slices.min() + slices.max()) / 2
    counts = np.bincount(classes[drawn] + beyond * len(label_values), minlength=2 * len(label_values))
    return counts.reshape(2, -1).astype(float)
