"""Local patch search, shared by SVWV and JLF: for each voxel and atlas, the atlas patch most like the target's.

Patches are boxes of a given radius. Intensities beyond the image are those of its nearest voxel. A patch is normalised
to mean 0 and standard deviation 1 (with n - 1), each modality by itself, so that no modality outweighs another by its
scale; the standard deviation is floored at a millionth of the whole image's.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dlfbench.fusion.region import Radius
from dlfbench.images import LabelArray

_FLOOR = 1e-6


@dataclass(frozen=True)
class PatchProblem:
    """A target and its atlases, cut to what the voxels to solve can see, on a device.

    Attributes:
        target: (modality, x, y, z), padded by patch and search radius on each side of the solved box.
        atlases: (atlas, modality, x, y, z), likewise.
        classes: Class index of each atlas voxel (atlas, x, y, z), likewise.
        inside: Which voxels of the padded box are in the image (x, y, z).
        voxels: Flat index into the padded box of each voxel to solve (voxel).
        patch: Patch radius.
        search: Search radius.
    """

    target: Tensor
    atlases: Tensor
    classes: Tensor
    inside: Tensor
    voxels: Tensor
    patch: Radius
    search: Radius

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the padded box."""
        x, y, z = self.target.shape[1:]
        return x, y, z

    def flat_offsets(self, radius: Radius) -> Tensor:
        """Steps in flat index to each voxel of a box of that radius, in the order in which the search visits them."""
        _, ny, nz = self.shape
        steps = [(i * ny + j) * nz + k for i, j, k in offsets(radius)]
        return torch.tensor(steps, device=self.target.device)


def offsets(radius: Radius) -> list[tuple[int, int, int]]:
    """Every offset within a radius, x slowest."""
    return list(product(*(range(-r, r + 1) for r in radius)))


