"""Registration by greedy (Yushkevich et al., 2016): affine, then greedy diffeomorphic, in memory."""

import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.images import Grid
from dlfbench.registration.interface import WarpedAtlas
from dlfbench.registration.quality import quality_flags
from dlfbench.volumes import Atlas, Target

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Greedy:
    """Affine, then greedy diffeomorphic registration with picsl-greedy.

    Attributes:
        affine_dof: 12 (affine), 7 (similarity) or 6 (rigid).
        affine_iterations: Per resolution level, coarse to fine.
        affine_metric: Metric and its parameters; patch radii in voxels.
        iterations: Of the deformable registration, per resolution level.
        metric: Metric of the deformable registration.
        smoothing: Of the update and of the whole field.
        label_smoothing: Of greedy's LABEL interpolation.
        modality_weights: Weight of each modality; all alike by default.
        seed: Of greedy's own random numbers.
    """

    affine_dof: int = 12
    affine_iterations: str = "100x50"
    affine_metric: str = "NCC 2x2x2"
    iterations: str = "100x50x20"
    metric: str = "NCC 2x2x2"
    smoothing: str = "1.5vox 0.5vox"
    label_smoothing: str = "0.2vox"
    modality_weights: tuple[float, ...] | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        if self.affine_dof not in (6, 7, 12):
            raise ValueError(f"affine_dof: expected 6, 7 or 12, found {self.affine_dof}")
        if self.seed < 1:
            raise ValueError(f"seed: expected 1 or more (0 is the clock to greedy), found {self.seed}")
        for name in ("affine_iterations", "iterations"):
            levels = getattr(self, name).split("x")
            if not all(level.isdigit() for level in levels):
                raise ValueError(f"{name}: expected numbers such as 100x50x20, found {getattr(self, name)!r}")

    def version(self) -> str:
        """Tool and version."""
        return f"picsl-greedy {metadata.version('picsl-greedy')}"

    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        """Registers the atlas to the target and resamples its images (linearly) and its labels onto the target's grid.

        Raises:
            RuntimeError: Greedy failed.
        """
        from picsl_greedy import Greedy3D

        # greedy splits its command line at spaces, so that its files cannot have one in their path
        with tempfile.TemporaryDirectory(prefix="greedy-", dir=None if " " in str(scratch) else scratch) as folder:
            greedy, common = Greedy3D(), f"-V 0 -seed {self.seed} -threads {threads}"
            images = _named("target", target.images, target.grid) | _named("atlas", atlas.images, atlas.grid)
            pairs = self._pairs(len(target.images))
            greedy.execute(
                f"{common} -a -dof {self.affine_dof} -n {self.affine_iterations} -m {self.affine_metric} "
                f"-ia-image-centers {pairs} -o affine",
                affine=None,
                **images,
            )
            greedy.execute(
                f"{common} -n {_levels(self.iterations, target.grid)} -m {self.metric} -s {self.smoothing} {pairs} "
                "-it affine -o warp",
                warp=None,
            )
            greedy.execute(f"{common} -rf target0 -rj jacobian -r warp", jacobian=None)
            labels_file = Path(folder) / "labels.nii"
            outputs: dict[str, Any] = {f"warped{i}": None for i in range(len(atlas.images))}
            reslice = " ".join(f"-rm atlas{i} warped{i}" for i in range(len(atlas.images)))
            greedy.execute(
                f"{common} -rf target0 -ri LINEAR {reslice} -ri LABEL {self.label_smoothing} -rm labels {labels_file} "
                "-r warp affine",
                labels=to_sitk(atlas.labels.astype(np.float32), atlas.grid),
                **outputs,
            )
            warped = np.stack([_voxels(greedy[name]) for name in outputs]).astype(np.float32)
            candidate = _read_labels(labels_file)
            flags = quality_flags(warped, candidate, np.asarray(greedy["affine"]), _voxels(greedy["jacobian"]))
        return WarpedAtlas(warped, candidate, flags)

    def _pairs(self, modalities: int) -> str:
        weights = self.modality_weights or (1.0,) * modalities
        if len(weights) != modalities:
            raise RuntimeError(f"modality_weights: expected {modalities}, one per modality, found {len(weights)}")
        return " ".join(f"-w {weight:g} -i target{i} atlas{i}" for i, weight in enumerate(weights))


def to_sitk(voxels: npt.NDArray[Any], grid: Grid) -> Any:
    """A SimpleITK image of (x, y, z) voxels: ITK keeps arrays as (z, y, x) and space as LPS."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.transpose(2, 1, 0)))
    affine = np.asarray(grid.affine)
    image.SetSpacing(grid.spacing_mm)
    image.SetDirection((_RAS_TO_LPS @ affine[:3, :3] / grid.spacing_mm).ravel().tolist())
    image.SetOrigin((_RAS_TO_LPS @ affine[:3, 3]).tolist())
    return image


def _named(name: str, images: npt.NDArray[np.float32], grid: Grid) -> dict[str, Any]:
    return {f"{name}{i}": to_sitk(voxels, grid) for i, voxels in enumerate(images)}


def _voxels(image: Any) -> npt.NDArray[Any]:
    import SimpleITK as sitk

    return np.ascontiguousarray(sitk.GetArrayFromImage(image).transpose(2, 1, 0))


def _read_labels(path: Path) -> npt.NDArray[np.int16]:
    """Greedy gives LABEL-interpolated images to files only, never to memory."""
    import SimpleITK as sitk

    if not path.is_file():
        raise RuntimeError("greedy wrote no warped labels")
    return np.rint(_voxels(sitk.ReadImage(str(path)))).astype(np.int16)


def _levels(iterations: str, grid: Grid) -> str:
    """Skips the coarse levels at which the thinnest axis would have fewer than four voxels."""
    levels = iterations.split("x")
    keep = max(1, int(np.log2(max(min(grid.shape), 4) / 4)) + 1)
    return "x".join("0" if i < len(levels) - keep else level for i, level in enumerate(levels))
