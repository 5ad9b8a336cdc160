"""What deep label fusion and the 3D U-Net have in common as methods: parameters, and how they are used.

This module loads fast; what needs torch is imported when a method works.
"""

from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from dlfbench.segmenters.interface import Context, Segmenter, Training
from dlfbench.volumes import AtlasSet, Segmentation, Target

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dlfbench.networks.samples import Sample
    from dlfbench.networks.unet import Architecture

Share = Annotated[float, Field(ge=0, le=1)]
Norm = Literal["instance", "group", "batch"]
_WINDOW_VOX = 96


@dataclass(frozen=True)
class Preset:
    """Sizes under a name.

    Attributes:
        features: Channels at full resolution.
        steps: Updates; with None, 200 for each training case (20 epochs of 10 patches, as in the paper).
        patch_vox: Largest edge of a training sample.
        atlases: Of one training sample.
        supervision: How coarser outputs come to full resolution; see `dlfbench.networks.unet.Architecture`.
    """

    features: int
    steps: int | None
    patch_vox: int
    atlases: int = 0
    supervision: Literal["learned", "linear"] = "linear"


@dataclass(frozen=True)
class NetworkMethod(Segmenter):
    """A method that trains a network on the fold's training cases.

    Attributes:
        preset: Sizes and length of training: quick, cpu or paper.
        features: Channels at full resolution; the preset's by default.
        steps: Updates of the weights; the preset's by default.
        learning_rate: Of Adam at the start.
        norm: instance, group or batch (the paper's, with the batch's own statistics).
        histogram_shift: Share of the images that get a random histogram shift in training, each by itself.
        modaug: Probability that one modality of a training sample becomes white noise.
        watched: Share of the training cases that is kept aside, for the validation curve alone.
        patch_vox: Largest edge of a training sample; the preset's by default.
        memory_mb: Bound on what one segmentation takes, and on the samples that training keeps in memory.
    """

    needs_training: ClassVar[bool] = True
    uses_gpu: ClassVar[bool] = True
    presets: ClassVar[dict[str, Preset]]

    preset: Literal["quick", "cpu", "paper"] = "cpu"
    features: PositiveInt | None = None
    steps: PositiveInt | None = None
    learning_rate: PositiveFloat = 2e-3
    norm: Norm = "instance"
    histogram_shift: Share = 0.5
    modaug: Share = 0.0
    watched: Share = 0.1
    patch_vox: PositiveInt | None = None
    memory_mb: PositiveInt = 2048

    @abstractmethod
    def build(self, modalities: int, classes: int, architecture: "Architecture") -> "nn.Module":
        """The network. Its `forward(seen)` gives what is supervised, a list of `dlfbench.networks.losses.Output`."""

    @abstractmethod
    def scores(self, model: "nn.Module", sample: "Sample") -> "Tensor":
        """Scores of each class (1, class, x, y, z) of a sample, from a network in evaluation."""

    @property
    def margin(self) -> int | None:
        """What the network sees around the box of all candidates, in voxels; None: the whole image."""
        return None

    @property
    def sizes(self) -> Preset:
        """The preset, and what parameters of the same names say instead."""
        said = {field.name: getattr(self, field.name, None) for field in fields(Preset)}
        return replace(self.presets[self.preset], **{name: value for name, value in said.items() if value is not None})

    @property
    def window_vox(self) -> tuple[int, int, int]:
        """The largest size along (x, y, z) that is segmented at once; larger images go window by window."""
        return (max(self.sizes.patch_vox, _WINDOW_VOX),) * 3

    def fit(self, training: Training, context: Context) -> None:
        """Trains, and leaves the model, its curves and the checkpoint in the context's folder."""
        from dlfbench.networks.learning import learn

        learn(self, training, context)

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        """Applies the model; the posterior is its scores made to sum to 1."""
        from dlfbench.networks.learning import apply

        return apply(self, target, atlases, context)
