"""Votes of many atlases for many labels, in as much memory as the labels fill.

A label is voted for in a small part of an image; an array of atlases times labels times image would be zeros.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dlfbench.fusion.posterior import Entries
from dlfbench.fusion.region import Box
from dlfbench.images import LabelArray

Array = npt.NDArray[np.floating[Any]]
Atlases = slice | npt.NDArray[np.integer[Any]]

_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class AtlasVotes:
    """Votes of each atlas for each label; 0 but for a box around each label's votes.

    Attributes:
        shape: (atlas, class, x, y, z).
        boxes: Of each class, in voxels along (x, y, z); None where nobody votes for it.
        inside: The votes in each class's box (atlas, x, y, z).
    """

    shape: tuple[int, ...]
    boxes: tuple[Box | None, ...]
    inside: tuple[Array, ...]

    @classmethod
    def of(cls, votes: npt.NDArray[Any]) -> "AtlasVotes":
        """Of an array (atlas, class, x, y, z) of numbers, or of truth values, as float16."""
        boxes = tuple(_box_of((votes[:, index] != 0).any(axis=0)) for index in range(votes.shape[1]))
        return cls(votes.shape, boxes, tuple(_cut(votes[:, index], box) for index, box in enumerate(boxes)))

    @classmethod
    def of_labels(
        cls, labels: LabelArray, label_values: tuple[int, ...], weighed: Entries | None = None
    ) -> "AtlasVotes":
        """One vote of each atlas in each voxel, for its label, if any; but in some voxels weighed votes instead.

        Args:
            labels: Candidate segmentations (atlas, x, y, z).
            label_values: The declared labels: the class axis.
            weighed: All votes in their voxels; as class, atlas x classes + class.
        """
        many, classes, shape = len(labels), len(label_values), labels.shape[1:]
        instead = (weighed or Entries.none()).by_class(classes)
        touched = np.zeros(shape, np.bool_).ravel()
        touched[instead.voxels] = True
        starts = np.searchsorted(instead.classes % classes, np.arange(classes + 1))
        boxes: list[Box | None] = []
        inside: list[Array] = []
        for index, value in enumerate(label_values):
            mine = slice(starts[index], starts[index + 1])
            voxels, atlases = instead.voxels[mine], instead.classes[mine] // classes
            there = (labels == value).any(axis=0).ravel()
            there[touched] = False
            there[voxels] = True
            box = _box_of(there.reshape(shape))
            boxes.append(box)
            if box is None:
                inside.append(np.empty((many, 0, 0, 0), np.float16))
                continue
            part = (labels[(slice(None), *box)] == value).astype(np.float16)
            part[:, touched.reshape(shape)[box]] = 0
            places = np.array(np.unravel_index(voxels, shape)) - [[s.start] for s in box]
            part[(atlases, *places)] = instead.shares[mine].clip(-_LARGEST, _LARGEST)
            inside.append(part)
        return cls((many, classes, *shape), tuple(boxes), tuple(inside))

    def __len__(self) -> int:
        """How many atlases."""
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """What they take in memory."""
        return sum(part.nbytes for part in self.inside)

    def padded(self, before: Sequence[int], shape: Sequence[int]) -> "AtlasVotes":
        """The same in a larger volume, with so many voxels before along (x, y, z); nobody votes in the padding."""
        moved = tuple(box and _shifted(box, before) for box in self.boxes)
        return AtlasVotes((*self.shape[:2], *shape), moved, self.inside)

    def part(self, box: Box) -> "AtlasVotes":
        """The same in a box of the volume."""
        corner = [-s.start for s in box]
        shared = [mine and _shared(mine, box) for mine in self.boxes]
        inside = tuple(
            votes[(slice(None), *_shifted(here, [-s.start for s in mine]))] if mine and here else votes[:, :0, :0, :0]
            for mine, here, votes in zip(self.boxes, shared, self.inside, strict=True)
        )
        size = tuple(s.stop - s.start for s in box)
        return AtlasVotes((*self.shape[:2], *size), tuple(here and _shifted(here, corner) for here in shared), inside)

    def of_atlases(self, atlases: Atlases) -> "AtlasVotes":
        """Those of some atlases."""
        inside = tuple(part[atlases] for part in self.inside)
        return AtlasVotes((len(inside[0]), *self.shape[1:]), self.boxes, inside)

    def dense(self, atlases: Atlases = slice(None)) -> npt.NDArray[np.float32]:
        """Those of some atlases as an array (atlas, class, x, y, z): four bytes per atlas, class and voxel."""
        some = self.of_atlases(atlases)
        whole = np.zeros(some.shape, np.float32)
        for index, (box, part) in enumerate(zip(some.boxes, some.inside, strict=True)):
            if box is not None:
                whole[(slice(None), index, *box)] = part
        return whole

    def near(self, box: Box, atlases: Atlases) -> tuple[list[int], npt.NDArray[np.float32]]:
        """In a box, of some atlases: the classes that they vote for, and the votes (atlas, such class, x, y, z)."""
        size = tuple(s.stop - s.start for s in box)
        classes, found = [], []
        for index, (mine, part) in enumerate(zip(self.boxes, self.inside, strict=True)):
            shared = mine and _shared(mine, box)
            if not mine or not shared:
                continue
            some = part[(slice(None), *_shifted(shared, [-s.start for s in mine]))][atlases]
            if some.any():
                votes = np.zeros((len(some), *size), np.float32)
                votes[(slice(None), *_shifted(shared, [-s.start for s in box]))] = some
                classes.append(index)
                found.append(votes)
        none = np.zeros((len(np.arange(len(self))[atlases]), 0, *size), np.float32)
        return classes, np.stack(found, axis=1) if found else none

    def mean(self) -> npt.NDArray[np.float32]:
        """Over atlases (class, x, y, z)."""
        return self._over_classes(lambda part: part.mean(axis=0, dtype=np.float32), np.float32)

    def exceed(self, least: float) -> npt.NDArray[np.bool_]:
        """Where the vote of any atlas, or its negative, exceeds so much (class, x, y, z)."""
        return self._over_classes(lambda part: np.abs(part).max(axis=0, initial=0) > least, np.bool_)

    def _over_classes(self, summary: Callable[[Array], npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        whole = np.zeros(self.shape[1:], dtype)
        for index, (box, part) in enumerate(zip(self.boxes, self.inside, strict=True)):
            if box is not None:
                whole[(index, *box)] = summary(part)
        return whole


def _box_of(there: npt.NDArray[np.bool_]) -> Box | None:
    """Around what is there (x, y, z), if anything."""
    found = ndimage.find_objects(there.astype(np.int8))
    return found[0] if found else None


def _cut(votes: npt.NDArray[Any], box: Box | None) -> Array:
    kept = votes[(slice(None), *box)] if box else np.empty((len(votes), 0, 0, 0))
    return np.array(kept, dtype=np.float16 if votes.dtype == np.bool_ else votes.dtype)


def _shifted(box: Box, by: Sequence[int]) -> Box:
    x, y, z = (slice(s.start + n, s.stop + n) for s, n in zip(box, by, strict=True))
    return x, y, z


def _shared(one: Box, other: Box) -> Box | None:
    x, y, z = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return (x, y, z) if all(s.start < s.stop for s in (x, y, z)) else None
