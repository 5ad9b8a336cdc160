"""Registration by greedy (Yushkevich et al., 2016): affine, then greedy diffeomorphic, in memory.

To greedy everything outside of an image is 0, in the metric and when it resamples. So it gets every image on a scale
of its own (`registration.scale`), on which 0 is a usual value at the image's border, and an atlas with its border
going on for some voxels: the result depends on no offset and no scale, and the edge of a crop draws nothing to itself.
"""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.region import Box, candidate_box
from dlfbench.images import UNKNOWN, Grid
from dlfbench.registration.interface import WarpedAtlas
from dlfbench.registration.quality import jacobian_determinant, quality_flags
from dlfbench.registration.scale import Scale
from dlfbench.volumes import Atlas, Target

# Part of the version, and so of the keys in the store: raise it when the commands below give other results.
_STEPS = 4
_BORDER_VOX = 6  # the atlas's border goes on so far
_MIN_VOXELS = 4  # along every axis, of greedy's recursive filters
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])

_SIGMA = r"\d+(\.\d+)?(vox|mm)"
_METRIC = (r"SSD|MI|NMI|W?NCC \d+x\d+x\d+", "SSD, MI, NMI, or NCC or WNCC with a radius such as NCC 2x2x2")
_FORMS = {
    # an affine level of no iterations crashes greedy; a deformable one is skipped
    "affine_iterations": (r"[1-9]\d*(x[1-9]\d*)*", "numbers of 1 or more such as 100x50"),
    "affine_metric": _METRIC,
    "iterations": (r"\d+(x\d+)*", "numbers such as 100x50x20"),
    "metric": _METRIC,
    "smoothing": (f"{_SIGMA} {_SIGMA}", "two widths such as 1.5vox 0.5vox"),
    "label_smoothing": (_SIGMA, "a width such as 0.2vox"),
}


@dataclass(frozen=True)
class Greedy:
    """Affine, then greedy diffeomorphic registration with picsl-greedy.

    Attributes:
        affine_dof: 12 (affine), 7 (similarity) or 6 (rigid).
        affine_iterations: Per resolution level, coarse to fine.
        affine_metric: Metric and its parameters; patch radii in voxels.
        iterations: Of the deformable registration, per resolution level; 0 skips a level.
        metric: Metric of the deformable registration.
        smoothing: Of the update and of the whole field.
        label_smoothing: Of greedy's LABEL interpolation.
        modality_weights: Weight of each modality; all alike by default.
        seed: Of greedy's own random numbers.
        threads: At most so many for one registration. With more than one, greedy's result differs from run to run
            whatever the seed; registering several atlases at a time uses the processors as well.
    """

    least_vox: ClassVar[int] = _MIN_VOXELS

    affine_dof: int = 12
    affine_iterations: str = "100x50"
    affine_metric: str = "NCC 2x2x2"
    iterations: str = "100x50x20"
    metric: str = "NCC 2x2x2"
    smoothing: str = "1.5vox 0.5vox"
    label_smoothing: str = "0.2vox"
    modality_weights: tuple[float, ...] | None = None
    seed: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        if self.affine_dof not in (6, 7, 12):
            yield f"affine_dof: expected 6, 7 or 12, found {self.affine_dof}"
        for name, (form, expected) in _FORMS.items():
            if not re.fullmatch(form, getattr(self, name)):
                yield f"{name}: expected {expected}, found {getattr(self, name)!r}"
        weights = self.modality_weights
        if weights is not None and not (weights and all(0 < weight < np.inf for weight in weights)):
            yield f"modality_weights: expected a positive number per modality, found {weights}"
        if not 1 <= self.seed < 2**31:
            yield f"seed: expected 1 or more (0 is the clock to greedy) and less than 2^31, found {self.seed}"
        if self.threads < 1:
            yield f"threads: expected 1 or more, found {self.threads}"

    def version(self) -> str:
        """Tool and version, and the count of changes to how dlfbench calls it."""
        return f"picsl-greedy {metadata.version('picsl-greedy')}, steps {_STEPS}"

    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        """Registers the atlas to the target and resamples its images (linearly) and its labels onto the target's grid.

        Beyond the atlas's field of view labels are `UNKNOWN`; images show its border, farther out the border's median.

        Raises:
            RuntimeError: The images do not suit greedy, or it failed.
        """
        _check(target, atlas, self.modality_weights)
        session = _Session(target, atlas, self._options(threads))
        self._align(session)
        self._deform(session, target, atlas)
        found = self._resample(session, scratch, "warp affine")
        return _checked(*found, affine=session.result("affine"), warp=session.result("warp"))

    def _options(self, threads: int) -> str:
        return f"-V 0 -seed {self.seed} -threads {min(self.threads, threads)}"

    def _align(self, session: "_Session") -> None:
        session.execute(
            f"-a -dof {self.affine_dof} -n {self.affine_iterations} -m {self.affine_metric} -ia-image-centers "
            f"{self._pairs(session)} -o affine",
            affine=None,
        )

    def _deform(self, session: "_Session", target: Target, atlas: Atlas) -> None:
        levels = _without_thin_levels(self.iterations, min(*target.grid.shape, *atlas.grid.shape))
        session.execute(
            f"-n {levels} -m {self.metric} -s {self.smoothing} {self._pairs(session)} -it affine -wp 0 -o warp",
            warp=None,
        )

    def _pairs(self, session: "_Session") -> str:
        weights = self.modality_weights or (1.0,) * len(session.atlas_scales)
        return " ".join(f"-w {weight:g} -i target{i} atlas{i}" for i, weight in enumerate(weights))

    def _resample(self, session: "_Session", scratch: Path, transforms: str) -> "_Resampled":
        """The atlas on the target's grid by these transforms, the one that is applied last to the atlas first."""
        return *_warp_images(session, transforms), self._warp_labels(session, scratch, transforms)

    def _warp_labels(self, session: "_Session", scratch: Path, transforms: str) -> npt.NDArray[np.int16]:
        """By way of a file: greedy gives LABEL-interpolated images to files only, never to memory."""
        import SimpleITK as sitk

        with tempfile.TemporaryDirectory(prefix="greedy-", dir=_without_space(scratch)) as folder:
            path = Path(folder) / "labels.nrrd"
            session.execute(f"-rf target0 -ri LABEL {self.label_smoothing} -rm labels {path} -r {transforms}")
            if not path.is_file():
                raise RuntimeError("greedy wrote no warped labels")
            return np.asarray(np.rint(from_sitk(sitk.ReadImage(str(path)))), dtype=np.int16)


