"""What SVWV and JLF share: parameters, which voxels to solve, and turning weighted votes into a posterior."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.region import Radius, disputed, grow
from dlfbench.segmenters.interface import Context, FusionMethod
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines.patches import PatchProblem, WeightRule, make_problem

PerAxis = int | tuple[int, int, int]


@dataclass(frozen=True)
class PatchFusion(FusionMethod):
    """Weighted voting by the likeness of local patches.

    Attributes:
        patch_radius: Voxels, one number or one per axis.
        search_radius: Voxels, one number or one per axis.
        precision: Bits of the computation, 32 or 64.
    """

    patch_radius: PerAxis = 2
    search_radius: PerAxis = 3
    precision: int = 32

    def __post_init__(self) -> None:
        for name in ("patch_radius", "search_radius"):
            if min(per_axis(getattr(self, name))) < 0:
                raise ValueError(f"{name}: expected 0 or more, found {getattr(self, name)}")
        if self.precision not in (32, 64):
            raise ValueError(f"precision: expected 32 or 64, found {self.precision}")

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
        classes = np.searchsorted(atlases.label_values, atlases.labels).astype(np.int16)
        patch, reach = per_axis(self.patch_radius), per_axis(self.search_radius)
        posterior = (classes[0] == np.arange(len(atlases.label_values)).reshape(-1, 1, 1, 1)).astype(np.float32)
        undecided = disputed(classes, reach)
        if not undecided.any():
            return posterior
        voting = patch if self.whole_patch_votes else (0, 0, 0)
        problem, cut = make_problem(
            target.images,
            atlases.images,
            classes,
            grow(undecided, voting),
            radii=(patch, reach, voting),
            dtype=np.float32 if self.precision == 32 else np.float64,
        )
        votes = _solve(problem, self.rule, len(posterior), context)[(slice(None), *cut.box)]
        here = undecided[cut.image]
        posterior[(slice(None), *cut.image)][:, here] = votes[:, here] / votes[:, here].sum(axis=0)
        return posterior


def _solve(problem: PatchProblem, rule: WeightRule, classes: int, context: Context) -> npt.NDArray[np.floating[Any]]:
    if context.device == "cpu":
        from dlfbench_baselines import patches_cpu

        return patches_cpu.solve(problem, rule, classes=classes, threads=context.threads)
    from dlfbench_baselines import patches_torch

    return patches_torch.solve(problem, rule, classes=classes, device=context.device)


def per_axis(radius: PerAxis) -> Radius:
    """A radius as one number per axis."""
    return (radius, radius, radius) if isinstance(radius, int) else radius
