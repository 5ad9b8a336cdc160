"""From a target and its atlases to what a network sees, in training and in use."""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dlfbench.fusion.atlas_votes import AtlasVotes
from dlfbench.fusion.region import Box, candidate_box
from dlfbench.fusion.votes import class_indices
from dlfbench.images import Grid, LabelArray
from dlfbench.networks.augmentation import (
    Augmentation,
    change_contrast,
    draw_positions,
    part_around,
    patch_start,
    resample,
    white_noise,
)
from dlfbench.networks.cutting import Region, coordinate_maps, standardise
from dlfbench.networks.losses import shares_of
from dlfbench.volumes import AtlasSet, Target

Array = npt.NDArray[Any]
Triple = tuple[int, int, int]

_NEAR_VOX = 8  # what votes may depend on beyond the region
_ALIGNED = 64  # bytes


@dataclass(frozen=True)
class Geometry:
    """How much of an image is looked at.

    Attributes:
        margin_vox: Around the box of all candidates, along (x, y, z); None for the whole image.
        multiple: What the size must be a multiple of, along (x, y, z).
        least_vox: Least size of a region, along (x, y, z): that of training samples, so that networks see as much
            around a small structure in use as when they learned.
    """

    margin_vox: Triple | None
    multiple: Triple
    least_vox: Triple = (0, 0, 0)

    def region(self, shape: tuple[int, ...], candidates: LabelArray) -> Region:
        """Where to look in an image of this shape (x, y, z) with these candidates (atlas, x, y, z)."""
        if self.margin_vox is not None:
            return Region.of(candidate_box(candidates, self.margin_vox), self.multiple, self.least_vox)
        whole: Box = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
        return Region.of(whole, self.multiple, self.least_vox)


@dataclass(frozen=True)
class Sample:
    """A target and its atlases, if any, within the region of interest.

    Attributes:
        region: Where in the image; of a part of a sample, where all of that is.
        target: (modality, x, y, z), mean 0 and standard deviation 1 over the region's box, 0 in its padding.
        atlases: (atlas, modality, x, y, z), likewise each by itself.
        votes: Of each atlas for each label, before a network weighs them. The consensus is their mean over atlases.
        coordinates: (3, x, y, z).
        reference: Index of the label (x, y, z), -1 where nobody knows; in training only.
        undrawn: Indices of labels that nobody drew in the reference: its background may be any of them.
        spacing_mm: Of its own voxels along (x, y, z).
    """

    region: Region
    target: npt.NDArray[np.float32]
    atlases: npt.NDArray[np.float32]
    votes: AtlasVotes
    coordinates: npt.NDArray[np.float32]
    reference: npt.NDArray[np.int16] | None = None
    undrawn: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = (1.0, 1.0, 1.0)

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        reference = 0 if self.reference is None else self.reference.nbytes
        return self.target.nbytes + self.atlases.nbytes + self.votes.nbytes + self.coordinates.nbytes + reference

    def part(self, box: Box) -> "Sample":
        """What is in a box of the padded region, as it looks there."""
        here: tuple[Any, ...] = (..., *box)
        return replace(
            self,
            target=self.target[here],
            atlases=self.atlases[here],
            votes=self.votes.part(box),
            coordinates=self.coordinates[here],
            reference=None if self.reference is None else self.reference[box],
        )

    def on_disk(self, folder: Path) -> "Sample":
        """The same, but that arrays are in a file of a folder, and read as far as they are looked at."""
        reference: list[Array] = [] if self.reference is None else [self.reference]
        arrays: list[Array] = [self.target, self.atlases, self.coordinates, *reference, *self.votes.inside]
        target, atlases, coordinates, *others = _in_file(folder, arrays)
        votes = replace(self.votes, inside=tuple(others[len(reference) :]))
        known = others[0] if reference else None
        return replace(self, target=target, atlases=atlases, coordinates=coordinates, votes=votes, reference=known)


def _in_file(folder: Path, arrays: Sequence[Array]) -> list[Array]:
    """Arrays as parts of one file: of many files, more would be open than a process may have."""
    folder.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=folder)
    starts: list[int] = []
    try:
        with os.fdopen(number, "wb") as file:
            for array in arrays:
                file.write(bytes(-file.tell() % _ALIGNED))
                starts.append(file.tell())
                array.tofile(file)
        whole = np.memmap(name, np.uint8, "c")
    except BaseException:
        os.unlink(name)
        raise
    return [
        whole[start : start + array.nbytes].view(array.dtype).reshape(array.shape) if array.size else array
        for start, array in zip(starts, arrays, strict=True)
    ]


