"""Votes of candidate segmentations, and posteriors made of them. Ties go to the lower label, everywhere."""

import numpy as np
import numpy.typing as npt

from dlfbench.images import UNKNOWN, LabelArray, label_type


def vote_share(candidates: LabelArray, label_values: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Share of the atlases that vote for each label: majority voting's posterior.

    Args:
        candidates: (atlas, x, y, z); `UNKNOWN` is no vote.
        label_values: The declared labels, ascending.

    Returns:
        Posterior (class, x, y, z), sums to 1 over classes.
    """
    counts = [(candidates == value).sum(axis=0, dtype=np.int32) for value in label_values]
    return as_shares(np.stack(counts).astype(np.float32))


def as_shares(votes: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Votes (class, x, y, z) of 0 or more divided by their sum over classes; background where nobody votes."""
    total = votes.sum(axis=0)
    shares = (votes / np.where(total > 0, total, 1)).astype(np.float32)
    shares[0] += total <= 0
    return shares


def class_indices(labels: LabelArray, label_values: tuple[int, ...]) -> npt.NDArray[np.int16]:
    """Index of each label among the declared ones; `UNKNOWN` stays what it is."""
    found = np.searchsorted(label_values, labels).astype(np.int16)
    found[labels == UNKNOWN] = UNKNOWN
    return found


def winning_labels(posterior: npt.NDArray[np.floating], label_values: tuple[int, ...]) -> LabelArray:
    """The label of the largest posterior (class, x, y, z) in each voxel (x, y, z); the lower label in ties."""
    return np.asarray(label_values, dtype=label_type(label_values[-1]))[posterior.argmax(axis=0)]
