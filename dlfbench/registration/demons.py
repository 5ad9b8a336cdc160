"""Registration by SimpleITK: affine by mutual information, then symmetric-forces demons."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dlfbench.images import UNKNOWN, FloatArray
from dlfbench.registration.greedy import from_sitk, to_sitk
from dlfbench.registration.interface import WarpedAtlas
from dlfbench.registration.quality import jacobian_determinant, quality_flags
from dlfbench.registration.scale import Scale
from dlfbench.volumes import Atlas, Target

# Part of the version, and so of the keys in the store: raise it when the steps below give other results.
_STEPS = 4
_MIN_VOXELS = 4  # along every axis, of the recursive Gaussian filters
_HISTOGRAM = (256, 7)  # levels and match points with which the atlas is given the target's contrast
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class SimpleItkDemons:
    """Affine by mutual information, then fast symmetric-forces demons (Vercauteren et al. 2009), with SimpleITK.

    Demons compare intensities, so the atlas is given the target's histogram first; and ITK's demons leave differences
    below 0.001 alone, so both images are brought to a scale of their own (`registration.scale`) before. One modality
    drives the registration; all are warped. It uses one thread, all voxels and no random numbers: equal input gives
    equal output.

    Attributes:
        affine_iterations: At most so many per resolution level.
        iterations: Of the deformable registration per resolution level, coarse to fine.
        smoothing_vox: Standard deviation of the Gaussian that smooths the displacement field after each iteration.
        modality: Index of the modality that is registered.
    """

    least_vox: ClassVar[int] = _MIN_VOXELS

    affine_iterations: int = 100
    iterations: tuple[int, ...] = (60, 40, 20)
    smoothing_vox: float = 1.0
    modality: int = 0

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        if self.affine_iterations < 1:
            yield f"affine_iterations: expected 1 or more, found {self.affine_iterations}"
        if not self.iterations or min(self.iterations) < 0:
            yield f"iterations: expected numbers of 0 or more, one per level, found {self.iterations}"
        if self.smoothing_vox <= 0:
            yield f"smoothing_vox: expected more than 0, found {self.smoothing_vox}"
        if self.modality < 0:
            yield f"modality: expected 0 or more, found {self.modality}"

    def version(self) -> str:
        """Tool and version, and the count of changes to how dlfbench calls it."""
        import SimpleITK as sitk

        return f"SimpleITK {sitk.Version_VersionString()}, steps {_STEPS}"

    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        """Registers the atlas to the target and resamples its images (linearly) and its labels onto the target's grid.

        Beyond the atlas's field of view labels are `UNKNOWN`, and in images its border goes on.

        Raises:
            RuntimeError: The images do not suit, or SimpleITK failed.
        """
        import SimpleITK as sitk

        _check(target, atlas, self.modality)
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # with more, sums differ from run to run
        fixed, moving = (to_sitk(_scaled(v.images[self.modality]), v.grid) for v in (target, atlas))
        affine = _affine(fixed, moving, self.affine_iterations)
        # an edge at the end of its field of view would draw demons
        field = _demons(fixed, _extended(moving, fixed, affine), self)
        jacobian = jacobian_determinant(
            sitk.GetArrayFromImage(field).transpose(2, 1, 0, 3),
            np.reshape(field.GetDirection(), (3, 3)) * field.GetSpacing(),
        )
        transform = sitk.CompositeTransform([affine, sitk.DisplacementFieldTransform(field)])
        shown = [from_sitk(_extended(to_sitk(v, atlas.grid), fixed, transform)) for v in atlas.images]
        images = np.stack(shown).astype(np.float32)
        ones = to_sitk(np.ones(atlas.grid.shape, np.float32), atlas.grid)
        support = from_sitk(sitk.Resample(ones, fixed, transform, sitk.sitkLinear, 0.0))
        # a Gaussian of the labels would erase single voxels, lines and sheets
        labels = sitk.Resample(
            to_sitk(atlas.labels.astype(np.int16), atlas.grid), fixed, transform, sitk.sitkLabelLinear, UNKNOWN
        )
        warped = np.where(support > 0.5, from_sitk(labels), UNKNOWN).astype(np.int16)
        flags = quality_flags(images, warped, affine=_matrix(affine), jacobian=jacobian, support=support)
        return WarpedAtlas(np.nan_to_num(images, nan=0.0, posinf=0.0, neginf=0.0), warped, flags)


def _scaled(image: FloatArray) -> npt.NDArray[np.float32]:
    return Scale.of(image).apply(image)


def _affine(fixed: Any, moving: Any, iterations: int) -> Any:
    """Affine from target to atlas, in two levels, from image centre on image centre."""
    import SimpleITK as sitk

    geometry = sitk.CenteredTransformInitializerFilter.GEOMETRY
    centred = sitk.CenteredTransformInitializer(fixed, moving, sitk.AffineTransform(3), geometry)
    transform = sitk.AffineTransform(centred)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, iterations)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1.0, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)
    return transform


def _extended(moving: Any, fixed: Any, transform: Any) -> Any:
    """An image on the target's grid. Beyond its field of view its border goes on."""
    import SimpleITK as sitk

    resample = sitk.ResampleImageFilter()
    resample.SetReferenceImage(fixed)
    resample.SetTransform(transform)
    resample.SetInterpolator(sitk.sitkLinear)
    resample.UseNearestNeighborExtrapolatorOn()
    return resample.Execute(moving)


