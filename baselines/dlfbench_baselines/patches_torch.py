"""The backend for GPUs, in PyTorch; runs on a CPU as well, which its tests do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import max_pool3d

from dlfbench.fusion.region import Radius, offsets
from dlfbench_baselines.patches import SD_FLOOR, PatchProblem, WeightRule, tie_margin


@dataclass(frozen=True)
class _OnDevice:
    """The arrays of a problem on a device; `voxels` are flat indices of the voxels to solve."""

    problem: PatchProblem
    target: Tensor
    atlases: Tensor
    classes: Tensor
    inside: Tensor
    voxels: Tensor

    @classmethod
    def of(cls, problem: PatchProblem, device: str) -> "_OnDevice":
        arrays = problem.target, problem.atlases, problem.classes, problem.inside, np.flatnonzero(problem.solve)
        return cls(problem, *(torch.as_tensor(array, device=device) for array in arrays))

    def steps(self, radius: Radius) -> Tensor:
        return torch.as_tensor(self.problem.steps(radius), device=self.target.device)


def solve(
    problem: PatchProblem, rule: WeightRule, *, device: str, memory_mb: int = 512
) -> npt.NDArray[np.floating[Any]]:
    """Solves every voxel and sums the votes.

    Args:
        problem: The problem.
        rule: How differences become weights.
        device: Of the computation.
        memory_mb: Bound on intermediate arrays.

    Returns:
        Sums of weights (class, x, y, z) on the padded box, of the classes that are there (`problem.present`).
    """
    here, classes = _OnDevice.of(problem, device), len(problem.present)
    votes = torch.zeros((classes, here.inside.numel()), dtype=here.target.dtype, device=device)
    winners = search(here)
    for voxels, found in _chunks(here, winners, memory_mb):
        _vote(here, votes, voxels, found, weights(differences(here, voxels, found), rule))
    sums: npt.NDArray[np.floating[Any]] = votes.reshape(classes, *problem.shape).cpu().numpy()
    return sums


def search(here: _OnDevice) -> Tensor:
    """The best offset of each voxel and atlas: the highest normalised correlation, the first in ties.

    Only patches whose middle is in the image are looked at. Box filters make the cost independent of the patch radius.

    Returns:
        (voxel, atlas), indices into `offsets(search)`.
    """
    reach, patch = here.problem.search, here.problem.patch
    n = int(np.prod([2 * r + 1 for r in patch]))
    inner = [size - 2 * s for size, s in zip(here.problem.shape, reach, strict=True)]
    target = here.target[_window(reach, inner)]
    (mean_t, inverse_t), (mean_a, inverse_a) = (_moments(volume, patch, n) for volume in (target, here.atlases))
    inverse_t = inverse_t * _varies(target, patch)
    where, steps, inside = _inner_index(here), here.steps(reach), here.inside.flatten()
    best = torch.full((len(here.atlases), len(where)), -torch.inf, dtype=target.dtype, device=target.device)
    winner = torch.zeros_like(best, dtype=torch.int16)
    for index, offset in enumerate(offsets(reach)):
        start = [s + o for s, o in zip(reach, offset, strict=True)]
        products = box_sum(target * here.atlases[_window(start, inner)], patch)
        shifted = _window(start, list(products.shape[-3:]))
        # the sum over the patch of t * a, both normalised
        agreement = (products - n * mean_t * mean_a[shifted]) * inverse_a[shifted] * inverse_t
        found = agreement.sum(dim=1).flatten(1)[:, where]
        better = (found > best + tie_margin(here.problem)) & inside[here.voxels + steps[index]]
        best = torch.where(better, found, best)
        winner[better] = index
    return winner.T.long()


def box_sum(volume: Tensor, radius: Radius) -> Tensor:
    """Sum over the box around each voxel, for those whose box is whole: each axis gets shorter by twice the radius."""
    for axis, r in zip((-3, -2, -1), radius, strict=True):
        size = volume.shape[axis] - 2 * r
        volume = torch.stack([volume.narrow(axis, step, size) for step in range(2 * r + 1)]).sum(dim=0)
    return volume


def differences(here: _OnDevice, voxels: Tensor, winners: Tensor) -> Tensor:
    """Absolute differences between the target's patch and each atlas's best one, both normalised.

    Args:
        here: The problem.
        voxels: Flat index of some voxels (voxel).
        winners: Their best offsets (voxel, atlas).

    Returns:
        (voxel, atlas, modality x n).
    """
    around = here.steps(here.problem.patch)
    target = here.target.flatten(1)[:, voxels[:, None] + around].movedim(0, 1)
    found = _positions(here, voxels, winners)[..., None] + around
    atlases = here.atlases.flatten(2).movedim(0, 1)
    which = torch.arange(atlases.shape[1], device=voxels.device)[None, :, None]
    patches = torch.stack([channel[which, found] for channel in atlases], dim=2)
    level, flat = ((part == part[..., :1]).all(dim=-1, keepdim=True) for part in (target[:, None], patches))
    wanted = _normalised(target)[:, None].masked_fill(level, 0)
    return (wanted - _normalised(patches).masked_fill(level & flat, 0)).abs().flatten(2)


def weights(differences: Tensor, rule: WeightRule) -> Tensor:
    """Weights (voxel, atlas), summing to 1 over atlases, from differences (voxel, atlas, n)."""
    if rule.kind != "joint":
        error = differences.square().mean(dim=2)
        inverse = rule.kind == "inverse"
        return torch.softmax(-rule.beta * error.clamp_min(1e-6).log() if inverse else -error / rule.beta**2, dim=1)
    n = differences.shape[2]
    together = differences @ differences.transpose(1, 2) / max(n - 1, 1)
    matrix = together.pow(rule.beta) + rule.alpha * torch.eye(together.shape[1]).to(together)
    raw = torch.linalg.solve(matrix, torch.ones_like(matrix[..., :1]))[..., 0]
    raw = raw / raw.sum(dim=1, keepdim=True)
    if rule.non_negative:
        raw = raw.clamp_min(0)
    return raw / raw.sum(dim=1, keepdim=True)


def _vote(here: _OnDevice, votes: Tensor, voxels: Tensor, winners: Tensor, weight: Tensor) -> None:
    """Adds votes: each atlas votes, around each voxel, for what it shows around its position."""
    steps = here.steps(here.problem.voting)
    found = _positions(here, voxels, winners)[..., None] + steps
    which = torch.arange(len(here.classes), device=voxels.device)[None, :, None]
    shown = here.classes.flatten(1)[which, found]
    for label in range(len(votes)):
        sums = ((shown == label) * weight[..., None]).sum(dim=1)
        for step, vote in zip(steps.tolist(), sums.T, strict=True):
            # within one step no two voxels share a place, so that plain indexing adds rightly
            votes[label, voxels + step] += vote


def _chunks(here: _OnDevice, winners: Tensor, memory_mb: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Voxels and their winners, few enough at a time for patches, indices and differences to fit."""
    values = here.atlases.shape[0] * here.atlases.shape[1] * len(here.problem.steps(here.problem.patch))
    size = max(1, memory_mb * 2**20 // (values * (3 * here.target.element_size() + 12)))
    return zip(here.voxels.split(size), winners.split(size), strict=True)


def _window(start: Any, size: list[int]) -> Any:
    """Index of a box along the last three axes."""
    return (..., *(slice(a, a + n) for a, n in zip(start, size, strict=True)))


def _inner_index(here: _OnDevice) -> Tensor:
    """Flat index of the voxels to solve within the box less patch and search radius on each side."""
    _, ny, nz = here.problem.shape
    mx, my, mz = (p + s for p, s in zip(here.problem.patch, here.problem.search, strict=True))
    x, y, z = here.voxels // (ny * nz), here.voxels // nz % ny, here.voxels % nz
    return ((x - mx) * (ny - 2 * my) + (y - my)) * (nz - 2 * mz) + (z - mz)


def _moments(volume: Tensor, radius: Radius, n: int) -> tuple[Tensor, Tensor]:
    """Mean, and one over the floored standard deviation, of every whole patch."""
    mean = box_sum(volume, radius) / n
    variance = (box_sum(volume * volume, radius) - n * mean * mean) / max(n - 1, 1)
    return mean, variance.clamp_min(0).sqrt().clamp_min(SD_FLOOR).reciprocal()


def _varies(volume: Tensor, radius: Radius) -> Tensor:
    """Whether every whole patch has more than one value."""
    highest, lowest = (sign * max_pool3d(sign * volume, [2 * r + 1 for r in radius], stride=1) for sign in (1, -1))
    return highest > lowest


def _normalised(patches: Tensor) -> Tensor:
    """Patches (..., n) with mean 0 and standard deviation 1, floored."""
    centred = patches - patches.mean(dim=-1, keepdim=True)
    sd = (centred.square().sum(dim=-1, keepdim=True) / max(patches.shape[-1] - 1, 1)).sqrt()
    return centred / sd.clamp_min(SD_FLOOR)


def _positions(here: _OnDevice, voxels: Tensor, winners: Tensor) -> Tensor:
    """Flat index of each atlas's best position (voxel, atlas)."""
    return voxels[:, None] + here.steps(here.problem.search)[winners]