def make_sample(
    target: Target,
    atlases: AtlasSet,
    geometry: Geometry,
    reference: LabelArray | None = None,
    vote: Callable[[Target, AtlasSet], AtlasVotes] | None = None,
) -> Sample:
    """Cuts a target and its atlases to the region of interest and brings intensities to one scale.

    Args:
        target: The image.
        atlases: Warped onto it.
        geometry: How much is looked at.
        reference: Label map (x, y, z); in training.
        vote: Votes of atlases, asked for the region and what is near. Without it every atlas has one in each voxel:
            for its candidate segmentation's label.
    """
    region = geometry.region(target.images.shape[1:], atlases.labels)
    values = atlases.label_values
    if vote is None:
        votes = AtlasVotes.of_labels(atlases.labels[(..., *region.box)], values)
    else:
        votes = _votes_within(region.box, target, atlases, vote)
    return Sample(
        region,
        region.pad(standardise(region.cut(target.images))),
        region.pad(standardise(region.cut(atlases.images))),
        votes.padded(region.before, region.shape),
        coordinate_maps(region),
        None if reference is None else region.pad(region.cut(class_indices(reference, values)), -1),
        spacing_mm=target.grid.spacing_mm,
    )


def _votes_within(
    box: Box, target: Target, atlases: AtlasSet, vote: Callable[[Target, AtlasSet], AtlasVotes]
) -> AtlasVotes:
    """Votes in a box, from it and what is near."""
    shape = target.images.shape[1:]
    wide = tuple(
        slice(max(0, s.start - _NEAR_VOX), min(n, s.stop + _NEAR_VOX)) for s, n in zip(box, shape, strict=True)
    )
    near: tuple[Any, ...] = (..., *wide)
    grid = Grid.of(target.images[near].shape[1:], target.grid.affine)
    part = replace(target, images=target.images[near], grid=grid)
    some = replace(atlases, images=atlases.images[near], labels=atlases.labels[near], open=None)
    x, y, z = (slice(s.start - w.start, s.stop - w.start) for s, w in zip(box, wide, strict=True))
    return vote(part, some).part((x, y, z))


def without_atlases(target: Target, label_values: tuple[int, ...]) -> AtlasSet:
    """An empty set on the target's grid, for networks that see the image alone."""
    shape = target.images.shape
    return AtlasSet((), np.empty((0, *shape), np.float32), np.empty((0, *shape[1:]), np.int16), label_values)


class NetworkInput(NamedTuple):
    """What a network sees.

    Attributes:
        target: (batch, modality, x, y, z).
        atlases: (batch, atlas, modality, x, y, z).
        votes: Of each atlas for each label (batch, atlas, class, x, y, z), float32.
        coordinates: (batch, 3, x, y, z), -1 to 1 over the region.
        truth: Share of each label in each voxel (batch, class, x, y, z), 0 where nobody knows; empty where it must not
            be known.
        undrawn: Which labels nobody drew (batch, class), 0 or 1: what `truth` calls background may be any of them.
    """

    target: Tensor
    atlases: Tensor
    votes: Tensor
    coordinates: Tensor
    truth: Tensor
    undrawn: Tensor

    def to(self, device: torch.device | str) -> "NetworkInput":
        """The same on a device."""
        return NetworkInput(*(part.to(device) for part in self))


def to_tensors(sample: Sample, atlases: slice = slice(None)) -> NetworkInput:
    """A batch of one, with all atlases or some, without a reference."""
    arrays = (sample.target, sample.atlases[atlases], sample.votes.dense(atlases), sample.coordinates)
    target, images, votes, coordinates = (torch.from_numpy(np.ascontiguousarray(array))[None] for array in arrays)
    return NetworkInput(target, images, votes, coordinates, torch.empty(0), torch.zeros(1, sample.votes.shape[1]))


@dataclass(frozen=True)
class Draw:
    """How training samples are drawn.

    Attributes:
        augmentation: Random changes.
        patch_vox: Size along (x, y, z).
        targets: In one batch.
        atlases: Drawn with replacement; 0 for all.
        empty: Share of the patches that are around a voxel of the background; the others' is of the foreground.
    """

    augmentation: Augmentation
    patch_vox: Triple
    targets: int = 1
    atlases: int = 0
    empty: float = 0.0


def draw_batch(samples: list[Sample], draw: Draw, rng: np.random.Generator) -> NetworkInput:
    """One changed patch of each sample."""
    drawn = [_draw_one(sample, draw, rng) for sample in samples]
    return NetworkInput(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))


