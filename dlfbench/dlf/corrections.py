"""Corrections of the vote, voxel by voxel, where labels are in dispute: what corrective learning does, as a network.

Registration and voting err in the same way again and again. A small network learns how, from the votes of leave-one-out
atlases on the training cases: it sees the patch of the image and of the vote around a voxel, and where the voxel lies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from dlfbench.fusion.region import grow
from dlfbench.networks.samples import Sample
from dlfbench.segmenters.interface import TrainingCase

RADIUS = 2
_WIDTH, _DROPPED = 128, 0.5
_NEAR = (1, 1, 1)
LEAST_SHARE = 0.01
_PLACE_MM = 10.0
_NOISE, _GAIN = 0.2, 0.15
_CASES, _VOXELS = 4, 256  # of a training step
_AT_A_TIME = 8192


class Seen(NamedTuple):
    """What the network sees of some voxels.

    Attributes:
        places: From the middle of the foreground, in cm (voxel, 3).
        images: Patches (voxel, modality x patch).
        votes: Patches of every label but the background (voxel, label x patch).
        vote: Logarithm of the shares (voxel, class).
        truth: Share of each label (voxel, class); 0 where nobody knows.
    """

    places: Tensor
    images: Tensor
    votes: Tensor
    vote: Tensor
    truth: Tensor


class Corrections(nn.Module):
    """What is added to the vote's log odds: nothing at the start of training.

    Args:
        modalities: Image channels.
        classes: Labels, background included.
    """

    def __init__(self, modalities: int, classes: int) -> None:
        super().__init__()
        patch = (2 * RADIUS + 1) ** 3
        self.layers = nn.Sequential(
            *_layer(3 + classes + (modalities + classes - 1) * patch),
            *_layer(_WIDTH),
            nn.Linear(_WIDTH, classes),
        )
        for parameter in self.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, seen: Seen) -> Tensor:
        """Corrections (voxel, class)."""
        found: Tensor = self.layers(torch.cat([seen.places, seen.vote, seen.images, seen.votes], dim=1))
        return found

    def predict(self, disputed: "Disputed", mirror_axis: int | None) -> Tensor:
        """Corrections (class, x, y, z) of a whole sample, 0 where nothing is in dispute.

        Args:
            disputed: The sample's voxels.
            mirror_axis: Where left and right may be exchanged: the mean of both.
        """
        device = next(self.parameters()).device
        found = torch.zeros((disputed.votes.shape[0], *disputed.shape), device=device)
        for start in range(0, len(disputed.voxels), _AT_A_TIME):
            chosen = np.arange(start, min(start + _AT_A_TIME, len(disputed.voxels)))
            axes = [None] if mirror_axis is None else [None, mirror_axis]
            looks = [self(Seen(*(part.to(device) for part in disputed.look(chosen, axis)))) for axis in axes]
            x, y, z = torch.from_numpy(disputed.voxels[chosen]).to(device).T
            found[:, x, y, z] = torch.stack(looks).mean(dim=0).T
        return found


@dataclass(frozen=True)
class Disputed:
    """A sample's voxels where more than one label is in question: within a voxel of the border of what wins the vote.

    Attributes:
        images: (modality, x, y, z), mean 0 and standard deviation 1 near the foreground, with room for patches.
        votes: Shares (class, x, y, z), with room for patches.
        voxels: Index of each (voxel, 3), without that room.
        places: From the middle of the foreground, in cm (voxel, 3).
        reference: Index of each voxel's label; -1 where nobody knows; empty where it must not be known.
    """

    images: npt.NDArray[np.float32]
    votes: npt.NDArray[np.float32]
    voxels: npt.NDArray[np.int64]
    places: npt.NDArray[np.float32]
    reference: npt.NDArray[np.int16]

    @classmethod
    def of(cls, sample: Sample, spacing_mm: Sequence[float]) -> "Disputed":
        """Of a sample whose votes are one: the consensus."""
        (votes,) = sample.votes
        winners = votes.argmax(axis=0)
        near = grow(winners != 0, _NEAR)
        in_question = np.stack([grow(winners == label, _NEAR) for label in range(len(votes))])
        voxels = np.argwhere(near & (in_question.sum(axis=0) > 1))
        middle = np.argwhere(winners != 0).mean(axis=0) if winners.any() else np.zeros(3)
        places = (voxels - middle) * np.asarray(spacing_mm) / _PLACE_MM
        reference = np.empty(0, np.int16) if sample.reference is None else sample.reference[tuple(voxels.T)]
        images = _padded(_standard(sample.target, near))
        return cls(images, _padded(votes), voxels, places.astype(np.float32), reference)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the sample."""
        x, y, z = (n - 2 * RADIUS for n in self.votes.shape[1:])
        return x, y, z

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.images.nbytes + self.votes.nbytes + self.voxels.nbytes + self.places.nbytes

    def look(self, chosen: npt.NDArray[np.int64], mirror_axis: int | None = None) -> Seen:
        """Some of the voxels, given by their number, as the network sees them; mirrored along an axis or not."""
        shape = self.votes.shape[1:]
        turn = np.where(np.arange(3) == mirror_axis, -1, 1)
        steps = np.stack(np.meshgrid(*[np.arange(-RADIUS, RADIUS + 1)] * 3, indexing="ij")).reshape(3, -1).T * turn
        strides = np.array([shape[1] * shape[2], shape[2], 1])
        middle = (self.voxels[chosen] + RADIUS) @ strides
        around = middle[:, None] + steps @ strides
        images, votes = self.images.reshape(len(self.images), -1), self.votes.reshape(len(self.votes), -1)

        def patches(volumes: npt.NDArray[np.float32]) -> Tensor:
            return torch.from_numpy(np.concatenate([volume[around] for volume in volumes], axis=1))

        shares = torch.from_numpy(np.ascontiguousarray(votes[:, middle].T))
        places = torch.from_numpy(self.places[chosen] * turn.astype(np.float32))
        vote = shares.clamp_min(LEAST_SHARE).log()
        return Seen(places, patches(images), patches(votes[1:]), vote, self._truth(chosen))

    def _truth(self, chosen: npt.NDArray[np.int64]) -> Tensor:
        if not len(self.reference):
            return torch.empty(0)
        labels = torch.from_numpy(self.reference[chosen].astype(np.int64))
        return (labels[:, None] == torch.arange(len(self.votes))).float()


