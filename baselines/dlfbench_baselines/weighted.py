"""What SVWV and JLF share: parameters, which voxels to solve, and turning weighted votes into a posterior."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dlfbench.fusion.atlas_votes import AtlasVotes
from dlfbench.fusion.posterior import Entries, Posterior
from dlfbench.fusion.region import Box, Radius, disputed, grow
from dlfbench.fusion.votes import class_indices
from dlfbench.images import UNKNOWN
from dlfbench.segmenters.interface import Context, FusionMethod
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines.patches import Cut, PatchProblem, WeightRule, WholeImages, index_type, make_problem

PerAxis = int | tuple[int, int, int]
# weights of a patch sum to 1 over all atlases, some may be negative: where many have no vote, others' can be anything
_LEAST_TOTAL = 0.1


@dataclass(frozen=True)
class PatchFusion(FusionMethod):
    """Weighted voting by the likeness of local patches.

    Attributes:
        patch_radius: Voxels, one number or one per axis.
        search_radius: Voxels, one number or one per axis.
        precision: Bits of the computation, 32 or 64.
        memory_mb: Bound on the working arrays: the image is solved in as many boxes as it takes. At least what one
            voxel takes, with those that its patch and search reach.
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

    def fuse(self, target: Target, atlases: AtlasSet, context: Context) -> Posterior:
        """Shares of the weighted votes.

        Where every atlas shows one and the same label within the search radius, no weight can change the outcome and
        none is computed. Elsewhere the result is that of solving every voxel of the image.
        """
        images = whole_images(target, atlases)
        undecided = disputed(images.classes, per_axis(self.search_radius))
        votes = self._weighed(images, undecided, context)
        plain = Posterior.of_votes(atlases.labels, atlases.label_values)
        agreed = replace(plain, alone=images.classes.max(axis=0).clip(min=0))  # where nobody votes: background
        return agreed.replaced(votes)

    def votes(self, target: Target, atlases: AtlasSet, context: Context) -> AtlasVotes:
        """Each atlas's part in the posterior, times the number of atlases."""
        many, labels = len(atlases), len(atlases.label_values)
        images = whole_images(target, atlases)
        # the labels of each atlas as labels of their own, so that the sums keep apart who voted
        own = np.arange(many, dtype=index_type(many * labels)).reshape(-1, 1, 1, 1) * labels + images.classes
        apart = replace(images, classes=np.where(images.classes == UNKNOWN, UNKNOWN, own).astype(own.dtype))
        found = self._weighed(apart, disputed(images.classes, per_axis(self.search_radius)), context)
        return AtlasVotes.of_labels(atlases.labels, atlases.label_values, replace(found, shares=many * found.shares))

    def _weighed(self, images: WholeImages, undecided: npt.NDArray[np.bool_], context: Context) -> Entries:
        """Shares of the weighted votes in the undecided voxels (x, y, z), where enough is left of them."""
        found = [Entries.none(np.dtype(self.dtype))]
        for problem, cut in self.problems(images, grow(undecided, self.voting_radius), context.threads):
            found.append(_votes_at(undecided, _solve(problem, self.rule, context), problem, cut))
        votes = found[0].joined(*found[1:]).summed(int(images.classes.max()) + 1)
        return votes.where_sum_exceeds(_LEAST_TOTAL).normalised()

    @property
    def voting_radius(self) -> Radius:
        """Around a position, within which an atlas votes."""
        return per_axis(self.patch_radius) if self.whole_patch_votes else (0, 0, 0)

    @property
    def dtype(self) -> npt.DTypeLike:
        """Of the computation."""
        return np.float32 if self.precision == 32 else np.float64

    def problems(
        self, images: WholeImages, solve: npt.NDArray[np.bool_], threads: int
    ) -> Iterator[tuple[PatchProblem, Cut]]:
        """The voxels to solve (x, y, z) as problems that fit in memory, box by box."""
        radii = per_axis(self.patch_radius), per_axis(self.search_radius), self.voting_radius
        room = 2 * np.add(radii[0], radii[1])
        for box in _boxes(solve, room, self.memory_mb * 2**20 // self._voxel_bytes(images, threads)):
            part = np.zeros_like(solve)
            part[box] = solve[box]
            yield make_problem(images, part, radii=radii, dtype=self.dtype)

    def _voxel_bytes(self, images: WholeImages, threads: int) -> int:
        """What a voxel of a padded box takes."""
        many, channels = images.atlases.shape[:2]
        number = self.precision // 8
        # images, classes and winners of each atlas; moments, sums and best agreement of those under way; votes
        each = many * (channels * number + 4) + threads * (2 * channels * number + number + 44)
        return each + (3 * channels + int(images.classes.max()) + 2) * number


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
    for problem, cut in method.problems(whole_images(target, atlases), where, threads):
        found = np.zeros((len(atlases), *problem.shape), dtype=np.float32)
        patches_cpu.solve(problem, method.rule, threads=threads, maps=found)
        solved = problem.solve[cut.box]
        maps[(slice(None), *cut.image)][:, solved] = found[(slice(None), *cut.box)][:, solved]
    return maps


def _solve(problem: PatchProblem, rule: WeightRule, context: Context) -> npt.NDArray[np.floating[Any]]:
    if context.device == "cpu":
        from dlfbench_baselines import patches_cpu

        return patches_cpu.solve(problem, rule, threads=context.threads)
    from dlfbench_baselines import patches_torch

    return patches_torch.solve(problem, rule, device=context.device)


def _votes_at(
    undecided: npt.NDArray[np.bool_], votes: npt.NDArray[np.floating[Any]], problem: PatchProblem, cut: Cut
) -> Entries:
    """The votes (class, x, y, z) of a problem that fall on undecided voxels of the image (x, y, z)."""
    wanted = undecided[cut.image]
    corner = [s.start for s in cut.image]
    places = np.ravel_multi_index(tuple((np.argwhere(wanted) + corner).T), undecided.shape)
    found = votes[(slice(None), *cut.box)][:, wanted]
    found[problem.present == UNKNOWN] = 0  # who knows nothing of a voxel has no vote there
    classes, voxels = np.nonzero(found)
    return Entries(places[voxels], problem.present[classes], found[classes, voxels])


def whole_images(target: Target, atlases: AtlasSet) -> WholeImages:
    classes = np.empty(atlases.labels.shape, dtype=np.int16)
    for labels, index in zip(atlases.labels, classes, strict=True):
        index[...] = class_indices(labels, atlases.label_values)
    return WholeImages(target.images, atlases.images, classes)


def _boxes(
    solve: npt.NDArray[np.bool_], room: npt.NDArray[np.int64], most_vox: int, corner: tuple[int, int, int] = (0, 0, 0)
) -> Iterator[Box]:
    """Boxes that hold the voxels to solve, of so many voxels at most with the room around; longer sides are halved."""
    found = ndimage.find_objects(solve.astype(np.int8))
    if not found:
        return
    tight = found[0]
    x, y, z = (slice(c + s.start, c + s.stop) for c, s in zip(corner, tight, strict=True))
    sides = [s.stop - s.start for s in tight]
    longest = int(np.argmax(sides))
    if np.prod(np.add(sides, room)) <= most_vox or sides[longest] == 1:
        yield x, y, z
        return
    middle = tight[longest].start + sides[longest] // 2
    for part in (slice(tight[longest].start, middle), slice(middle, tight[longest].stop)):
        inner = (*tight[:longest], part, *tight[longest + 1 :])
        yield from _boxes(solve[inner], room, most_vox, tuple(c + s.start for c, s in zip(corner, inner, strict=True)))


def per_axis(radius: PerAxis) -> Radius:
    """A radius as one number per axis."""
    return (radius, radius, radius) if isinstance(radius, int) else radius
