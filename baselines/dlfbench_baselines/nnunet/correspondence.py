"""Which image channel and which label of a dataset is which of a model."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dlfbench.volumes import Target

_FILE = "correspondence.json"


@dataclass(frozen=True)
class Correspondence:
    """How a dataset's channels and labels map onto a model's.

    Attributes:
        channels: For each channel of the model, the index of the dataset's modality.
        classes: For each declared label of the dataset, the index of the model's class.
    """

    channels: tuple[int, ...]
    classes: tuple[int, ...]

    @classmethod
    def straight(cls, channels: int, classes: int) -> "Correspondence":
        """Of a model that was trained on the dataset itself."""
        return cls(tuple(range(channels)), tuple(range(classes)))

    @classmethod
    def load(cls, folder: Path) -> "Correspondence":
        """Reads what `save` left."""
        content = json.loads((folder / _FILE).read_text())
        return cls(tuple(content["channels"]), tuple(content["classes"]))

    def save(self, folder: Path) -> None:
        """Writes it into a folder."""
        (folder / _FILE).write_text(json.dumps(asdict(self)))

    def images(self, target: Target) -> npt.NDArray[np.float32]:
        """The target's images (channel, x, y, z) in the model's order.

        Raises:
            ValueError: The target has another number of images.
        """
        if len(target.images) != len(self.channels):
            raise ValueError(f"{target.name}: expected {len(self.channels)} modalities, found {len(target.images)}")
        return target.images[list(self.channels)]

    def posterior(self, found: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The model's posterior (class, x, y, z) in the order of the dataset's labels."""
        return found[list(self.classes)]
