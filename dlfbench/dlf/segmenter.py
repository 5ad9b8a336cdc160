"""Deep label fusion as a method."""

from dataclasses import dataclass, fields
from math import prod
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import NonNegativeInt, PositiveInt

from dlfbench.networks.method import NetworkMethod, Preset

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dlfbench.networks.samples import Sample
    from dlfbench.networks.unet import Architecture

_BYTES_PER_FEATURE = 32  # of one voxel and feature at full resolution, all that is alive at a time in evaluation


@dataclass(frozen=True)
class DeepLabelFusionMethod(NetworkMethod):
    """Deep label fusion: a network weighs the atlases' votes, another refines their consensus (Xie et al. 2023).

    Attributes:
        atlases: Of one training sample, drawn with replacement; the preset's by default. All are used in the end.
        voting: The weighted voting subnet; false: every vote counts alike.
        fine_tuning: The fine-tuning subnet; false: the initial consensus is the answer.
        mask: Each label only near where a candidate has it.
        combine: odds: the fine-tuning subnet segments the image by itself, and its log odds are added to the vote's.
            residual (paper): it sees the vote, and its output is added to it.
        similarity: Start from voting weighted by the local correlation of target and atlas.
        coarse_weights: The voting subnet works at half the resolution.
        margin_vox: Around the box of all candidates.
    """

    trains_on_atlases: ClassVar[bool] = True
    presets: ClassVar[dict[str, Preset]] = {
        "quick": Preset(8, 60, 32, 6),
        "cpu": Preset(16, 1000, 40, 10),
        "paper": Preset(32, None, 72, 10, "learned"),
    }

    atlases: PositiveInt | None = None
    voting: bool = True
    fine_tuning: bool = True
    mask: bool = True
    combine: Literal["odds", "residual"] = "odds"
    similarity: bool = True
    coarse_weights: bool = True
    margin_vox: NonNegativeInt = 4

    def __post_init__(self) -> None:
        if not (self.voting or self.fine_tuning):
            raise ValueError("voting and fine_tuning: without both nothing is left to learn; use mv")

    @property
    def margin(self) -> int:
        return self.margin_vox

    def build(self, modalities: int, classes: int, architecture: "Architecture") -> "nn.Module":
        from dlfbench.dlf.model import DeepLabelFusion, Parts

        parts = Parts(**{field.name: getattr(self, field.name) for field in fields(Parts)})
        return DeepLabelFusion(modalities, classes, architecture, parts)

    def scores(self, model: "nn.Module", sample: "Sample") -> "Tensor":
        from dlfbench.dlf.model import DeepLabelFusion

        assert isinstance(model, DeepLabelFusion)
        model.window_vox = self.window_vox
        bytes_per_atlas = prod(sample.target.shape[1:]) * self.sizes.features * _BYTES_PER_FEATURE
        return model.predict(sample, atlases_at_a_time=max(1, self.memory_mb * 2**20 // bytes_per_atlas))
