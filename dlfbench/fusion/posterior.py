"""Posteriors that are as large as the dispute: one label alone in most voxels, a short list of labels in the others.

In a whole brain of 134 labels one to four have a vote in a voxel; an array of classes times image would be zeros.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.region import Box
from dlfbench.fusion.votes import class_indices
from dlfbench.images import UNKNOWN, LabelArray, label_type

NEGLIGIBLE = 1e-7
"""Shares that are no larger are left out of lists that are made of arrays of every class."""


@dataclass(frozen=True)
class Posterior:
    """Shares of labels in each voxel, which sum to 1.

    Classes are indices into the declared labels.

    Attributes:
        label_values: The declared labels, ascending: the class axis.
        alone: The class that has all of a voxel (x, y, z), where the voxel is not disputed.
        voxels: Flat index of the disputed voxels, ascending.
        starts: Where the list of each disputed voxel starts in `classes`, and where the last one ends.
        classes: The classes of each disputed voxel, ascending within a voxel.
        shares: Theirs, float32.
    """

    label_values: tuple[int, ...]
    alone: npt.NDArray[np.integer[Any]]
    voxels: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int32]
    shares: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        # flat indices are of this order, whatever order the candidates came in
        object.__setattr__(self, "alone", np.ascontiguousarray(self.alone))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array (class, x, y, z)."""
        return (len(self.label_values), *self.alone.shape)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """How many classes each disputed voxel has."""
        return np.diff(self.starts)

    @cached_property
    def entry_voxels(self) -> npt.NDArray[np.int64]:
        """Flat index of the voxel of each entry of `classes`."""
        return np.repeat(self.voxels, self.lengths)

    def labels(self) -> LabelArray:
        """The label of the largest share in each voxel (x, y, z); the lower label in ties."""
        winners = np.array(self.alone, dtype=np.int32)
        if len(self.voxels):
            highest = np.repeat(np.maximum.reduceat(self.shares, self.starts[:-1]), self.lengths)
            best = np.flatnonzero(self.shares == highest)[::-1]
            # of several writes to one place the last one stays: the first of its list
            winners.ravel()[self.entry_voxels[best]] = self.classes[best]
        return np.asarray(self.label_values, dtype=label_type(self.label_values[-1]))[winners]

    def dense(self) -> npt.NDArray[np.float32]:
        """The whole array (class, x, y, z); four bytes per class and voxel."""
        whole = np.zeros((len(self.label_values), self.alone.size), np.float32)
        whole[self.alone.ravel(), np.arange(self.alone.size)] = 1
        whole[:, self.voxels] = 0
        whole[self.classes, self.entry_voxels] = self.shares
        return whole.reshape(self.shape)

    def of_class(self, index: int) -> npt.NDArray[np.float32]:
        """One class's shares (x, y, z)."""
        share = (self.alone == index).astype(np.float32)
        share.ravel()[self.voxels] = 0
        mine = self.classes == index
        share.ravel()[self.entry_voxels[mine]] = self.shares[mine]
        return share

    def at(self, voxels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Every class's share (voxel, class) in some voxels, given by their flat index."""
        found = np.zeros((len(voxels), len(self.label_values)), np.float32)
        found[np.arange(len(voxels)), self.alone.ravel()[voxels]] = 1
        rows, places = self._lists_of(voxels)
        found[rows] = 0
        lengths = self.lengths[places]
        entries = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths - self.starts[places], lengths)
        found[np.repeat(rows, lengths), self.classes[entries]] = self.shares[entries]
        return found

    def cut(self, box: Box) -> "Posterior":
        """The same in a box of the image."""
        # flat indices ascend with x
        plane, x = self.alone[0].size, box[0]
        first, last = np.searchsorted(self.voxels, [x.start * plane, x.stop * plane])
        some = slice(self.starts[first], self.starts[last])
        voxels = np.repeat(self.voxels[first:last], self.lengths[first:last])
        entries = Entries(voxels, self.classes[some], self.shares[some])
        shape = tuple(s.stop - s.start for s in box)
        moved = entries.moved(self.alone.shape, [-s.start for s in box], shape)
        return moved.posterior(self.alone[box], self.label_values)

    @classmethod
    def of_parts(cls, parts: Iterable[tuple[Box, "Posterior"]], shape: tuple[int, ...]) -> "Posterior":
        """Posteriors of boxes of an image (x, y, z) that do not overlap; background in what is left of it.

        Raises:
            ValueError: There are none.
        """
        alone, entries = np.zeros(shape, np.int32), []
        label_values: tuple[int, ...] = ()
        for box, part in parts:
            alone[box], label_values = part.alone, part.label_values
            own = Entries(part.entry_voxels, part.classes, part.shares)
            entries.append(own.moved(part.alone.shape, [s.start for s in box], shape))
        if not entries:
            raise ValueError("expected parts of an image, found none")
        return entries[0].joined(*entries[1:]).posterior(alone, label_values)

    def replaced(self, entries: "Entries") -> "Posterior":
        """The same, but for the voxels of some entries, whose shares are theirs."""
        kept = ~np.isin(self.entry_voxels, entries.voxels)
        mine = Entries(self.entry_voxels[kept], self.classes[kept], self.shares[kept])
        return entries.joined(mine).posterior(self.alone, self.label_values)

    def _lists_of(self, voxels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Which of the given voxels are disputed, and which disputed voxels they are."""
        places = np.searchsorted(self.voxels, voxels)
        rows = np.flatnonzero(np.isin(voxels, self.voxels))
        return rows, places[rows]

    @classmethod
    def of_votes(cls, candidates: LabelArray, label_values: tuple[int, ...]) -> "Posterior":
        """The share of candidates (atlas, x, y, z) that vote for each label: majority voting's posterior.

        A candidate that knows nothing of a voxel (`UNKNOWN`) has no vote there; where none has one it is background.
        """
        flat = candidates.reshape(len(candidates), -1)
        voxels = np.flatnonzero(_differ(flat))
        shown = flat[:, voxels].T
        votes = np.sort(class_indices(shown, label_values), axis=1)
        first = np.ones(votes.shape, np.bool_)
        first[:, 1:] = votes[:, 1:] != votes[:, :-1]
        entries = np.flatnonzero(first)
        classes, counts = votes.ravel()[entries], np.diff(entries, append=votes.size).astype(np.float32)
        known, lengths = classes != UNKNOWN, (first & (votes != UNKNOWN)).sum(axis=1)
        voters = (votes != UNKNOWN).sum(axis=1).astype(np.float32)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        shares = counts[known] / np.repeat(voters, lengths)
        alone = class_indices(candidates[0], label_values).clip(min=0)
        return cls(label_values, alone, voxels, starts, classes[known].astype(np.int32), shares)

    @classmethod
    def of_dense(cls, shares: npt.NDArray[np.floating[Any]], label_values: tuple[int, ...]) -> "Posterior":
        """Of an array (class, x, y, z); shares of no more than `NEGLIGIBLE` are left out."""
        flat = shares.reshape(len(shares), -1)
        alone = flat.argmax(axis=0).astype(np.int32)
        classes, voxels = np.nonzero(flat > NEGLIGIBLE)
        disputed = np.bincount(voxels, minlength=flat.shape[1])[voxels] > 1
        classes, voxels = classes[disputed], voxels[disputed]
        return Entries(voxels, classes, flat[classes, voxels]).posterior(alone.reshape(shares.shape[1:]), label_values)


@dataclass(frozen=True)
class Entries:
    """Shares or votes as a list: entry by entry its voxel (flat index), its class (index) and how much."""

    voxels: npt.NDArray[np.int64]
    classes: npt.NDArray[np.integer[Any]]
    shares: npt.NDArray[np.floating[Any]]

    @classmethod
    def none(cls, dtype: npt.DTypeLike = np.float32) -> "Entries":
        """An empty list."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, dtype))

    def moved(self, shape: tuple[int, ...], by: Sequence[int], into: tuple[int, ...]) -> "Entries":
        """Those of an image of one shape (x, y, z) in one of another, so many voxels on; none beyond its border."""
        places = np.array(np.unravel_index(self.voxels, shape)) + np.reshape(by, (3, 1))
        kept = ((places >= 0) & (places < np.reshape(into, (3, 1)))).all(axis=0)
        voxels = np.ravel_multi_index(tuple(places[:, kept]), into)
        return Entries(voxels, self.classes[kept], self.shares[kept])

    def joined(self, *others: "Entries") -> "Entries":
        """All entries as one list."""
        parts = (self, *others)
        return Entries(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("voxels", "classes", "shares")))

    def summed(self, classes: int) -> "Entries":
        """One entry for each voxel and class, ascending; those of the same voxel and class are added up."""
        keys = self.voxels * classes + self.classes
        order = np.argsort(keys, kind="stable")
        keys, first = np.unique(keys[order], return_index=True)
        sums = np.add.reduceat(self.shares[order], first) if len(keys) else self.shares
        return Entries(keys // classes, (keys % classes).astype(np.int32), sums)

    def by_class(self, classes: int) -> "Entries":
        """In ascending order of the class, where classes are counted anew after so many."""
        order = np.argsort(self.classes % classes, kind="stable")
        return Entries(self.voxels[order], self.classes[order], self.shares[order])

    def where_sum_exceeds(self, least: float) -> "Entries":
        """The entries, in ascending order of voxel, of voxels in which they sum to more than the least."""
        _, first, lengths = np.unique(self.voxels, return_index=True, return_counts=True)
        sums = np.add.reduceat(self.shares, first) if len(first) else self.shares
        kept = np.repeat(sums > least, lengths)
        return Entries(self.voxels[kept], self.classes[kept], self.shares[kept])

    def normalised(self) -> "Entries":
        """Entries in ascending order of voxel, made to sum to 1 in each."""
        _, first, lengths = np.unique(self.voxels, return_index=True, return_counts=True)
        sums = np.add.reduceat(self.shares, first) if len(first) else self.shares
        return Entries(self.voxels, self.classes, self.shares / np.repeat(sums, lengths))

    def posterior(self, alone: npt.NDArray[np.integer[Any]], label_values: tuple[int, ...]) -> Posterior:
        """The posterior that has these shares in their voxels, and one class alone elsewhere (x, y, z)."""
        order = np.lexsort((self.classes, self.voxels))
        voxels, lengths = np.unique(self.voxels, return_counts=True)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        classes, shares = self.classes[order].astype(np.int32), self.shares[order].astype(np.float32)
        return Posterior(label_values, alone, voxels, starts, classes, shares)


def _differ(candidates: LabelArray) -> npt.NDArray[np.bool_]:
    """Where not all candidates (atlas, voxel) show the same."""
    different = np.zeros(candidates.shape[1:], np.bool_)
    for candidate in candidates[1:]:
        different |= candidate != candidates[0]
    return different
