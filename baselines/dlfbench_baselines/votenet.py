"""VoteNet: a network that says which atlases are right (Ding, Han and Niethammer, MICCAI 2019)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import NonNegativeInt, PositiveInt

from dlfbench.networks.method import NetworkMethod
from dlfbench.networks.presets import Preset

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dlfbench.networks.samples import Sample
    from dlfbench.networks.unet import Architecture


@dataclass(frozen=True)
class VoteNet(NetworkMethod):
    """For each atlas and voxel a network says whether the candidate's label is right; those that are, vote.

    The network sees the target and one warped atlas, and learns from the training cases with the others as atlases. In
    use, atlases vote where their chance to be right is above a half; where none is, all do (Ding 2019).

    Attributes:
        atlases: Of one training sample, drawn with replacement; the preset's by default. All are used in the end.
        margin_vox: Around the box of all candidates.
    """

    trains_on_atlases: ClassVar[bool] = True
    presets: ClassVar[dict[str, Preset]] = {
        "quick": Preset(8, 60, 32, 2, targets=1),
        "cpu": Preset(16, 1200, 40, 4, targets=1, heavy=False),
        "paper": Preset(32, 20_000, 72, 1, targets=1, blocks=False, heavy=False, norm="batch", learning_rate=1e-3),
    }

    atlases: PositiveInt | None = None
    margin_vox: NonNegativeInt = 4

    @property
    def margin(self) -> int:
        return self.margin_vox

    def build(self, modalities: int, classes: int, architecture: "Architecture") -> "nn.Module":
        from dlfbench_baselines.votenet_network import VoteNetwork

        return VoteNetwork(modalities, architecture)

    def scores(self, model: "nn.Module", sample: "Sample") -> "Tensor":
        from dlfbench_baselines.votenet_network import VoteNetwork

        assert isinstance(model, VoteNetwork)
        model.window_vox = self.window_vox
        return model.predict(sample, atlases_at_a_time=self.atlases_at_a_time(sample))
