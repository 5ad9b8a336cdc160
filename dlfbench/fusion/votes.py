"""Votes of candidate segmentations, and posteriors made of them. Ties go to the lower label, everywhere."""

import numpy as np
import numpy.typing as npt

from dlfbench.images import LabelArray, label_type


def vote_share(candidates: LabelArray, label_values: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Share of the atlases that vote for each label: majority voting's posterior.

    Args:
        candidates: (atlas, x, y, z).
        label_values: The declared labels, ascending.

    Returns:
        Posterior (class, x, y, z), sums to 1 over classes.
    """
    counts = [(candidates == value).sum(axis=0, dtype=np.int32) for value in label_values]
    return np.stack(counts).astype(np.float32) / np.float32(len(candidates))


def winning_labels(posterior: npt.NDArray[np.floating], label_values: tuple[int, ...]) -> LabelArray:
    """The label of the largest posterior (class, x, y, z) in each voxel (x, y, z); the lower label in ties."""
    return np.asarray(label_values, dtype=label_type(label_values[-1]))[posterior.argmax(axis=0)]