@dataclass(frozen=True)
class GreedyRoi(Greedy):
    """Greedy for whole heads: affine everywhere, deformable only around where the atlas's labels come to lie.

    The region is the box around the labels after the affine step, and a margin; without labels there, it is the whole
    image. The result lies on the target's whole grid: beyond the region the atlas shows as the affine step brings it,
    without labels.

    Attributes:
        margin_mm: So far beyond the labels, mm.
    """

    margin_mm: float = 20.0

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        if not self.margin_mm > 0:
            yield f"margin_mm: expected more than 0, found {self.margin_mm}"

    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        """As `Greedy.warp`."""
        _check(target, atlas, self.modality_weights)
        session = _Session(target, atlas, self._options(threads))
        self._align(session)
        found: tuple[npt.NDArray[Any], ...] = self._resample(session, scratch, "affine")
        x, y, z = (max(int(np.ceil(self.margin_mm / along)), _MIN_VOXELS) for along in target.grid.spacing_mm)
        box = candidate_box(found[2][None], (x, y, z))
        part = _part(target, box)
        session.turn_to(part)
        self._deform(session, part, atlas)
        here: tuple[Any, ...] = (..., *box)
        for everywhere, within in zip(found, self._resample(session, scratch, "warp affine"), strict=True):
            everywhere[here] = within
        return _checked(*found, affine=session.result("affine"), warp=session.result("warp"))


_Resampled = tuple[npt.NDArray[np.float32], npt.NDArray[Any], npt.NDArray[np.int16]]
"""Images (modality, x, y, z), share of each voxel in the atlas's field of view, and labels (x, y, z)."""


def _checked(
    images: npt.NDArray[np.float32], support: npt.NDArray[Any], labels: npt.NDArray[np.int16], *, affine: Any, warp: Any
) -> WarpedAtlas:
    labels = np.where(support > 0.5, labels, np.int16(UNKNOWN))
    flags = quality_flags(images, labels, affine=np.asarray(affine), jacobian=_jacobian(warp), support=support)
    return WarpedAtlas(np.nan_to_num(images, nan=0.0, posinf=0.0, neginf=0.0), labels, flags)


def _part(target: Target, box: Box) -> Target:
    images = target.images[(slice(None), *box)]
    affine = np.asarray(target.grid.affine).copy()
    affine[:3, 3] += affine[:3, :3] @ [along.start for along in box]
    return replace(target, images=images, grid=Grid.of(images.shape[1:], affine))