def _demons(fixed: Any, moving: Any, settings: SimpleItkDemons) -> Any:
    """Displacement field on the target's grid, coarse to fine."""
    import SimpleITK as sitk

    moving = sitk.HistogramMatching(moving, fixed, *_HISTOGRAM, thresholdAtMeanIntensity=True)
    field = None
    for level, iterations in enumerate(settings.iterations):
        factor = 2 ** (len(settings.iterations) - 1 - level)
        target, atlas = (_shrunk(image, factor) for image in (fixed, moving))
        if field is None:
            field = sitk.Image(target.GetSize(), sitk.sitkVectorFloat64, 3)
            field.CopyInformation(target)
        else:
            field = sitk.Resample(field, target, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkVectorFloat64)
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(iterations)
        demons.SetStandardDeviations(settings.smoothing_vox)
        demons.SetMaximumRMSError(0.0)
        field = demons.Execute(target, atlas, field) if iterations else field
    return field


def _shrunk(image: Any, factor: int) -> Any:
    """The image at a lower resolution; an axis that would become too thin keeps its own."""
    import SimpleITK as sitk

    factors = [factor if size // factor >= _MIN_VOXELS else 1 for size in image.GetSize()]
    if max(factors) == 1:
        return image
    sigmas = [0.5 * f * spacing for f, spacing in zip(factors, image.GetSpacing(), strict=True)]
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, sigmas), factors)


def _matrix(affine: Any) -> npt.NDArray[Any]:
    """4 x 4, target to atlas in RAS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(affine.GetMatrix(), (3, 3))
    centre = np.asarray(affine.GetCenter())
    matrix[:3, 3] = np.asarray(affine.GetTranslation()) + centre - matrix[:3, :3] @ centre
    return _RAS_TO_LPS @ matrix @ _RAS_TO_LPS


def _check(target: Target, atlas: Atlas, modality: int) -> None:
    if len(atlas.images) != len(target.images):
        raise RuntimeError(
            f"expected {len(target.images)} modalities as in {target.name}, found {len(atlas.images)} in {atlas.name}"
        )
    if modality >= len(target.images):
        raise RuntimeError(f"modality: expected less than {len(target.images)}, found {modality}")
    for volume in (target, atlas):
        if min(volume.grid.shape) < _MIN_VOXELS:
            shape = "x".join(map(str, volume.grid.shape))
            raise RuntimeError(f"expected {_MIN_VOXELS} voxels or more along every axis, {volume.name} has {shape}")
