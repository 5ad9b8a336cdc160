"""What SVWV and JLF share: parameters, which voxels to solve, and turning weighted votes into a posterior."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dlfbench.fusion.region import Radius, disputed, grow
from dlfbench.segmenters.interface import Context, FusionMethod
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines.patches import PatchProblem, classes_at, differences, make_problem, search

PerAxis = int | tuple[int, int, int]


@dataclass(frozen=True)
class PatchFusion(FusionMethod):
    """Weighted voting by the likeness of local patches.

    Attributes:
        patch_radius: Voxels, one number or one per axis.
        search_radius: Voxels, one number or one per axis.
        precision: Of the computation.
        memory_mb: Bound on the memory of intermediate arrays; smaller is slower and gives the same result.
    """

    patch_radius: PerAxis = 2
    search_radius: PerAxis = 3
    precision: int = 32
    memory_mb: int = 512

    def __post_init__(self) -> None:
        for name in ("patch_radius", "search_radius"):
            if min(per_axis(getattr(self, name))) < 0:
                raise ValueError(f"{name}: expected 0 or more, found {getattr(self, name)}")
        if self.precision not in (32, 64):
            raise ValueError(f"precision: expected 32 or 64, found {self.precision}")
        if self.memory_mb < 1:
            raise ValueError(f"memory_mb: expected 1 or more, found {self.memory_mb}")

    @property
    def whole_patch_votes(self) -> bool:
        """Whether an atlas votes with its whole patch, or in its middle only."""
        raise NotImplementedError

    def weights(self, differences: Tensor) -> Tensor:
        """Weights of the atlases.

        Args:
            differences: Absolute differences of normalised patches (voxel, atlas, n).

        Returns:
            (voxel, atlas), summing to 1 over atlases.
        """
        raise NotImplementedError

    def fuse(self, target: Target, atlases: AtlasSet, context: Context) -> npt.NDArray[np.float32]:
        """Posterior (class, x, y, z).

        Where every atlas shows one and the same label within the search radius, no weight can change the outcome and
        none is computed. Elsewhere the result is that of solving every voxel of the image.
        """
        torch.set_num_threads(context.threads)
        classes = np.searchsorted(atlases.label_values, atlases.labels).astype(np.int16)
        undecided = disputed(classes, per_axis(self.search_radius))
        posterior = _certain(classes[0], len(atlases.label_values))
        if undecided.any():
            votes = self._votes(target, atlases, classes, undecided, context)[:, undecided]
            posterior[:, undecided] = votes / votes.sum(axis=0)
        return posterior

    def _votes(
        self,
        target: Target,
        atlases: AtlasSet,
        classes: npt.NDArray[np.int16],
        undecided: npt.NDArray[np.bool_],
        context: Context,
    ) -> npt.NDArray[np.float64]:
        patch, reach = per_axis(self.patch_radius), per_axis(self.search_radius)
        voting = patch if self.whole_patch_votes else (0, 0, 0)
        solve = grow(undecided, voting)
        kind = torch.float32 if self.precision == 32 else torch.float64
        to = torch.device(context.device), kind
        problem = make_problem(target.images, atlases.images, classes, solve, radii=(patch, reach), to=to)
        votes = _VoteMaps(problem, len(atlases.label_values), voting)
        winners = search(problem)
        chunk = max(1, self.memory_mb * 2**20 // self._bytes_per_voxel(problem))
        for voxels, found in zip(problem.voxels.split(chunk), winners.split(chunk), strict=True):
            votes.add(voxels, found, self.weights(differences(problem, voxels, found)))
        return votes.on_image(solve)

    def _bytes_per_voxel(self, problem: PatchProblem) -> int:
        """Of the largest arrays of a chunk: patches of all atlases, their indices, differences, label votes."""
        values = problem.atlases.shape[0] * problem.atlases.shape[1] * len(problem.flat_offsets(problem.patch))
        return values * (3 * self.precision // 8 + 12)


def per_axis(radius: PerAxis) -> Radius:
    """A radius as one number per axis."""
    return (radius, radius, radius) if isinstance(radius, int) else radius


def _certain(classes: npt.NDArray[np.int16], count: int) -> npt.NDArray[np.float32]:
    """Posterior that is sure of a class map (x, y, z)."""
    return (classes == np.arange(count, dtype=np.int16).reshape(-1, 1, 1, 1)).astype(np.float32)


class _VoteMaps:
    """Sums of weighted votes per class on the padded box."""

    def __init__(self, problem: PatchProblem, classes: int, voting: Radius) -> None:
        self.problem = problem
        self.steps = problem.flat_offsets(voting)
        size = int(np.prod(problem.shape))
        self.maps = torch.zeros((classes, size), dtype=problem.target.dtype, device=problem.target.device)

    def add(self, voxels: Tensor, winners: Tensor, weights: Tensor) -> None:
        """Adds the votes of some voxels: each atlas votes, around each voxel, for what it shows around its position."""
        shown = classes_at(self.problem, voxels, winners, self.steps)
        for label in range(len(self.maps)):
            votes = ((shown == label) * weights[..., None]).sum(dim=1)
            for step, vote in zip(self.steps.tolist(), votes.T, strict=True):
                # within one step no two voxels share a place, so that plain indexing adds rightly
                self.maps[label, voxels + step] += vote

    def on_image(self, solve: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """The maps (class, x, y, z) on the image's grid; zero where nobody voted."""
        margin = [p + s for p, s in zip(self.problem.patch, self.problem.search, strict=True)]
        maps = self.maps.reshape(-1, *self.problem.shape).cpu().double().numpy()
        image = np.zeros((len(maps), *solve.shape))
        box = [(int(i.min()), int(i.max()) + 1) for i in np.nonzero(solve)]
        source, place = [], []
        for (start, stop), m, n in zip(box, margin, solve.shape, strict=True):
            low, high = max(0, start - m), min(n, stop + m)
            place.append(slice(low, high))
            source.append(slice(low - (start - m), high - (start - m)))
        image[(slice(None), *place)] = maps[(slice(None), *source)]
        return image
