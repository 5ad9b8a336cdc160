"""Votes of atlases in which not every label was drawn: what they call background may be any of the others.

Methods get candidates in which the other atlases decided between the possible labels, so that none must know of this.
A label fusion method that learns nothing gets more: each set of possible labels is a class of its own while it fuses,
and what it gives to that class is shared out afterwards as the known votes are. So whoever does not know abstains.
(Voxels of which nothing is known at all are no vote: `UNKNOWN` in the candidates.)
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.region import disputed, grow
from dlfbench.images import LabelArray, label_type
from dlfbench.volumes import AtlasSet, OpenVotes, Segmentation

# farther than any method looks from a voxel: beyond it an open vote among atlases that agree changes nothing
_REACH_VOX = (10, 10, 10)


def with_open_votes(atlases: AtlasSet, undrawn: Sequence[Sequence[int]]) -> AtlasSet:
    """Decides what was not drawn by what the other atlases say, and keeps where that was.

    Args:
        atlases: As they were warped.
        undrawn: For each atlas the labels that were not drawn: its background may be any of them.

    Returns:
        The atlases, of which each gets that possible label of a voxel which has most votes among those who know; the
        lower one in ties, background where nobody knows.
    """
    choices = tuple(dict.fromkeys((0, *values) for values in undrawn if values))
    if not choices:
        return atlases
    where = np.zeros(atlases.labels.shape, np.uint8)
    for index, values in enumerate(undrawn):
        if values:
            where[index][atlases.labels[index] == 0] = choices.index((0, *values)) + 1
    labels, known = atlases.labels.copy(), where == 0
    for number, choice in enumerate(choices, 1):
        votes = [((atlases.labels == value) & known).sum(axis=0, dtype=np.int32) for value in choice]
        decided = np.asarray(choice, labels.dtype)[np.argmax(votes, axis=0)]
        labels = np.where(where == number, decided, labels)
    return replace(atlases, labels=labels, open=OpenVotes(where, choices))


def with_classes_for_open_votes(atlases: AtlasSet) -> AtlasSet:
    """The same atlases where each set of possible labels is a label of its own, above the declared ones.

    Only where it may matter: far from every voxel that atlases dispute, what they agree on stands.
    """
    if atlases.open is None or not len(atlases):
        return atlases
    near = grow(disputed(atlases.labels, (0, 0, 0)), _REACH_VOX)
    where = atlases.open.where * near
    first = atlases.label_values[-1] + 1
    more = tuple(range(first, first + len(atlases.open.choices)))
    kind = label_type(more[-1])
    labels = np.where(where > 0, where.astype(kind) + kind(first - 1), atlases.labels)
    return replace(atlases, labels=labels, label_values=(*atlases.label_values, *more), open=None)


def without_their_classes(found: Segmentation, atlases: AtlasSet) -> Segmentation:
    """Shares out what a method gave to the classes of `with_classes_for_open_votes`.

    Args:
        found: The method's answer over the larger set of labels.
        atlases: As they were before.
    """
    if atlases.open is None or not len(atlases):
        return found
    if found.posterior is None:
        return Segmentation(_decided(found.labels, atlases))
    posterior = _shared_out(found.posterior, atlases)
    kind = label_type(atlases.label_values[-1])
    return Segmentation(np.asarray(atlases.label_values, kind)[posterior.argmax(axis=0)], posterior)


def _shared_out(posterior: npt.NDArray[np.floating], atlases: AtlasSet) -> npt.NDArray[np.floating]:
    assert atlases.open is not None
    declared = len(atlases.label_values)
    known = posterior[:declared]
    shared = known.copy()
    for mass, values in zip(posterior[declared:], atlases.open.choices, strict=True):
        at = np.searchsorted(atlases.label_values, values)
        total = known[at].sum(axis=0)
        shared[at] += mass * np.divide(known[at], total, out=np.zeros_like(known[at]), where=total > 0)
        shared[0] += np.where(total > 0, 0, mass)
    return shared


def _decided(labels: LabelArray, atlases: AtlasSet) -> LabelArray:
    """A label map in which open classes become what the other atlases say there; background where none does."""
    assert atlases.open is not None
    last = atlases.label_values[-1]
    found = np.where(labels > last, 0, labels)
    for where, decided in zip(atlases.open.where, atlases.labels, strict=True):
        found = np.where((where > 0) & (labels == where.astype(labels.dtype) + last), decided, found)
    return found
