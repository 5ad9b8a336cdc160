"""From a target and its atlases to what a network sees, in training and in use."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dlfbench.fusion.region import Box, candidate_box
from dlfbench.fusion.votes import class_indices
from dlfbench.images import LabelArray
from dlfbench.networks.augmentation import Augmentation, change_contrast, deform, white_noise
from dlfbench.networks.volumes import Region, coordinate_maps, standardise
from dlfbench.volumes import AtlasSet, Target

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Geometry:
    """How much of an image is looked at.

    Attributes:
        margin_vox: Around the box of all candidates, along (x, y, z); None for the whole image.
        multiple: What the size must be a multiple of, along (x, y, z).
        patch_vox: Largest size of a training sample, along (x, y, z).
    """

    margin_vox: Triple | None
    multiple: Triple
    patch_vox: Triple

    def region(self, shape: tuple[int, ...], candidates: LabelArray) -> Region:
        """Where to look in an image of this shape (x, y, z) with these candidates (atlas, x, y, z)."""
        if self.margin_vox is not None:
            return Region.of(candidate_box(candidates, self.margin_vox), self.multiple)
        whole: Box = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
        return Region.of(whole, self.multiple)


@dataclass(frozen=True)
class Sample:
    """A target and its atlases, if any, within the region of interest.

    Attributes:
        region: Where in the image.
        target: (modality, x, y, z), mean 0 and standard deviation 1 over the region.
        atlases: (atlas, modality, x, y, z), likewise each by itself.
        classes: Index of each candidate's label (atlas, x, y, z), int16; -1 where it has no vote.
        coordinates: (3, x, y, z).
        reference: Index of the label (x, y, z); in training only.
    """

    region: Region
    target: npt.NDArray[np.float32]
    atlases: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int16]
    coordinates: npt.NDArray[np.float32]
    reference: npt.NDArray[np.int16] | None = None


def make_sample(target: Target, atlases: AtlasSet, geometry: Geometry, reference: LabelArray | None = None) -> Sample:
    """Cuts a target and its atlases to the region of interest and brings intensities to one scale."""
    region = geometry.region(target.images.shape[1:], atlases.labels)

    def classes(labels: LabelArray) -> npt.NDArray[np.int16]:
        return region.cut(class_indices(labels, atlases.label_values))

    return Sample(
        region,
        standardise(region.cut(target.images)),
        standardise(region.cut(atlases.images)),
        classes(atlases.labels),
        coordinate_maps(region),
        None if reference is None else classes(reference),
    )


def without_atlases(target: Target, label_values: tuple[int, ...]) -> AtlasSet:
    """An empty set on the target's grid, for networks that see the image alone."""
    shape = target.images.shape
    return AtlasSet((), np.empty((0, *shape), np.float32), np.empty((0, *shape[1:]), np.int16), label_values)


class Seen(NamedTuple):
    """What a network sees.

    Attributes:
        target: (batch, modality, x, y, z).
        atlases: (batch, atlas, modality, x, y, z).
        classes: Index of each candidate's label (batch, atlas, x, y, z); -1 where it has no vote.
        coordinates: (batch, 3, x, y, z), -1 to 1 over the region.
        reference: Index of the label (batch, x, y, z); empty where it must not be known.
    """

    target: Tensor
    atlases: Tensor
    classes: Tensor
    coordinates: Tensor
    reference: Tensor

    def to(self, device: torch.device | str) -> "Seen":
        """The same on a device."""
        return Seen(*(part.to(device) for part in self))


def to_tensors(sample: Sample, atlases: slice = slice(None)) -> Seen:
    """A batch of one, with all atlases or some."""
    reference = np.empty((0,)) if sample.reference is None else sample.reference
    images = (sample.target, sample.atlases[atlases])
    arrays = (*images, sample.classes[atlases].astype(np.int64), sample.coordinates, reference.astype(np.int64))
    return Seen(*(torch.from_numpy(np.ascontiguousarray(array))[None] for array in arrays))


def draw_atlases(sample: Sample, count: int, rng: np.random.Generator) -> Sample:
    """So many atlases at random, with replacement: there may be fewer, and alike votes are met in training too."""
    if not count:
        return sample
    chosen = rng.integers(len(sample.atlases), size=count)
    return replace(sample, atlases=sample.atlases[chosen], classes=sample.classes[chosen])


def cut_patch(sample: Sample, size_vox: Triple, rng: np.random.Generator) -> Sample:
    """A patch around a random foreground voxel, where the region is larger than a patch."""
    assert sample.reference is not None
    shape = np.array(sample.reference.shape)
    size = np.minimum(shape, size_vox)
    if (size == shape).all():
        return sample
    foreground = np.argwhere(sample.reference)
    centre = foreground[rng.integers(len(foreground))] if len(foreground) else shape // 2
    start = np.clip(centre - size // 2, 0, shape - size)
    x, y, z = (slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))
    here = (..., x, y, z)
    cut = {name: getattr(sample, name)[here] for name in ("target", "atlases", "classes", "coordinates", "reference")}
    return replace(sample, **cut)


def augment(sample: Sample, augmentation: Augmentation, rng: np.random.Generator) -> Sample:
    """Geometry alike for everything, contrast for every image by itself."""
    assert sample.reference is not None
    many, shape = len(sample.atlases), sample.target.shape
    images = np.concatenate([sample.target, sample.atlases.reshape(-1, *shape[1:])])
    turned, labels = deform(
        np.concatenate([images, sample.coordinates]),
        np.concatenate([sample.classes, sample.reference[None]]),
        augmentation,
        rng,
    )
    images, coordinates = turned[: len(images)], turned[len(images) :]
    images = _without_a_modality(change_contrast(images, augmentation, rng), shape[0], augmentation, rng)
    target, atlases = images[: shape[0]], images[shape[0] :].reshape(sample.atlases.shape)
    return Sample(sample.region, target, atlases, labels[:many], coordinates, labels[many])


def _without_a_modality(
    images: npt.NDArray[np.float32], modalities: int, augmentation: Augmentation, rng: np.random.Generator
) -> npt.NDArray[Any]:
    """Now and then one modality becomes noise, in target and atlases alike (ModAug)."""
    if rng.random() < augmentation.modaug:
        gone = np.arange(len(images)) % modalities == rng.integers(modalities)
        images[gone] = white_noise(images[gone].shape, rng)
    return images
