"""What SVWV and JLF solve: for each voxel, which atlas patch is most like the target's, and what weight it gets.

Patches are boxes of a given radius. Intensities beyond the image are those of its nearest voxel. A patch is normalised
to mean 0 and standard deviation 1 (with n - 1), each modality by itself, so that no modality outweighs another by its
scale; the standard deviation is floored at a millionth of the whole image's. A target's patch of one value becomes 0,
and so do atlases' beside it: it agrees with all patches alike, where rounding over that floor would choose among them.

Two backends give the same votes up to rounding: `patches_cpu` (compiled by Numba) and `patches_torch` (for GPUs).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.region import Radius, offsets
from dlfbench.images import UNKNOWN

SD_FLOOR = 1e-6


@dataclass(frozen=True)
class WeightRule:
    """How the differences of patches become weights; d the absolute differences of normalised patches of n values.

    Attributes:
        kind: `joint`: M^-1 1 / (1' M^-1 1), M_ij = (d_i . d_j / (n - 1))^beta, alpha added to its diagonal.
            `inverse`: D^-beta, D = mean d^2. `gaussian`: exp(-D / beta^2).
        beta: Exponent, or width of the Gaussian.
        alpha: Of `joint`.
        non_negative: Clip negative weights and renormalise.
    """

    kind: Literal["joint", "inverse", "gaussian"]
    beta: float
    alpha: float = 0.0
    non_negative: bool = False


@dataclass(frozen=True)
class PatchProblem:
    """A target and its atlases, cut to what the voxels to solve can see.

    Every array is padded by patch and search radius on each side of the box around the voxels to solve.

    Attributes:
        target: (modality, x, y, z).
        atlases: (atlas, modality, x, y, z).
        classes: Which of the labels that are present each atlas voxel shows (atlas, x, y, z), of `index_type`.
        present: The labels that are there, as indices into the declared ones; `UNKNOWN` may be among them.
        inside: Which voxels are in the image (x, y, z).
        solve: Which voxels to solve (x, y, z).
        patch: Patch radius.
        search: Search radius.
        voting: Radius around a position within which an atlas votes: the patch's, or 0.
    """

    target: npt.NDArray[np.floating[Any]]
    atlases: npt.NDArray[np.floating[Any]]
    classes: npt.NDArray[np.signedinteger[Any]]
    present: npt.NDArray[np.intp]
    inside: npt.NDArray[np.bool_]
    solve: npt.NDArray[np.bool_]
    patch: Radius
    search: Radius
    voting: Radius

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the padded box."""
        x, y, z = self.solve.shape
        return x, y, z

    def steps(self, radius: Radius) -> npt.NDArray[np.int64]:
        """Steps in flat index to each voxel within a radius, in the order of `offsets`."""
        _, ny, nz = self.shape
        return np.array([(i * ny + j) * nz + k for i, j, k in offsets(radius)], dtype=np.int64)


@dataclass(frozen=True)
class Cut:
    """Where a padded box lies in the image: `image` and `box` are the same voxels, in the one and in the other."""

    image: tuple[slice, ...]
    box: tuple[slice, ...]


@dataclass(frozen=True)
class WholeImages:
    """A target and its atlases, to be cut to problems.

    Attributes:
        target: (modality, x, y, z).
        atlases: (atlas, modality, x, y, z).
        classes: Index of each atlas voxel's label among the declared ones, or `UNKNOWN` (atlas, x, y, z).
    """

    target: npt.NDArray[np.float32]
    atlases: npt.NDArray[np.float32]
    classes: npt.NDArray[np.signedinteger[Any]]

    @cached_property
    def scales(self) -> list[list[tuple[float, float]]]:
        """Mean and standard deviation of each modality: of the target, then of each atlas."""
        return [[_scale(image) for image in images] for images in (self.target, *self.atlases)]


def make_problem(
    images: WholeImages, solve: npt.NDArray[np.bool_], *, radii: tuple[Radius, Radius, Radius], dtype: npt.DTypeLike
) -> tuple[PatchProblem, Cut]:
    """Cuts and pads a fusion problem to the voxels to solve.

    Args:
        images: What to cut.
        solve: (x, y, z), at least one voxel.
        radii: Of patch, search and voting.
        dtype: Precision of the computation.
    """
    near, lack, box = [], [], []
    for axis, (n, patch, reach) in enumerate(zip(solve.shape, radii[0], radii[1], strict=True)):
        indices = np.flatnonzero(solve.any(axis=tuple(other for other in range(3) if other != axis)))
        low, high = int(indices[0]) - patch - reach, int(indices[-1]) + 1 + patch + reach
        near.append(slice(max(0, low), min(n, high)))
        lack.append((max(0, -low), max(0, high - n)))
        box.append(slice(near[-1].start - low, near[-1].stop - low))

    def cut(array: npt.NDArray[Any], mode: Any = "edge") -> npt.NDArray[Any]:
        leading = array.ndim - 3
        padded = np.pad(array[(slice(None),) * leading + tuple(near)], [(0, 0)] * leading + lack, mode=mode)
        return np.ascontiguousarray(padded)  # the compiled kernel takes nothing else

    def standard(which: int, modalities: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        # mean 0 and standard deviation 1 over the whole image: changes no normalised patch, saves precision
        scaled = [
            (cut(m).astype(np.float64) - mean) / sd
            for m, (mean, sd) in zip(modalities, images.scales[which], strict=True)
        ]
        return np.stack(scaled).astype(dtype)

    classes = cut(images.classes)
    most = int(classes.max()) - UNKNOWN + 1
    counts = np.zeros(most, np.int64)
    for shown in classes:  # atlas by atlas: counting makes integers four times as large
        counts += np.bincount(shown.ravel() - UNKNOWN, minlength=most)
    present = np.flatnonzero(counts) + UNKNOWN
    table = np.zeros(most, index_type(len(present)))
    table[present - UNKNOWN] = np.arange(len(present))
    problem = PatchProblem(
        standard(0, images.target),
        np.stack([standard(i, atlas) for i, atlas in enumerate(images.atlases, 1)]),
        table[classes - UNKNOWN],
        present,
        cut(np.ones_like(solve), "constant"),
        cut(solve, "constant"),
        *radii,
    )
    return problem, Cut(tuple(near), tuple(box))


def index_type(classes: int) -> type[np.signedinteger[Any]]:
    """What holds the indices of so many classes; as small as it can be, since there is one for each atlas and voxel."""
    return np.int16 if classes <= np.iinfo(np.int16).max else np.int32


def _scale(image: npt.NDArray[np.float32]) -> tuple[float, float]:
    values = np.ascontiguousarray(image, dtype=np.float64)
    return float(values.mean()), float(values.std()) or 1.0


def tie_margin(problem: PatchProblem) -> float:
    """By how much a later offset must agree better to win: what rounding can make of a tie."""
    values = int(np.prod([2 * r + 1 for r in problem.patch])) - 1
    return values * len(problem.target) * (1e-6 if problem.target.dtype == np.float32 else 1e-10)
