"""From a target and its atlases to what the network sees, in training and in use."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dlfbench.dlf.model import DeepLabelFusion, FusionInput, scores_to_posterior
from dlfbench.fusion.region import candidate_box
from dlfbench.networks.augmentation import Augmentation, change_contrast, deform, white_noise
from dlfbench.networks.losses import supervised_loss
from dlfbench.networks.volumes import Region, coordinate_maps, standardise
from dlfbench.segmenters.interface import TrainingCase
from dlfbench.volumes import AtlasSet, Target

Array = npt.NDArray[Any]
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Geometry:
    """How much of an image is looked at.

    Attributes:
        margin_vox: Around the box of all candidates, along (x, y, z).
        multiple: What the size must be a multiple of, along (x, y, z).
        patch_vox: Largest size of a training sample, along (x, y, z).
    """

    margin_vox: Triple
    multiple: Triple
    patch_vox: Triple


@dataclass(frozen=True)
class Sample:
    """A target and its atlases within the region of interest.

    Attributes:
        region: Where in the image.
        target: (modality, x, y, z), mean 0 and standard deviation 1 over the region.
        atlases: (atlas, modality, x, y, z), likewise each by itself.
        classes: Index of each candidate's label (atlas, x, y, z), int16.
        coordinates: (3, x, y, z).
        reference: Index of the label (x, y, z); in training only.
    """

    region: Region
    target: npt.NDArray[np.float32]
    atlases: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int16]
    coordinates: npt.NDArray[np.float32]
    reference: npt.NDArray[np.int16] | None = None


def make_sample(target: Target, atlases: AtlasSet, geometry: Geometry, reference: Array | None = None) -> Sample:
    """Cuts a target and its atlases to the box around all candidates and brings intensities to one scale."""
    region = Region.of(candidate_box(atlases.labels, geometry.margin_vox), geometry.multiple)

    def classes(labels: Array) -> npt.NDArray[np.int16]:
        return region.cut(np.searchsorted(atlases.label_values, labels).astype(np.int16))

    return Sample(
        region,
        standardise(region.cut(target.images)),
        standardise(region.cut(atlases.images)),
        classes(atlases.labels),
        coordinate_maps(region),
        None if reference is None else classes(reference),
    )


class TrainingSample(NamedTuple):
    """Tensors of one training sample: as `FusionInput`, and the reference (batch, x, y, z)."""

    target: Tensor
    atlases: Tensor
    classes: Tensor
    coordinates: Tensor
    reference: Tensor


@dataclass(frozen=True)
class FusionProblem:
    """Deep label fusion as something to learn; see `dlfbench.networks.training.Problem`.

    Attributes:
        cases: Training cases, each with atlases of other people.
        validation: Cases whose Dice is watched.
        geometry: What is cut out.
        augmentation: How samples are changed.
        atlases: Of one sample, drawn with replacement.
        memory_mb: Of samples that are kept; others are read again when drawn.
    """

    cases: Sequence[TrainingCase]
    validation: Sequence[TrainingCase]
    geometry: Geometry
    augmentation: Augmentation
    atlases: int
    memory_mb: int

    def __post_init__(self) -> None:
        first = read_sample(self.cases[0], self.geometry)
        size_mb = (first.atlases.nbytes + first.classes.nbytes) / 2**20
        kept = lru_cache(maxsize=max(1, int(self.memory_mb / size_mb)))(lambda case: read_sample(case, self.geometry))
        object.__setattr__(self, "_read", kept)

    def draw(self, rng: np.random.Generator) -> TrainingSample:
        """A training case with some atlases, changed at random."""
        case = self.cases[rng.integers(len(self.cases))]
        sample: Sample = self._read(case)  # type: ignore[attr-defined]
        chosen = rng.integers(len(sample.atlases), size=self.atlases)
        sample = replace(sample, atlases=sample.atlases[chosen], classes=sample.classes[chosen])
        return to_tensors(augment(cut_patch(sample, self.geometry, rng), self.augmentation, rng))

    def loss(self, model: nn.Module, sample: TrainingSample) -> Tensor:
        return supervised_loss(model(FusionInput(*sample[:4])), sample.reference)

    def validate(self, model: nn.Module) -> float:
        assert isinstance(model, DeepLabelFusion)
        return float(np.mean([self._dice(model, case) for case in self.validation]))

    def _dice(self, model: DeepLabelFusion, case: TrainingCase) -> float:
        sample: Sample = self._read(case)  # type: ignore[attr-defined]
        assert sample.reference is not None
        found = predict(model, sample, atlases_at_a_time=4).argmax(axis=0)
        reference = sample.region.inner(sample.reference)
        shared = [
            (2 * ((found == k) & (reference == k)).sum(), (found == k).sum() + (reference == k).sum())
            for k in range(1, model.classes)
        ]
        return float(np.mean([both / total for both, total in shared if total]))


def read_sample(case: TrainingCase, geometry: Geometry) -> Sample:
    """Reads a training case, its atlases and its reference."""
    return make_sample(case.read_target(), case.read_atlases(), geometry, case.read_reference())


def cut_patch(sample: Sample, geometry: Geometry, rng: np.random.Generator) -> Sample:
    """A patch around a random foreground voxel, where the region is larger than a patch."""
    assert sample.reference is not None
    shape = np.array(sample.reference.shape)
    size = np.minimum(shape, geometry.patch_vox)
    if (size == shape).all():
        return sample
    foreground = np.argwhere(sample.reference)
    centre = foreground[rng.integers(len(foreground))] if len(foreground) else shape // 2
    start = np.clip(centre - size // 2, 0, shape - size)
    x, y, z = (slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))
    here = (..., x, y, z)
    return Sample(
        sample.region,
        sample.target[here],
        sample.atlases[here],
        sample.classes[here],
        sample.coordinates[here],
        sample.reference[here],
    )


def augment(sample: Sample, augmentation: Augmentation, rng: np.random.Generator) -> Sample:
    """Geometry alike for everything, contrast for every image by itself."""
    many, modalities = sample.atlases.shape[:2]
    assert sample.reference is not None
    images = np.concatenate([sample.target, sample.atlases.reshape(-1, *sample.target.shape[1:])])
    coordinates = len(images)
    images, labels = deform(
        np.concatenate([images, sample.coordinates]),
        np.concatenate([sample.classes, sample.reference[None]]),
        augmentation,
        rng,
    )
    changed = change_contrast(images[:coordinates], augmentation, rng)
    if rng.random() < augmentation.modaug:
        gone = np.arange(coordinates) % modalities == rng.integers(modalities)
        changed[gone] = white_noise(changed[gone].shape, rng)
    target, atlases = changed[:modalities], changed[modalities:].reshape(sample.atlases.shape)
    return Sample(sample.region, target, atlases, labels[:many], images[coordinates:], labels[many])


def to_tensors(sample: Sample) -> TrainingSample:
    """A batch of one."""
    assert sample.reference is not None
    arrays = sample.target, sample.atlases, sample.classes.astype(np.int64), sample.coordinates
    tensors = [torch.from_numpy(np.ascontiguousarray(array))[None] for array in arrays]
    return TrainingSample(*tensors, torch.from_numpy(sample.reference.astype(np.int64))[None])


def predict(model: DeepLabelFusion, sample: Sample, *, atlases_at_a_time: int) -> npt.NDArray[np.float32]:
    """Posterior (class, x, y, z) within the sample's box, from all of its atlases.

    However many atlases are taken at a time, the result is the same: a vote's weight depends on no other atlas.
    """
    device = next(model.parameters()).device
    fixed = [torch.from_numpy(array)[None].to(device) for array in (sample.target, sample.coordinates)]
    classes = torch.from_numpy(sample.classes.astype(np.int64))[None]
    consensus = torch.zeros((1, model.classes, *sample.target.shape[1:]), device=device)
    for start in range(0, len(sample.atlases), atlases_at_a_time):
        some = slice(start, start + atlases_at_a_time)
        images = torch.from_numpy(np.ascontiguousarray(sample.atlases[some]))[None].to(device)
        consensus += model.vote(FusionInput(fixed[0], images, classes[:, some].to(device), fixed[1]))
    consensus /= len(sample.atlases)
    seen = FusionInput(fixed[0], fixed[0][:, None], classes.to(device), fixed[1])
    posterior = scores_to_posterior(model.refine(consensus, seen)[0])[0].cpu().numpy()
    return sample.region.inner(posterior)
