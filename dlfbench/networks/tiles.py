"""Large images tile by tile: memory follows the tile, not the image times its labels. Loads fast."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from dlfbench.fusion.region import Box

HALVED = 16
"""A size that every network can halve as often as it has levels."""

_AROUND_VOX = 16  # of a tile, what is looked at besides; a multiple of the size above
# of one voxel, all that is alive at a time in evaluation
_BYTES_PER_FEATURE, _BYTES_PER_VOTE, _BYTES_PER_CLASS = 32, 16, 32


@dataclass(frozen=True)
class Room:
    """How much memory a segmentation may take.

    Attributes:
        memory_mb: The bound.
        features: Channels of the network at full resolution.
    """

    memory_mb: int
    features: int

    def atlases(self, shape: Sequence[int], classes: int) -> int:
        """For how many atlases at a time it suffices, on so many voxels along (x, y, z)."""
        each = prod(shape) * (self.features * _BYTES_PER_FEATURE + classes * _BYTES_PER_VOTE)
        return max(1, self.memory_mb * 2**20 // each)

    def voxels(self, classes: int) -> int:
        """For how many voxels at a time it suffices, if something of every class is told of each."""
        return self.memory_mb * 2**20 // (classes * _BYTES_PER_CLASS)


@dataclass(frozen=True)
class Tile:
    """A part of a volume.

    Attributes:
        seen: What is looked at, in the volume.
        told: What is told of, in the volume; with others', the whole.
    """

    seen: Box
    told: Box

    @property
    def inner(self) -> Box:
        """What is told of, in what is looked at."""
        x, y, z = (slice(t.start - s.start, t.stop - s.start) for s, t in zip(self.seen, self.told, strict=True))
        return x, y, z


def tiles(shape: Sequence[int], most_vox: int) -> Iterator[Tile]:
    """Cuts a volume (x, y, z) into tiles of so many voxels at most; one where it is no larger.

    What is looked at is a multiple of the size that networks halve, as far as the volume goes. A tile of that size and
    what is around it is the smallest.
    """
    sizes = list(shape)
    while prod(min(n, size + 2 * _AROUND_VOX) for n, size in zip(shape, sizes, strict=True)) > most_vox:
        longest = max(range(3), key=lambda axis: sizes[axis])
        if sizes[longest] <= HALVED:
            break
        sizes[longest] = (sizes[longest] - 1) // HALVED * HALVED
    sizes = [_even(n, size) for n, size in zip(shape, sizes, strict=True)]
    if sizes == list(shape):
        whole = _box((0, 0, 0), shape)
        yield Tile(whole, whole)
        return
    for corner in product(*(range(0, n, size) for n, size in zip(shape, sizes, strict=True))):
        end = [min(n, start + size) for n, start, size in zip(shape, corner, sizes, strict=True)]
        first = [max(0, start - _AROUND_VOX) for start in corner]
        last = [min(n, stop + _AROUND_VOX) for n, stop in zip(shape, end, strict=True)]
        yield Tile(_box(first, last), _box(corner, end))


def _even(whole: int, most: int) -> int:
    """A size of parts of a whole that are no larger than the largest allowed, and as alike as can be."""
    if most >= whole:
        return whole
    parts = -(-whole // most)
    return -(-whole // (parts * HALVED)) * HALVED


def _box(first: Sequence[int], last: Sequence[int]) -> Box:
    x, y, z = (slice(a, b) for a, b in zip(first, last, strict=True))
    return x, y, z
