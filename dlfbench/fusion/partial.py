"""Votes of atlases in which not every label was drawn: what they call background may be any of the others.

Methods get candidates in which the other atlases decided between the possible labels, so that none must know of this.
A label fusion method that learns nothing gets more: each set of possible labels is a class of its own while it fuses,
and what it gives to that class is shared out afterwards as the known votes are. So whoever does not know abstains.
(Voxels of which nothing is known at all are no vote: `UNKNOWN` in the candidates.)
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dlfbench.fusion.posterior import Entries, Posterior
from dlfbench.fusion.region import disputed, grow
from dlfbench.images import UNKNOWN, LabelArray, label_type
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
    labels = atlases.labels.copy()
    for number, choice in enumerate(choices, 1):
        asked = (where == number).any(axis=0)
        # of what is known there; no array of every label times the image is made
        known = np.where(where[:, asked] == 0, atlases.labels[:, asked], UNKNOWN)
        decided = np.zeros(atlases.labels.shape[1:], labels.dtype)
        decided[asked] = _most_voted(known, choice)
        labels = np.where(where == number, decided, labels)
    return replace(atlases, labels=labels, open=OpenVotes(where, choices))


def _most_voted(labels: LabelArray, choice: tuple[int, ...]) -> LabelArray:
    """Of some labels the one that most atlases show (atlas, voxel), the earlier in ties."""
    winner, most = np.full(labels.shape[1], choice[0], labels.dtype), (labels == choice[0]).sum(axis=0)
    for value in choice[1:]:
        votes = (labels == value).sum(axis=0)
        better = votes > most
        winner[better], most[better] = value, votes[better]
    return winner


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
    if found.found is None:
        return Segmentation(_decided(found.labels, atlases))
    more = range(atlases.label_values[-1] + 1, atlases.label_values[-1] + 1 + len(atlases.open.choices))
    shared = _shared_out(found.shares((*atlases.label_values, *more)), atlases)
    labels = shared.labels()
    return Segmentation(labels, shared if isinstance(found.found, Posterior) else shared.dense())


def _shared_out(given: Posterior, atlases: AtlasSet) -> Posterior:
    """The shares of open classes go to the known labels that they may be, by these' shares; else to the background."""
    assert atlases.open is not None
    declared, disputed_vox = len(atlases.label_values), len(given.voxels)
    rows, known = np.repeat(np.arange(disputed_vox), given.lengths), given.classes < declared
    mine, classes, shares = rows[known], given.classes[known], given.shares[known]
    parts = [Entries(given.voxels[mine], classes, shares)]
    for number, values in enumerate(atlases.open.choices):
        its = given.classes == declared + number
        mass = np.bincount(rows[its], given.shares[its], disputed_vox).astype(np.float32)
        possible = np.isin(classes, np.searchsorted(atlases.label_values, values))
        total = np.bincount(mine[possible], shares[possible], disputed_vox).astype(np.float32)
        part = np.divide(mass, total, out=np.zeros_like(mass), where=total > 0)[mine[possible]]
        parts.append(Entries(given.voxels[mine[possible]], classes[possible], part * shares[possible]))
        # a list of its own for every voxel, so that none is left without a label
        nobody = np.where(total > 0, np.float32(0), mass)
        parts.append(Entries(given.voxels, np.zeros(disputed_vox, np.int32), nobody))
    alone = np.where(given.alone < declared, given.alone, 0)
    return parts[0].joined(*parts[1:]).summed(declared).posterior(alone, atlases.label_values)


def _decided(labels: LabelArray, atlases: AtlasSet) -> LabelArray:
    """A label map in which open classes become what the other atlases say there; background where none does."""
    assert atlases.open is not None
    last = atlases.label_values[-1]
    found = np.where(labels > last, 0, labels)
    for where, decided in zip(atlases.open.where, atlases.labels, strict=True):
        found = np.where((where > 0) & (labels == where.astype(labels.dtype) + last), decided, found)
    return found
