"""The labels that a posterior of every class stands for. Ties go to the lower label, everywhere."""

import numpy as np
import numpy.typing as npt

from dlfbench.images import LabelArray, label_type


def winning_labels(posterior: npt.NDArray[np.floating], label_values: tuple[int, ...]) -> LabelArray:
    """The label of the largest posterior (class, x, y, z) in each voxel (x, y, z); the lower label in ties."""
    return np.asarray(label_values, dtype=label_type(label_values[-1]))[posterior.argmax(axis=0)]
