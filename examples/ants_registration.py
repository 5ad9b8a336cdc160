"""A registration by another tool, ANTs' SyN (Avants et al. 2008), for `pip install antspyx`.

    [registration]
    use = "./ants_registration.py:AntsSyN"
"""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from dlfbench import UNKNOWN, Atlas, Target, WarpedAtlas

BORDER_VOX = 6  # beyond an image ANTs sees 0: the atlas's border goes on so far


@dataclass(frozen=True)
class AntsSyN:
    """Rigid, affine, then symmetric normalization by cross-correlation.

    Attributes:
        transform: Of `ants.registration`. Only those named Repro give the same again; the one without Quick works at full
            resolution too, for six times as long.
        modality: Index of the modality that is registered; all are warped.
        seed: Of ANTs' random numbers.
    """

    transform: str = "antsRegistrationSyNQuickRepro[s]"
    modality: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.modality < 0:
            raise ValueError(f"modality: expected 0 or more, found {self.modality}")

    def version(self) -> str:
        return f"antspyx {metadata.version('antspyx')}, steps 1"

    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        import ants

        ants.config.set_ants_deterministic(True, self.seed)  # and one thread; the keyword random_seed does nothing
        fixed = _image(target.images[self.modality], target.grid.affine)
        moving = [_image(np.pad(v, BORDER_VOX, "edge"), _padded(atlas.grid.affine)) for v in atlas.images]
        labels = _image(np.pad(atlas.labels, BORDER_VOX, "edge"), _padded(atlas.grid.affine))
        found = ants.registration(fixed, moving[self.modality], self.transform, outprefix=str(scratch / "syn"))

        def warped(image: Any, interpolator: str) -> np.ndarray:
            return ants.apply_transforms(fixed, image, found["fwdtransforms"], interpolator).numpy()

        images = np.stack([warped(image, "linear") for image in moving]).astype(np.float32)
        seen = warped(_image(np.ones(atlas.grid.shape), atlas.grid.affine), "linear") > 0.5
        numbers = np.where(seen, np.rint(warped(labels, "genericLabel")), UNKNOWN).astype(np.int16)
        return WarpedAtlas(images, numbers, () if (numbers > 0).any() else ("no overlap: no label on the target",))


def _padded(affine: np.ndarray) -> np.ndarray:
    moved = np.array(affine)
    moved[:3, 3] -= moved[:3, :3].sum(axis=1) * BORDER_VOX
    return moved


def _image(voxels: np.ndarray, affine: np.ndarray) -> Any:
    """ANTs' image of (x, y, z) voxels; its space is LPS mm, the affine's is RAS mm."""
    import ants

    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return ants.from_numpy(
        np.asarray(voxels, np.float32), affine[:3, 3].tolist(), spacing.tolist(), affine[:3, :3] / spacing
    )
