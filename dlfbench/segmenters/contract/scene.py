"""Tiny made-up images that a method is checked on: in memory, and as a dataset on disk for methods that train."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dlfbench.images import UNKNOWN, Grid, LabelArray, write_image
from dlfbench.records.described_data import DescribedCase, DescribedData
from dlfbench.records.description import Description
from dlfbench.segmenters.interface import Training, TrainingCase
from dlfbench.volumes import AtlasSet, Target

LABEL_VALUES = (0, 1, 4)  # with a gap, which tells a label's value from its index
TRAINING_CASES = 4
_SHAPE = (16, 18, 14)


@dataclass(frozen=True)
class Scene:
    """What is asked of one target.

    Attributes:
        atlases: How many.
        modalities: How many.
        spacing_mm: Voxel size.
        shape: Voxels along (x, y, z).
        absent: Whether no atlas carries the last label, which the target lacks as well.
        ending: Whether atlases end before the last slices along z, some earlier than others.
        order: Memory order of the arrays, C or F.
    """

    atlases: int = 5
    modalities: int = 1
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shape: tuple[int, int, int] = _SHAPE
    absent: bool = False
    ending: bool = False
    order: str = "C"

    @property
    def grid(self) -> Grid:
        return Grid.of(self.shape, np.diag([*self.spacing_mm, 1.0]))

    def target(self) -> Target:
        images, _ = self._case(0)
        return Target("target", np.array(images, order=self.order), self.grid, {"side": "L"})  # type: ignore[call-overload]

    def reference(self) -> LabelArray:
        return self._case(0)[1]

    def atlas_set(self, numbers: range | None = None) -> AtlasSet:
        """The atlases, or those of the given numbers (1 and up), as if they were warped."""
        numbers = numbers or range(1, self.atlases + 1)
        cases = [self._case(number) for number in numbers]
        images = np.array([images for images, _ in cases], order=self.order)  # type: ignore[call-overload]
        labels = np.array([labels for _, labels in cases], order=self.order)  # type: ignore[call-overload]
        for place, reached in enumerate(labels if self.ending else ()):
            reached[..., -1 - place % 4 :] = UNKNOWN
        return AtlasSet(tuple(f"atlas{n:02d}" for n in numbers), images, labels, LABEL_VALUES)

    def _case(self, number: int) -> tuple[npt.NDArray[np.float32], LabelArray]:
        """Images (modality, x, y, z) and labels (x, y, z) of one made-up person."""
        random = np.random.default_rng(number)
        axes = [np.arange(n) for n in self.shape]
        points = np.stack(np.meshgrid(*axes, indexing="ij")).astype(float)
        centre = (np.array(self.shape) - 1) / 2 + random.normal(0, 0.4, 3)
        away = (points - centre.reshape(3, 1, 1, 1)) / np.reshape(self.shape, (3, 1, 1, 1)) * random.uniform(3.0, 3.4)
        inside = (away**2).sum(axis=0) < 1
        back = 0 if self.absent else LABEL_VALUES[2]
        labels = np.where(inside, np.where(away[1] < 0, LABEL_VALUES[1], back), 0).astype(np.int16)
        images = [
            100
            + 60.0 * (labels > 0)
            + 30.0 * (labels == LABEL_VALUES[1 + channel % 2])
            + random.normal(0, 6, self.shape)
            for channel in range(self.modalities)
        ]
        return np.stack(images).astype(np.float32), labels


@dataclass(frozen=True)
class SceneCase(TrainingCase):
    """A training case of the dataset on disk."""

    sample: Scene
    number: int
    folder: Path

    @property
    def name(self) -> str:  # type: ignore[override]
        return "target" if self.number == 0 else f"train{self.number:02d}"

    @property
    def image_paths(self) -> tuple[Path, ...]:  # type: ignore[override]
        channels = range(self.sample.modalities)
        return tuple(self.folder / "imagesTr" / f"{self.name}_{channel:04d}.nii.gz" for channel in channels)

    @property
    def reference_path(self) -> Path:  # type: ignore[override]
        return self.folder / "labelsTr" / f"{self.name}.nii.gz"

    def read_target(self) -> Target:
        return Target(self.name, self.sample._case(self.number)[0], self.sample.grid, {"side": "L"})

    def read_reference(self) -> LabelArray:
        return self.sample._case(self.number)[1]

    def read_atlases(self) -> AtlasSet:
        return self.sample.atlas_set(range(10, 10 + self.sample.atlases))

    def write(self) -> None:
        for path, voxels in zip(self.image_paths, self.read_target().images, strict=True):
            write_image(path, voxels, self.sample.grid)
        write_image(self.reference_path, self.read_reference().astype(np.uint8), self.sample.grid)


def write_training(folder: Path, sample: Scene) -> Training:
    """Writes the training cases, and the target with its reference beside them, as a dataset."""
    cases = [SceneCase(sample, number, folder) for number in range(TRAINING_CASES + 1)]
    for case in cases:
        case.write()
    header = {
        "channel_names": {str(c): f"m{c}" for c in range(sample.modalities)},
        "labels": {"background": 0, "front": LABEL_VALUES[1], "back": LABEL_VALUES[2]},
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(header))
    return Training(cases[1:], LABEL_VALUES, tuple(f"m{c}" for c in range(sample.modalities)))


def described_target(folder: Path) -> Description:
    """What a run folder says of the target: all that a method which looks around could find."""
    case = SceneCase(Scene(), 0, folder)
    said = DescribedCase(images=tuple(map(str, case.image_paths)), reference=str(case.reference_path))
    return Description(data=DescribedData(cases={case.name: said}))
