"""Votes of candidate segmentations, and the labels that shares stand for. Ties go to the lower label, everywhere."""

import numpy as np
import numpy.typing as npt

from dlfbench.images import UNKNOWN, LabelArray, label_type

_TABLE_SIZE = 2**20


def as_shares(votes: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Votes (class, x, y, z) of 0 or more divided by their sum over classes; background where nobody votes."""
    total = votes.sum(axis=0)
    shares = (votes / np.where(total > 0, total, 1)).astype(np.float32)
    shares[0] += total <= 0
    return shares


def class_indices(labels: LabelArray, label_values: tuple[int, ...]) -> npt.NDArray[np.int16]:
    """Index of each label among the declared ones, of others 0; `UNKNOWN` stays what it is."""
    values = np.asarray(label_values, dtype=np.int64)
    if values[-1] < _TABLE_SIZE:
        table = np.zeros(values[-1] + 3, np.int16)
        table[0], table[values + 1] = UNKNOWN, np.arange(len(values))
        return table[np.clip(labels, UNKNOWN, values[-1] + 1) + 1]
    places = np.searchsorted(values, labels).clip(max=len(values) - 1)
    return np.where(labels == UNKNOWN, UNKNOWN, np.where(values[places] == labels, places, 0)).astype(np.int16)


def winning_labels(posterior: npt.NDArray[np.floating], label_values: tuple[int, ...]) -> LabelArray:
    """The label of the largest posterior (class, x, y, z) in each voxel (x, y, z); the lower label in ties."""
    return np.asarray(label_values, dtype=label_type(label_values[-1]))[posterior.argmax(axis=0)]