class CorrectionProblem:
    """Corrections as something to learn; see `dlfbench.networks.training.Problem`.

    Args:
        cases: To learn from.
        read: Reads a case's disputed voxels.
        mirror_axis: Axis along which half of the samples are mirrored; None for none.
    """

    def __init__(
        self, cases: Sequence[TrainingCase], read: Callable[[TrainingCase], Disputed], mirror_axis: int | None
    ) -> None:
        self.cases, self.read, self.mirror_axis = cases, read, mirror_axis

    def draw(self, rng: np.random.Generator) -> Seen:
        """Some voxels of some cases, as another scanner might have shown them."""
        found: list[Seen] = []
        for index in rng.integers(len(self.cases), size=_CASES):
            disputed = self.read(self.cases[int(index)])
            if len(disputed.voxels):
                axis = self.mirror_axis if rng.random() < 0.5 else None
                found.append(disputed.look(rng.integers(len(disputed.voxels), size=_VOXELS), axis))
        seen = Seen(*(torch.cat(parts) for parts in zip(*found, strict=True))) if found else self.draw(rng)
        return seen._replace(images=_changed(seen.images, rng))

    def loss(self, model: nn.Module, seen: Seen) -> Tensor:
        """Cross-entropy of the corrected vote, over the voxels of which something is known."""
        said = functional.log_softmax(seen.vote + model(seen), dim=1)
        return -(seen.truth * said).sum() / seen.truth.sum().clamp_min(1)

    def validate(self, model: nn.Module) -> float:
        """Nothing is kept aside."""
        return float("nan")


def _layer(inputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, _WIDTH), nn.ReLU(), nn.Dropout(_DROPPED)]


def _changed(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Patches with another brightness, another contrast, and noise."""

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))

    many = len(images)
    return images * (1 + _GAIN * normal(many, 1)) + _GAIN * normal(many, 1) + _NOISE * normal(*images.shape)


def _padded(volumes: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.pad(volumes, [(0, 0)] + [(RADIUS, RADIUS)] * 3, mode="edge").astype(np.float32)


def _standard(images: npt.NDArray[np.float32], near: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Every modality with mean 0 and standard deviation 1 over some voxels; over all where there are none."""
    values = images[:, near if near.any() else np.ones_like(near)].astype(np.float64)
    mean, sd = (moment.reshape(-1, 1, 1, 1) for moment in (values.mean(axis=1), values.std(axis=1)))
    return ((images - mean) / np.where(sd > 0, sd, 1)).astype(np.float32)
