"""A registration by another tool, ANTs' SyN (Avants et al. 2008), by `pip install antspyx`.

A study file beside this one names it: `use = "./ants_registration.py:AntsSyN"` under `[registration]`.
"""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench import UNKNOWN, Atlas, Target, WarpedAtlas

BORDER_VOX = 6  # of a warped atlas's images: its border goes on so far, and from there a usual value of it


@dataclass(frozen=True)
class AntsSyN:
    """Rigid, affine, then symmetric normalization by cross-correlation, with one thread.

    Attributes:
        transform: Of `ants.registration`. The one without Quick works at full resolution too, for six times as long.
        modality: Index of the modality that is registered; all are warped.
        seed: Of ANTs' random numbers.
    """

    transform: str = "antsRegistrationSyNQuickRepro[s]"
    modality: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.modality < 0:
            raise ValueError(f"modality: expected 0 or more, found {self.modality}")
        if "Repro" not in self.transform:
            raise ValueError(f"transform: expected one that gives the same again (..Repro..), found {self.transform!r}")

    def version(self) -> str:
        return f"antspyx {metadata.version('antspyx')}, steps 2"

    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        import ants

        ants.config.set_ants_deterministic(True, self.seed)  # and one thread; the keyword random_seed does nothing
        fixed, moving = (_image(_centred(v.images[self.modality]), v.grid.affine) for v in (target, atlas))
        start = _translation(_centre_mm(moving) - _centre_mm(fixed), scratch / "start.mat")
        found = ants.registration(
            fixed, moving, self.transform, initial_transform=start, outprefix=str(scratch / "syn")
        )

        def warped(image: Any, interpolator: str) -> npt.NDArray[Any]:  # 0 beyond it: ANTs takes no value below 0
            return ants.apply_transforms(fixed, image, found["fwdtransforms"], interpolator).numpy()

        usual = [_usual_at_border(voxels) for voxels in atlas.images]
        moved = [_with_border(voxels - at, atlas.grid.affine) for voxels, at in zip(atlas.images, usual, strict=True)]
        images = [warped(image, "linear") + at for image, at in zip(moved, usual, strict=True)]
        seen = warped(_image(np.ones(atlas.grid.shape), atlas.grid.affine), "linear") > 0.5
        labels = warped(_with_border(atlas.labels, atlas.grid.affine), "genericLabel")
        numbers = np.where(seen, np.rint(labels), UNKNOWN).astype(np.int16)
        flags = () if (numbers > 0).any() else ("no overlap: no label on the target",)
        return WarpedAtlas(np.stack(images).astype(np.float32), numbers, flags)


def _centred(voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Beyond an image ANTs sees 0, which would draw edges to each other: 0 becomes a usual value at the border."""
    return voxels - _usual_at_border(voxels)


def _centre_mm(image: Any) -> npt.NDArray[np.float64]:
    """The centre of what differs from the border; ANTs' own centre of mass is anywhere where values are below 0 too."""
    weights = np.abs(image.numpy())
    if not weights.any():
        weights += 1.0
    voxels = [(axis * weights).sum() / weights.sum() for axis in np.indices(weights.shape)]
    return image.origin + image.direction @ (np.asarray(image.spacing) * voxels)


def _translation(mm: npt.NDArray[np.float64], file: Path) -> str:
    """A file with a transform of points of the fixed image to those of the moving one, in LPS mm."""
    import ants

    parameters = [*np.eye(3).ravel(), *mm]
    ants.write_transform(ants.new_ants_transform(transform_type="AffineTransform", parameters=parameters), str(file))
    return str(file)


def _usual_at_border(voxels: npt.NDArray[Any]) -> float:
    return float(np.median([np.median(np.take(voxels, end, axis)) for axis in range(3) for end in (0, -1)]))


def _with_border(voxels: npt.NDArray[Any], affine: npt.ArrayLike) -> Any:
    moved = np.array(affine)
    moved[:3, 3] -= moved[:3, :3].sum(axis=1) * BORDER_VOX
    return _image(np.pad(voxels, BORDER_VOX, "edge"), moved)


def _image(voxels: npt.NDArray[Any], affine: npt.ArrayLike) -> Any:
    """ANTs' image of (x, y, z) voxels; its space is LPS mm, the affine's is RAS mm."""
    import ants

    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    return ants.from_numpy(np.asarray(voxels, np.float32), lps[:3, 3].tolist(), spacing.tolist(), lps[:3, :3] / spacing)
