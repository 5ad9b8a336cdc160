"""What deep label fusion and the 3D U-Net have in common as methods: parameters, and how they are used.

This module loads fast; what needs torch is imported when a method works.
"""

from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveFloat, PositiveInt

from dlfbench.networks.presets import Norm, Preset, Share
from dlfbench.networks.tiles import HALVED, Room
from dlfbench.segmenters.interface import Context, Segmenter, Training
from dlfbench.volumes import AtlasSet, Segmentation, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from dlfbench.fusion.atlas_votes import AtlasVotes
    from dlfbench.fusion.posterior import Posterior
    from dlfbench.networks.samples import Sample
    from dlfbench.networks.unet import Architecture

_WINDOW_VOX = 96


@dataclass(frozen=True)
class NetworkMethod(Segmenter):
    """A method that trains a network on the fold's training cases.

    What is None is as the preset says.

    Attributes:
        preset: Sizes and way of training: quick, cpu or paper.
        features: Channels of the finest level.
        steps: Updates of the weights.
        targets: Training samples a step.
        patch_vox: Largest edge of a training sample.
        learning_rate: The highest.
        norm: instance, group or batch (the paper's, with the batch's own statistics).
        histogram_shift: Share of the images that get a random histogram shift in training, each by itself.
        modaug: Probability that one of several modalities of a training sample becomes white noise.
        watched: Share of the training cases that is kept aside, for the validation curve alone.
        memory_mb: Bound on what one segmentation takes, and on the samples that training keeps in memory. With batch
            norm, as in the preset paper, results depend on it: statistics are of as many atlases as it allows.
    """

    needs_training: ClassVar[bool] = True
    learns_from_partial: ClassVar[bool] = True
    uses_gpu: ClassVar[bool] = True
    presets: ClassVar[dict[str, Preset]]

    preset: Literal["quick", "cpu", "paper"] = "cpu"
    features: PositiveInt | None = None
    steps: PositiveInt | None = None
    targets: PositiveInt | None = None
    patch_vox: PositiveInt | None = None
    learning_rate: PositiveFloat | None = None
    norm: Norm | None = None
    histogram_shift: Share | None = None
    modaug: Share | None = None
    watched: Share = 0.0
    memory_mb: PositiveInt = 2048

    @abstractmethod
    def build(self, modalities: int, classes: int, architecture: "Architecture") -> "nn.Module":
        """The network. Its `forward(seen)` gives what is supervised, a list of `dlfbench.networks.losses.Output`."""

    @abstractmethod
    def scores(self, model: "nn.Module", sample: "Sample") -> "Tensor":
        """Scores of each class (1, class, x, y, z) of a sample or a part of one, from a network in evaluation."""

    def posterior(self, model: "nn.Module", sample: "Sample") -> "Posterior":
        """Posterior of a sample's padded region, whose labels are the indices of classes, from a network as above."""
        from dlfbench.networks.posteriors import in_tiles

        return in_tiles(sample, self.room, lambda part, _: self.scores(model, part))

    def vote(self, context: Context) -> "Callable[[Target, AtlasSet], AtlasVotes] | None":
        """What gives atlases' votes, before a network weighs them; None: one each."""
        return None

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
        return (-(-max(self.sizes.patch_vox, _WINDOW_VOX) // HALVED) * HALVED,) * 3

    @property
    def room(self) -> Room:
        """How much of an image is segmented at a time."""
        return Room(self.memory_mb, self.sizes.features)

    def atlases_at_a_time(self, sample: "Sample") -> int:
        """For how many atlases of a sample, or a part of one, `memory_mb` suffices."""
        return self.room.atlases(sample.target.shape[1:], sample.votes.shape[1])

    def restore(self, model: "nn.Module", label_values: tuple[int, ...], context: Context) -> None:
        """Gives a network what `fit` left in the context's folder."""
        from dlfbench.networks.training import read_weights

        model.load_state_dict(read_weights(context.folder, context.device))

    def fit(self, training: Training, context: Context) -> None:
        """Trains, and leaves the model, its curves and the checkpoint in the context's folder."""
        from dlfbench.networks.learning import learn

        learn(self, training, context)

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        """Applies the model; the posterior is its scores made to sum to 1."""
        from dlfbench.networks.learning import apply

        return apply(self, target, atlases, context)
