"""Whether left may be right: where it may not, nobody may learn from mirrored images."""

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.votes import class_indices
from dlfbench.segmenters.interface import Training, TrainingCase

_ONE_SIDE = 0.9


def left_may_be_right(training: Training) -> bool:
    """Whether left and right may be exchanged: not if all cases are of one side, nor if labels tell left from right."""
    sides = {case.read_target().columns.get("side") for case in training.cases}
    return sides not in ({"L"}, {"R"}, {"left"}, {"right"}) and not labels_have_sides(training)


def labels_have_sides(training: Training) -> bool:
    """Whether labels lie on one side, in all cases together.

    So it is in whole brains whose left and right structures have labels of their own: one lies to the left of the
    foreground's middle, and another to its right. Where a structure of one side alone is wanted of whole images, it
    lies on one side of their middle. Crops around a structure have it in both halves.
    """
    halves = sum((_halves(case, training.label_values) for case in training.cases), np.zeros((2, 2, 1)))
    there = halves[:, :, halves[0].sum(axis=0) > 0]
    of_foreground, of_image = there[:, 0] / there.sum(axis=1)
    apart = (of_foreground >= _ONE_SIDE).any() and (of_foreground <= 1 - _ONE_SIDE).any()
    return bool(apart or (np.abs(of_image - 0.5) >= _ONE_SIDE - 0.5).any())


def _halves(case: TrainingCase, label_values: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Voxels of each label on both sides of the middle of the foreground, and of the image: (middle, side, label)."""
    axis = int(np.abs(np.asarray(case.read_target().grid.affine)[0, :3]).argmax())
    classes = np.moveaxis(class_indices(case.read_reference(), label_values), axis, 0)
    drawn = classes > 0
    slices, many = np.nonzero(drawn)[0], len(label_values)
    if not len(slices):
        return np.zeros((2, 2, many))
    middles = ((slices.min() + slices.max()) / 2, (len(classes) - 1) / 2)
    counts = [np.bincount(classes[drawn] + (slices > middle) * many, minlength=2 * many) for middle in middles]
    return np.stack(counts).reshape(2, 2, many).astype(float)
