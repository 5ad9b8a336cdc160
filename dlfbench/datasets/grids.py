"""Modalities of one person on different grids: brought onto one of them, once, and said how.

The primary grid is the one that the label map was drawn on: labels are never resampled. Fusion compares patches of all
channels at the same voxel, so that a method that kept each modality on a grid of its own would have to resample all the
same, once for every atlas and target; here it is done once a case.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.images import Grid
from dlfbench.registration.greedy import from_sitk, to_sitk

MIN_COVERED_SHARE = 0.5  # as for an atlas and its target
MAX_MOVED_MM = 20.0  # two images of one session: a head moves by millimetres
MAX_TURNED_DEG = 15.0
_BINS, _STEPS, _SAMPLES = 32, 100, 50_000
_MIN_VOXELS = 4  # of an axis, at a lower resolution
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

Affine = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Resampling:
    """How one modality of a case came onto the primary grid.

    Attributes:
        to_file: 4 x 4, from the primary grid's space to the file's, RAS mm.
        registered: Whether it was registered here.
        covered: Share of the primary grid's voxels that lie in the file's field of view.
        moved_mm: How far the centre of the primary grid is moved by what was registered here.
        turned_deg: By how much it is turned.
        information: Mutual information of the two, before and after; none where nothing was registered.
    """

    to_file: Affine
    registered: bool
    covered: float
    moved_mm: float = 0.0
    turned_deg: float = 0.0
    information: tuple[float, float] | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """What looks wrong; empty where all is well."""
        findings = {
            f"covers {self.covered:.0%} of the primary grid": self.covered < MIN_COVERED_SHARE,
            f"moved by {self.moved_mm:.1f} mm": self.moved_mm > MAX_MOVED_MM,
            f"turned by {self.turned_deg:.0f} degrees": self.turned_deg > MAX_TURNED_DEG,
            "less alike after registration": bool(self.information and self.information[1] < self.information[0]),
        }
        return tuple(text for text, found in findings.items() if found)


def resample_onto(voxels: npt.NDArray[Any], grid: Grid, onto: Grid, to_file: Affine) -> npt.NDArray[np.float32]:
    """Samples an image at the voxels of another grid, by cubic B-splines.

    Beyond the field of view the border goes on: an edge there would look like anatomy.

    Args:
        voxels: (x, y, z).
        grid: Their grid.
        onto: The grid of the result.
        to_file: 4 x 4, from the space of `onto` to that of `grid`, RAS mm.

    Returns:
        (x, y, z) on `onto`.
    """
    import SimpleITK as sitk

    resample = sitk.ResampleImageFilter()
    resample.SetReferenceImage(to_sitk(np.zeros(onto.shape, np.float32), onto))
    resample.SetTransform(_transform(to_file))
    resample.SetInterpolator(sitk.sitkBSpline)
    resample.UseNearestNeighborExtrapolatorOn()
    return from_sitk(resample.Execute(to_sitk(voxels.astype(np.float32), grid))).astype(np.float32)


def covered_share(grid: Grid, onto: Grid, to_file: Affine) -> float:
    """Share of the voxels of `onto` whose centres lie in the field of view of `grid`."""
    indices = np.indices(onto.shape).reshape(3, -1)
    chain = np.linalg.inv(np.asarray(grid.affine)) @ to_file @ np.asarray(onto.affine)
    inside = chain[:3, :3] @ indices + chain[:3, 3:]
    limits = np.reshape(grid.shape, (3, 1)) - 0.5
    return float(((inside >= -0.5) & (inside <= limits)).all(axis=0).mean())


def align_rigidly(
    primary: npt.NDArray[Any], grid: Grid, other: npt.NDArray[Any], other_grid: Grid, to_file: Affine
) -> Resampling:
    """Registers another modality of the same person to the primary one: six degrees of freedom, mutual information.

    It begins at `to_file`, where the headers (or a registration that came with the data) put the two.

    Args:
        primary: (x, y, z).
        grid: Its grid.
        other: (x, y, z).
        other_grid: Its grid.
        to_file: 4 x 4, from the primary space to the other's, RAS mm.

    Raises:
        RuntimeError: SimpleITK failed, as where the images do not overlap.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # with more, sums differ from run to run
    fixed, moving = to_sitk(primary.astype(np.float32), grid), to_sitk(other.astype(np.float32), other_grid)
    middle = _RAS_TO_LPS[:3, :3] @ _middle(grid)
    rigid = sitk.Euler3DTransform(tuple(middle.tolist()), 0.0, 0.0, 0.0)
    method = _rigid_method(grid)
    method.SetMovingInitialTransform(_transform(to_file))
    method.SetInitialTransform(rigid, inPlace=True)
    before = -method.MetricEvaluate(fixed, moving)
    method.Execute(fixed, moving)
    after = -method.MetricEvaluate(fixed, moving)
    matrix = to_file @ _matrix(rigid)
    moved_mm = float(np.linalg.norm((_matrix(rigid) @ np.append(_middle(grid), 1))[:3] - _middle(grid)))
    cosine = (np.trace(_matrix(rigid)[:3, :3]) - 1) / 2
    turned_deg = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    covered = covered_share(other_grid, grid, matrix)
    return Resampling(matrix, True, covered, moved_mm, turned_deg, (before, after))


def _rigid_method(grid: Grid) -> Any:
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(min(1.0, _SAMPLES / np.prod(grid.shape)))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, _STEPS)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2 if min(grid.shape) >= 2 * _MIN_VOXELS else 1, 1])
    method.SetSmoothingSigmasPerLevel([min(grid.spacing_mm), 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    return method


def _middle(grid: Grid) -> npt.NDArray[np.float64]:
    """The middle of a grid, RAS mm (3,)."""
    index = np.append((np.asarray(grid.shape) - 1) / 2, 1)
    middle: npt.NDArray[np.float64] = (np.asarray(grid.affine) @ index)[:3]
    return middle


def _transform(to_file: Affine) -> Any:
    """The matrix as SimpleITK has it, in LPS."""
    import SimpleITK as sitk

    lps = _RAS_TO_LPS @ to_file @ _RAS_TO_LPS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    return transform


def _matrix(transform: Any) -> Affine:
    """4 x 4 in RAS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    centre = np.asarray(transform.GetCenter())
    matrix[:3, 3] = np.asarray(transform.GetTranslation()) + centre - matrix[:3, :3] @ centre
    ras: Affine = _RAS_TO_LPS @ matrix @ _RAS_TO_LPS
    return ras
