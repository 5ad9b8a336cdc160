"""The embedded phantom: a synthetic dataset made from a seed in seconds, written like any other dataset.

Twenty people, left and right, two modalities, three labels, three groups: `standard`; `highres`, with other voxels,
contrast and noise, as 7T against 3T; `lesion`, with pathology that changes shape and intensity. People differ by smooth
deformation. Some borders are seen in one modality only, one in none.
"""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dlfbench.datasets.anatomy import LABELS, T1, T2, Lesion, tissues
from dlfbench.datasets.cases import Dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.images import Grid, write_image
from dlfbench.registration.store import default_cache_folder

_VERSION = 1
_FIELD_MM = (36.0, 44.0, 36.0)
_KNOT_MM = 8.0


@dataclass(frozen=True)
class Group:
    """How the images of a group differ.

    Attributes:
        people: How many.
        spacing_mm: Voxel size.
        noise: Standard deviation; white matter is about 1 in t1.
        gamma: Exponent on intensities: another contrast.
        scale: Factor on intensities.
        lesions: Whether the people have one.
    """

    people: int
    spacing_mm: float = 1.0
    noise: float = 0.05
    gamma: float = 1.0
    scale: float = 100.0
    lesions: bool = False


GROUPS = {
    "standard": Group(12),
    "highres": Group(4, spacing_mm=0.8, noise=0.09, gamma=1.8, scale=900.0),
    "lesion": Group(4, noise=0.06, lesions=True),
}


def open_phantom() -> Dataset:
    """The phantom, made in the cache folder when first asked for."""
    folder = default_cache_folder() / f"phantom-{_VERSION}"
    return read_decathlon(folder) if folder.is_dir() else make_phantom(folder)


def make_phantom(folder: Path, *, seed: int = 0) -> Dataset:
    """Writes the phantom in nnU-Net's raw layout; equal seeds give equal bytes.

    Args:
        folder: Must not exist; it appears whole or not at all.
        seed: Of all randomness.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".phantom-") as scratch:
        made = Path(scratch) / "phantom"
        rows = ["case\tperson\tside\tgroup"]
        number = 0
        for name, group in GROUPS.items():
            for _ in range(group.people):
                number += 1
                for side in "LR":
                    case = f"phantom{number:02d}_{side}"
                    _write_case(made, case, group, np.random.SeedSequence([seed, number]), side)
                    rows.append(f"{case}\tperson{number:02d}\t{side}\t{name}")
        (made / "cases.tsv").write_text("\n".join(rows) + "\n")
        (made / "dataset.json").write_text(json.dumps(_header(2 * number), indent=1))
        try:
            os.replace(made, folder)
        except OSError:  # another process made the same phantom meanwhile
            if not folder.is_dir():
                raise
    return read_decathlon(folder)


def _header(cases: int) -> dict[str, Any]:
    return {
        "name": "phantom",
        "description": "synthetic anatomy made by dlfbench",
        "channel_names": {"0": "t1", "1": "t2"},
        "labels": LABELS,
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }


def _write_case(folder: Path, case: str, group: Group, seed: np.random.SeedSequence, side: str) -> None:
    # both sides of a person share most of their shape; each has its own small part, noise and bias
    person, left, right = seed.spawn(3)
    shape, own = np.random.default_rng(person), np.random.default_rng(left if side == "L" else right)
    grid = _grid(group.spacing_mm)
    points_mm = _points_mm(grid)
    if side == "R":
        points_mm[0] *= -1
    points_mm = _posed(points_mm, shape)
    points_mm += _displacement_mm(points_mm, shape, amplitude_mm=1.6) + _displacement_mm(
        points_mm, own, amplitude_mm=0.6
    )
    thickness = shape.normal(1.0, 0.05)
    lesion = _lesion(shape) if group.lesions else None
    found = tissues(points_mm, thickness=thickness * (0.88 if group.lesions else 1.0), lesion=lesion)
    for channel, table in enumerate((T1, T2)):
        image = _image(found, table, group, own)
        write_image(folder / "imagesTr" / f"{case}_{channel:04d}.nii.gz", image, grid)
    labels = np.where(found <= max(LABELS.values()), found, 0).astype(np.uint8)
    write_image(folder / "labelsTr" / f"{case}.nii.gz", labels, grid)


def _grid(spacing_mm: float) -> Grid:
    shape = tuple(round(size / spacing_mm) for size in _FIELD_MM)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * spacing_mm for n in shape]
    return Grid.of(shape, affine)


def _points_mm(grid: Grid) -> npt.NDArray[np.float64]:
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def _posed(points_mm: npt.NDArray[np.float64], generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """A person's size and position: scale, rotation, translation."""
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_euler("xyz", generator.normal(0, 4, 3), degrees=True).as_matrix()
    matrix = rotation @ np.diag(generator.normal(1.0, 0.06, 3))
    moved: npt.NDArray[np.float64] = np.einsum("ij,jxyz->ixyz", matrix, points_mm)
    return moved + generator.normal(0, 1.2, (3, 1, 1, 1))


def _displacement_mm(
    points_mm: npt.NDArray[np.float64], generator: np.random.Generator, *, amplitude_mm: float
) -> npt.NDArray[np.float64]:
    """A smooth random displacement: cubic splines between random values on knots 8 mm apart."""
    knots = [int(np.ceil(size / _KNOT_MM)) + 5 for size in _FIELD_MM]
    middle = np.reshape([(n - 1) / 2 for n in knots], (3, 1, 1, 1))
    where = points_mm / _KNOT_MM + middle
    return np.stack(
        [
            ndimage.map_coordinates(generator.normal(0, amplitude_mm, knots), where, order=3, mode="nearest")
            for _ in range(3)
        ]
    )


def _lesion(generator: np.random.Generator) -> Lesion:
    x, y, z = generator.uniform([-6, -9, -2], [6, 7, 4])
    return Lesion((float(x), float(y), float(z)), float(generator.uniform(2.5, 4.5)))


def _image(
    found: npt.NDArray[np.int8], table: dict[int, float], group: Group, generator: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Intensities: tissue values, blur of the scanner, contrast, bias field, noise."""
    values = np.array([table.get(code, 0.0) for code in range(max(table) + 1)])
    image = ndimage.gaussian_filter(values[found], 0.6) ** group.gamma
    bias = ndimage.zoom(
        generator.normal(0, 0.08, (3, 3, 3)), [n / 3 for n in found.shape], order=3, mode="nearest", grid_mode=True
    )
    noisy = image * np.exp(bias) + generator.normal(0, group.noise, found.shape)
    return np.round(group.scale * np.clip(noisy, 0, None), 3).astype(np.float32)
