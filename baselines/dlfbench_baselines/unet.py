"""The 3D U-Net baseline."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dlfbench.networks.method import NetworkMethod
from dlfbench.networks.presets import PAPER, Preset

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dlfbench.networks.samples import Sample
    from dlfbench.networks.unet import Architecture


@dataclass(frozen=True)
class UNet3D(NetworkMethod):
    """3D U-Net of the target's image alone: deep label fusion's fine-tuning subnet without atlases (Xie et al. 2023).

    Four levels, coordinate maps and deep supervision, trained by the same loop with the same augmentation.
    """

    needs_atlases: ClassVar[bool] = False
    presets: ClassVar[dict[str, Preset]] = {
        "quick": Preset(8, 60, 32),
        "cpu": Preset(32, 1200, 56),
        "paper": PAPER,
    }

    def build(self, modalities: int, classes: int, architecture: "Architecture") -> "nn.Module":
        from dlfbench.networks.image_network import ImageNetwork

        return ImageNetwork(modalities, classes, architecture)

    def scores(self, model: "nn.Module", sample: "Sample") -> "Tensor":
        from dlfbench.networks.image_network import ImageNetwork

        assert isinstance(model, ImageNetwork)
        model.window_vox = self.window_vox
        return model.predict(sample)