class _Session:
    """A target and an atlas inside of greedy, which finds them by name: target0, ..., atlas0, ..., labels, fov."""

    def __init__(self, target: Target, atlas: Atlas, options: str) -> None:
        from picsl_greedy import Greedy3D

        self._greedy, self._options = Greedy3D(), options
        self.turn_to(target)
        self.atlas_scales = [Scale.of(image) for image in atlas.images]
        grid = _with_border(atlas.grid)
        images = [scale.apply(image) for scale, image in zip(self.atlas_scales, atlas.images, strict=True)]
        self._atlas = {f"atlas{i}": to_sitk(np.pad(v, _BORDER_VOX, "edge"), grid) for i, v in enumerate(images)}
        self._atlas["labels"] = to_sitk(np.pad(atlas.labels.astype(np.float32), _BORDER_VOX, "edge"), grid)
        self._atlas["fov"] = to_sitk(np.ones(atlas.grid.shape, np.float32), atlas.grid)

    def turn_to(self, target: Target) -> None:
        """Puts another image, or a part of it, in the target's place; transforms that were found stay."""
        images = [Scale.of(image).apply(image) for image in target.images]
        self._target = {f"target{i}": to_sitk(image, target.grid) for i, image in enumerate(images)}

    def execute(self, command: str, **results: None) -> None:
        # Every image every time: what greedy keeps of them has noise in it after a registration by NCC.
        self._greedy.execute(f"{self._options} {command}", **self._target, **self._atlas, **results)

    def result(self, name: str) -> Any:
        return self._greedy[name]


def _warp_images(session: _Session, transforms: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
    """Warped images (modality, x, y, z), and the share of each voxel that lies in the atlas's field of view."""
    scales = session.atlas_scales
    names = {f"atlas{i}": f"warped{i}" for i in range(len(scales))} | {"fov": "support"}
    pairs = " ".join(f"-rm {name} {result}" for name, result in names.items())
    session.execute(f"-rf target0 -ri LINEAR {pairs} -r {transforms}", **dict.fromkeys(names.values()))
    *images, support = (from_sitk(session.result(result)) for result in names.values())
    return np.stack([scale.undo(image) for scale, image in zip(scales, images, strict=True)]), support


def _jacobian(warp: Any) -> npt.NDArray[np.float64]:
    """Determinant at each voxel (x, y, z) of greedy's warp, which holds displacements in LPS mm."""
    import SimpleITK as sitk

    to_mm = np.reshape(warp.GetDirection(), (3, 3)) * warp.GetSpacing()
    return jacobian_determinant(sitk.GetArrayFromImage(warp).transpose(2, 1, 0, 3), to_mm)


def _with_border(grid: Grid) -> Grid:
    """The grid with so many voxels more on every side."""
    affine = np.asarray(grid.affine).copy()
    affine[:3, 3] -= affine[:3, :3].sum(axis=1) * _BORDER_VOX
    return Grid.of(tuple(n + 2 * _BORDER_VOX for n in grid.shape), affine)


def to_sitk(voxels: npt.NDArray[Any], grid: Grid) -> Any:
    """A SimpleITK image of (x, y, z) voxels: ITK keeps arrays as (z, y, x) and space as LPS."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.transpose(2, 1, 0)))
    affine = np.asarray(grid.affine)
    image.SetSpacing(grid.spacing_mm)
    image.SetDirection((_RAS_TO_LPS @ affine[:3, :3] / grid.spacing_mm).ravel().tolist())
    image.SetOrigin((_RAS_TO_LPS @ affine[:3, 3]).tolist())
    return image


def from_sitk(image: Any) -> npt.NDArray[Any]:
    """Voxels (x, y, z) of a SimpleITK image."""
    import SimpleITK as sitk

    return np.ascontiguousarray(sitk.GetArrayFromImage(image).transpose(2, 1, 0))


def _check(target: Target, atlas: Atlas, weights: tuple[float, ...] | None) -> None:
    """Greedy crashes, rather than fails, on some of these."""
    count = len(target.images)
    if len(atlas.images) != count:
        found = len(atlas.images)
        raise RuntimeError(f"expected {count} modalities as in {target.name}, found {found} in {atlas.name}")
    if weights is not None and len(weights) != count:
        raise RuntimeError(f"modality_weights: expected {count}, one per modality, found {len(weights)}")
    for volume in (target, atlas):
        if min(volume.grid.shape) < _MIN_VOXELS:
            shape = "x".join(map(str, volume.grid.shape))
            raise RuntimeError(f"greedy needs {_MIN_VOXELS} voxels or more along every axis, {volume.name} has {shape}")


def _without_thin_levels(iterations: str, voxels: int) -> str:
    """Skips the coarse levels, each of half the resolution, at which the thinnest axis has too few voxels."""
    levels = iterations.split("x")
    coarsest = max(level for level in range(len(levels)) if level == 0 or voxels >> level >= _MIN_VOXELS)
    return "x".join("0" if len(levels) - 1 - i > coarsest else level for i, level in enumerate(levels))


def _without_space(scratch: Path) -> Path:
    """The folder, or the system's: greedy splits its command line at spaces."""
    for folder in (scratch, Path(tempfile.gettempdir())):
        if not re.search(r"\s", str(folder)):
            return folder
    raise RuntimeError(f"greedy cannot use {scratch}: set TMPDIR to a folder without a space in its path")