def make_problem(
    target: npt.NDArray[np.float32],
    atlases: npt.NDArray[np.float32],
    classes: LabelArray,
    solve: npt.NDArray[np.bool_],
    *,
    radii: tuple[Radius, Radius],
    to: tuple[torch.device, torch.dtype],
) -> PatchProblem:
    """Cuts and pads a fusion problem to the voxels to solve.

    Args:
        target: (modality, x, y, z).
        atlases: (atlas, modality, x, y, z).
        classes: (atlas, x, y, z), indices into the declared labels.
        solve: (x, y, z), at least one voxel.
        radii: Of patch and search.
        to: Device and precision.
    """
    device, dtype = to
    margin = tuple(p + s for p, s in zip(*radii, strict=True))
    box = [(int(i.min()), int(i.max()) + 1) for i in np.nonzero(solve)]
    near = tuple(slice(max(0, a - m), b + m) for (a, b), m in zip(box, margin, strict=True))
    lack = [
        (max(0, m - a), max(0, b + m - n)) for (a, b), m, n in zip(box, margin, solve.shape, strict=True)
    ]

    def cut(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        leading = array.ndim - 3
        return np.pad(array[(slice(None),) * leading + near], [(0, 0)] * leading + lack, mode="edge")

    solved, inside = (np.pad(mask[near], lack, mode="constant") for mask in (solve, np.ones_like(solve)))
    return PatchProblem(
        torch.as_tensor(cut(_standard(target[None])[0]), dtype=dtype, device=device),
        torch.as_tensor(cut(_standard(atlases)), dtype=dtype, device=device),
        torch.as_tensor(cut(classes), dtype=torch.int16, device=device),
        torch.as_tensor(inside, device=device),
        torch.as_tensor(np.flatnonzero(solved), device=device),
        *radii,
    )


def _standard(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Every image with mean 0 and standard deviation 1: changes no normalised patch, saves precision."""
    wide = images.astype(np.float64)
    axes = (-3, -2, -1)
    sd = wide.std(axis=axes, keepdims=True)
    scaled: npt.NDArray[np.float64] = (wide - wide.mean(axis=axes, keepdims=True)) / np.where(sd > 0, sd, 1)
    return scaled


def search(problem: PatchProblem) -> Tensor:
    """The best offset of each voxel and atlas: the highest normalised correlation, the first in ties.

    Only patches whose middle is in the image are looked at. Box filters make the cost independent of the patch radius.

    Returns:
        (voxel, atlas), indices into `offsets(search)`.
    """
    rs, rp = problem.search, problem.patch
    n = int(np.prod([2 * r + 1 for r in rp]))
    inner = tuple(size - 2 * s for size, s in zip(problem.shape, rs, strict=True))
    target = problem.target[(slice(None), *(slice(s, s + size) for s, size in zip(rs, inner, strict=True)))]
    mean_t, inverse_t = _moments(target, rp, n)
    mean_a, inverse_a = _moments(problem.atlases, rp, n)
    where = _inner_index(problem)
    steps, inside = problem.flat_offsets(rs), problem.inside.flatten()
    tie = (n - 1) * len(target) * (1e-6 if target.dtype == torch.float32 else 1e-10)
    best = torch.full((len(problem.atlases), len(where)), -torch.inf, dtype=target.dtype, device=target.device)
    winner = torch.zeros_like(best, dtype=torch.int16)
    for index, offset in enumerate(offsets(rs)):
        start = [s + o for s, o in zip(rs, offset, strict=True)]
        shifted = problem.atlases[(..., *(slice(a, a + size) for a, size in zip(start, inner, strict=True)))]
        products = box_sum(target * shifted, rp)
        here = tuple(slice(a, a + size) for a, size in zip(start, products.shape[-3:], strict=True))
        # the sum over the patch of t * a, both normalised, up to the factor n - 1
        agreement = (products - n * mean_t * mean_a[(..., *here)]) * inverse_a[(..., *here)] * inverse_t
        found = agreement.sum(dim=1).flatten(1)[:, where]
        better = (found > best + tie) & inside[problem.voxels + steps[index]]
        best = torch.where(better, found, best)
        winner[better] = index
    return winner.T.long()


def _inner_index(problem: PatchProblem) -> Tensor:
    """Flat index of the voxels to solve within the padded box less patch and search radius on each side."""
    _, ny, nz = problem.shape
    x, y, z = problem.voxels // (ny * nz), problem.voxels // nz % ny, problem.voxels % nz
    mx, my, mz = (p + s for p, s in zip(problem.patch, problem.search, strict=True))
    return ((x - mx) * (ny - 2 * my) + (y - my)) * (nz - 2 * mz) + (z - mz)


def _moments(volume: Tensor, radius: Radius, n: int) -> tuple[Tensor, Tensor]:
    """Mean, and one over the floored standard deviation, of every whole patch."""
    mean = box_sum(volume, radius) / n
    variance = (box_sum(volume * volume, radius) - n * mean * mean) / max(n - 1, 1)
    return mean, variance.clamp_min(0).sqrt().clamp_min(_FLOOR).reciprocal()


def box_sum(volume: Tensor, radius: Radius) -> Tensor:
    """Sum over the box around each voxel, for those whose box is whole: each axis gets shorter by twice the radius."""
    for axis, r in zip((-3, -2, -1), radius, strict=True):
        size = volume.shape[axis] - 2 * r
        total = volume.narrow(axis, 0, size)
        for step in range(1, 2 * r + 1):
            total = total + volume.narrow(axis, step, size)
        volume = total
    return volume


def normalised(patches: Tensor) -> Tensor:
    """Patches (..., modality, n) with mean 0 and standard deviation 1 over n, floored."""
    centred = patches - patches.mean(dim=-1, keepdim=True)
    n = patches.shape[-1]
    sd = (centred.square().sum(dim=-1, keepdim=True) / max(n - 1, 1)).sqrt()
    return centred / sd.clamp_min(_FLOOR)


def differences(problem: PatchProblem, voxels: Tensor, winners: Tensor) -> Tensor:
    """Absolute differences between the target's patch and each atlas's best one, both normalised.

    Args:
        problem: The problem.
        voxels: Flat index of some voxels (voxel).
        winners: Their best offsets (voxel, atlas).

    Returns:
        (voxel, atlas, modality x n).
    """
    around = problem.flat_offsets(problem.patch)
    target = problem.target.flatten(1)[:, voxels[:, None] + around].movedim(0, 1)
    found = _at_winners(problem, voxels, winners)[..., None] + around
    atlases = problem.atlases.flatten(2).movedim(0, 1)
    which = torch.arange(atlases.shape[1], device=voxels.device)[None, :, None]
    patches = torch.stack([channel[which, found] for channel in atlases], dim=2)
    return (normalised(target)[:, None] - normalised(patches)).abs().flatten(2)


def classes_at(problem: PatchProblem, voxels: Tensor, winners: Tensor, steps: Tensor) -> Tensor:
    """Classes that the atlases show at flat `steps` from their best positions: (voxel, atlas, step)."""
    found = _at_winners(problem, voxels, winners)[..., None] + steps
    which = torch.arange(len(problem.classes), device=voxels.device)[None, :, None]
    return problem.classes.flatten(1)[which, found]


def _at_winners(problem: PatchProblem, voxels: Tensor, winners: Tensor) -> Tensor:
    return voxels[:, None] + problem.flat_offsets(problem.search)[winners]
