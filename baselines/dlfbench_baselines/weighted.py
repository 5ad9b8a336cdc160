"""What SVWV and JLF share: parameters, which voxels to solve, and turning weighted votes into a posterior."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.region import Radius, disputed, grow
from dlfbench.fusion.votes import class_indices, vote_share
from dlfbench.images import UNKNOWN
from dlfbench.segmenters.interface import Context, FusionMethod
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines.patches import Cut, PatchProblem, WeightRule, make_problem

PerAxis = int | tuple[int, int, int]
_LEAST_TOTAL = 0.1  # of the weights of all patches that vote in a voxel, each of which sums to 1 over all atlases


@dataclass(frozen=True)
class PatchFusion(FusionMethod):
    """Weighted voting by the likeness of local patches.

    Attributes:
        patch_radius: Voxels, one number or one per axis.
        search_radius: Voxels, one number or one per axis.
        precision: Bits of the computation, 32 or 64.
        memory_mb: Bound on the working arrays: the image is solved in as many slabs as it takes. At least what one
            plane of voxels takes, with the planes that its patches and search reach.
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
    @abstractmethod
    def rule(self) -> WeightRule:
        """How the differences of patches become weights."""

    @property
    @abstractmethod
    def whole_patch_votes(self) -> bool:
        """Whether an atlas votes with its whole patch, or in its middle only."""

    def fuse(self, target: Target, atlases: AtlasSet, context: Context) -> npt.NDArray[np.float32]:
        """Posterior (class, x, y, z).

        Where every atlas shows one and the same label within the search radius, no weight can change the outcome and
        none is computed. Elsewhere the result is that of solving every voxel of the image.
        """
        classes = _classes(atlases)
        agreed = classes.max(axis=0).clip(min=0)  # where nobody votes: background
        posterior = (agreed == np.arange(len(atlases.label_values)).reshape(-1, 1, 1, 1)).astype(np.float32)
        undecided = disputed(classes, per_axis(self.search_radius))
        if undecided.any():
            solve = grow(undecided, self.voting_radius)
            votes = np.zeros((len(posterior) + 1, *posterior.shape[1:]), self.dtype)
            for problem, cut in self.problems(target, atlases, solve, context.threads):
                found = _solve(problem, self.rule, len(votes), context)
                votes[(slice(None), *cut.image)] += found[(slice(None), *cut.box)]
            plain = vote_share(atlases.labels[:, undecided], atlases.label_values)
            posterior[:, undecided] = _shares(votes[:-1, undecided], plain)
        return posterior

    def votes(self, target: Target, atlases: AtlasSet, context: Context) -> npt.NDArray[np.float16]:
        """Each atlas's part in the posterior, times the number of atlases: (atlas, class, x, y, z)."""
        many, labels = len(atlases), len(atlases.label_values)
        plain, classes = super().votes(target, atlases, context), _classes(atlases)
        undecided = disputed(classes, per_axis(self.search_radius))
        if not undecided.any():
            return plain
        # the labels of each atlas as labels of their own, so that the sums keep apart who voted
        own = np.arange(many, dtype=np.int16).reshape(-1, 1, 1, 1) * labels + classes
        apart = replace(
            atlases, labels=np.where(classes == UNKNOWN, UNKNOWN, own), label_values=tuple(range(many * labels))
        )
        votes = np.zeros((many * labels + 1, *undecided.shape), self.dtype)
        for problem, cut in self.problems(target, apart, grow(undecided, self.voting_radius), context.threads):
            found = _solve(problem, self.rule, len(votes), context)
            votes[(slice(None), *cut.image)] += found[(slice(None), *cut.box)]
        flat = plain.reshape(many * labels, *undecided.shape)
        one_each = (flat[:, undecided] / many).astype(np.float32)
        flat[:, undecided] = many * _shares(votes[:-1, undecided], one_each)
        return plain

    @property
    def voting_radius(self) -> Radius:
        """Around a position, within which an atlas votes."""
        return per_axis(self.patch_radius) if self.whole_patch_votes else (0, 0, 0)

    @property
    def dtype(self) -> npt.DTypeLike:
        """Of the computation."""
        return np.float32 if self.precision == 32 else np.float64

    def problems(
        self, target: Target, atlases: AtlasSet, solve: npt.NDArray[np.bool_], threads: int
    ) -> Iterator[tuple[PatchProblem, Cut]]:
        """The voxels to solve (x, y, z) as problems that fit in memory, slab by slab along x."""
        classes = _classes(atlases)
        classes[classes == UNKNOWN] = len(atlases.label_values)  # a class of its own, which is not counted
        radii = per_axis(self.patch_radius), per_axis(self.search_radius), self.voting_radius
        for slab in _slabs(solve, self._planes(atlases, radii[0], radii[1], threads)):
            yield make_problem(target.images, atlases.images, classes, slab, radii=radii, dtype=self.dtype)

    def _planes(self, atlases: AtlasSet, patch: Radius, reach: Radius, threads: int) -> int:
        """How many planes of voxels to solve at a time."""
        many, channels, _, ny, nz = atlases.images.shape
        number = self.precision // 8
        # images, classes and winners of each atlas; moments, sums and best agreement of those under way; votes
        each = many * (channels * number + 4) + threads * (2 * channels * number + number + 44)
        each += (3 * channels + len(atlases.label_values) + 1) * number
        around = [2 * (p + r) for p, r in zip(patch, reach, strict=True)]
        return max(1, self.memory_mb * 2**20 // (each * (ny + around[1]) * (nz + around[2])) - around[0])


def weight_maps(
    method: PatchFusion,
    target: Target,
    atlases: AtlasSet,
    *,
    where: npt.NDArray[np.bool_] | None = None,
    threads: int = 1,
) -> npt.NDArray[np.float32]:
    """The weight that JLF or SVWV gives each atlas at each voxel, computed on the CPU.

    Args:
        method: JLF or SVWV, with its parameters.
        target: The image.
        atlases: Warped onto it.
        where: Voxels of interest (x, y, z); all where None.
        threads: CPU threads to use.

    Returns:
        (atlas, x, y, z), sums to 1 over atlases; not a number outside `where`.
    """
    from dlfbench_baselines import patches_cpu

    where = np.ones(target.grid.shape, dtype=np.bool_) if where is None else where
    maps = np.full((len(atlases), *target.grid.shape), np.nan, dtype=np.float32)
    for problem, cut in method.problems(target, atlases, where, threads) if where.any() else ():
        found = np.zeros((len(atlases), *problem.shape), dtype=np.float32)
        patches_cpu.solve(problem, method.rule, classes=len(atlases.label_values) + 1, threads=threads, maps=found)
        solved = problem.solve[cut.box]
        maps[(slice(None), *cut.image)][:, solved] = found[(slice(None), *cut.box)][:, solved]
    return maps


def _solve(problem: PatchProblem, rule: WeightRule, classes: int, context: Context) -> npt.NDArray[np.floating[Any]]:
    if context.device == "cpu":
        from dlfbench_baselines import patches_cpu

        return patches_cpu.solve(problem, rule, classes=classes, threads=context.threads)
    from dlfbench_baselines import patches_torch

    return patches_torch.solve(problem, rule, classes=classes, device=context.device)


def _classes(atlases: AtlasSet) -> npt.NDArray[np.int16]:
    """Index of each candidate's label, or `UNKNOWN`. Atlas by atlas: indices come in integers four times as large."""
    found = np.empty(atlases.labels.shape, dtype=np.int16)
    for labels, index in zip(atlases.labels, found, strict=True):
        index[...] = class_indices(labels, atlases.label_values)
    return found


def _shares(votes: npt.NDArray[np.floating[Any]], plain: npt.NDArray[np.float32]) -> npt.NDArray[np.floating[Any]]:
    """Votes (class, voxel) as shares; the plain ones where next to nothing is left of them.

    The weights of a patch sum to 1 over all atlases, some of which may be negative: where many have no vote, those of
    the others can be anything.
    """
    total = votes.sum(axis=0)
    shares: npt.NDArray[Any] = np.where(total > _LEAST_TOTAL, votes / np.maximum(total, _LEAST_TOTAL), plain)
    return shares


def _slabs(solve: npt.NDArray[np.bool_], planes: int) -> Iterator[npt.NDArray[np.bool_]]:
    """The voxels to solve, so many planes along x at a time."""
    used = np.flatnonzero(solve.any(axis=(1, 2)))
    for start in range(int(used[0]), int(used[-1]) + 1, planes):
        slab = np.zeros_like(solve)
        slab[start : start + planes] = solve[start : start + planes]
        if slab.any():
            yield slab


def per_axis(radius: PerAxis) -> Radius:
    """A radius as one number per axis."""
    return (radius, radius, radius) if isinstance(radius, int) else radius