def _draw_one(sample: Sample, draw: Draw, rng: np.random.Generator) -> NetworkInput:
    """A patch: geometry alike for everything, contrast for every image by itself."""
    assert sample.reference is not None
    augmentation, (classes, *shape) = draw.augmentation, sample.votes.shape[1:]
    atlases = _draw_atlases(len(sample.atlases), draw.atlases, rng)
    centre = _centre(sample.reference, draw.empty, rng)
    # the patch's, not where its voxels came from: those would tell of which training case it is, and where in it
    start = patch_start(shape, draw.patch_vox, centre)
    coordinates = torch.from_numpy(coordinate_maps(sample.region, start, draw.patch_vox))
    positions = draw_positions(shape, draw.patch_vox, centre, augmentation, rng)
    box, within = part_around(positions, shape)
    near = _Near.of(sample, box, atlases)
    found = resample(near.volumes, within)
    if augmentation.mirror_axis is not None and rng.random() < 0.5:
        found = found.flip(1 + augmentation.mirror_axis)
    images, votes, truth = near.parted(found, classes)
    images = torch.stack([change_contrast(image, augmentation, rng) for image in images])
    images = _without_a_modality(images, len(sample.target), augmentation, rng)
    target, others = images[: len(sample.target)], images[len(sample.target) :]
    undrawn = torch.zeros(classes)
    undrawn[list(sample.undrawn)] = 1
    others = others.reshape(len(atlases), len(target), *draw.patch_vox)
    return NetworkInput(target, others, votes, coordinates, truth, undrawn)


def _draw_atlases(there: int, count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """So many atlases at random, with replacement: there may be fewer, and alike votes are met in training too."""
    return rng.integers(there, size=count) if count else np.arange(there)


@dataclass(frozen=True)
class _Near:
    """What a patch is made of: no more of the image than it is taken from, nor more classes than there are.

    Attributes:
        volumes: Images of target and atlases, votes, and the truth (channel, x, y, z).
        images: How many of these are images.
        atlases: How many there are.
        voted: Classes that atlases vote for.
        drawn: Classes that are there in truth.
    """

    volumes: Tensor
    images: int
    atlases: int
    voted: list[int]
    drawn: list[int]

    @classmethod
    def of(cls, sample: Sample, box: Box, atlases: npt.NDArray[np.intp]) -> "_Near":
        assert sample.reference is not None
        here: tuple[Any, ...] = (..., *box)
        images, (voted, votes) = sample.atlases[here][atlases], sample.votes.near(box, atlases)
        reference = torch.from_numpy(sample.reference[box])
        shape = tuple(reference.shape)
        drawn = [int(index) for index in reference.unique() if index >= 0]
        of_images = np.concatenate([sample.target[here], images.reshape(-1, *shape)])
        of_votes = torch.from_numpy(votes.reshape(-1, *shape))
        volumes = [torch.from_numpy(of_images), of_votes, shares_of(reference[None], drawn)[0]]
        return cls(torch.cat(volumes), len(of_images), len(atlases), voted, drawn)

    def parted(self, found: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images (modality of target and of each atlas), votes (atlas, class) and truth (class), of every class."""
        images, votes, truth = found.split([self.images, len(found) - self.images - len(self.drawn), len(self.drawn)])
        shape = found.shape[1:]
        of_votes, of_truth = torch.zeros(self.atlases, classes, *shape), torch.zeros(classes, *shape)
        of_votes[:, self.voted] = votes.reshape(self.atlases, len(self.voted), *shape)
        of_truth[self.drawn] = truth
        return images, of_votes, of_truth


def _centre(reference: npt.NDArray[np.int16], empty: float, rng: np.random.Generator) -> list[int]:
    """A random voxel of the foreground, or so often of the background."""
    wanted = np.flatnonzero(reference == 0 if rng.random() < empty else reference > 0)
    place = int(wanted[rng.integers(len(wanted))]) if len(wanted) else reference.size // 2
    return [int(i) for i in np.unravel_index(place, reference.shape)]


def _without_a_modality(
    images: Tensor, modalities: int, augmentation: Augmentation, rng: np.random.Generator
) -> Tensor:
    """Now and then one of several modalities becomes noise, in target and atlases alike (ModAug)."""
    if rng.random() >= augmentation.modaug or modalities == 1:
        return images
    gone = torch.arange(len(images)) % modalities == int(rng.integers(modalities))
    noise = white_noise(images.shape, rng)
    return torch.where(gone.view(-1, 1, 1, 1), noise, images)
