"""Deep label fusion as a method."""

from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import NonNegativeInt, PositiveInt

from dlfbench.networks.method import NetworkMethod
from dlfbench.networks.presets import PAPER, Preset, Share
from dlfbench.segmenters.hosts import host_named
from dlfbench.segmenters.interface import Context, FusionMethod, Segmenter, Training
from dlfbench.volumes import AtlasSet, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from dlfbench.fusion.atlas_votes import AtlasVotes
    from dlfbench.fusion.posterior import Posterior
    from dlfbench.networks.samples import Sample
    from dlfbench.networks.unet import Architecture


@dataclass(frozen=True)
class DeepLabelFusionMethod(NetworkMethod):
    """Deep label fusion (Xie 2023): a network weighs atlases' votes, trees correct them, another knows the image.

    Attributes:
        host: The label fusion method whose votes the voting subnet starts from, as on the command line: `jlf`, `mv`,
            `jlf[beta=4]`. The preset `paper` starts from one vote for each atlas, whatever is said here.
        atlases: Of one training sample, drawn with replacement; the preset's by default. All are used in the end.
        voting: The weighted voting subnet; false: votes count as the host weighs them.
        corrections: Boosted trees that correct the vote where labels are in dispute; false: the vote stands.
        fine_tuning: A network that knows the image, a part of whose log odds is added to the corrected vote's; false:
            the vote, corrected or not, is the answer.
        mask: Each label only near where a candidate has it.
        voting_steps: Updates of the voting subnet, which is trained first; the preset's by default.
        judges: Share of the people from whom the image network does not learn: they tell how much it counts.
        rounds: Trees of each label's corrections; the preset's by default.
        margin_vox: Around the box of all candidates.
    """

    trains_on_atlases: ClassVar[bool] = True
    presets: ClassVar[dict[str, Preset]] = {
        "quick": Preset(8, 30, 32, 6, voting_steps=20, rounds=20),
        "cpu": Preset(32, 1100, 56, 8),
        "paper": PAPER,
    }

    host: str = "jlf[patch_radius=1]"
    atlases: PositiveInt | None = None
    voting: bool = True
    corrections: bool = True
    fine_tuning: bool = True
    mask: bool = True
    voting_steps: PositiveInt | None = None
    judges: Share = 0.2
    rounds: PositiveInt | None = None
    margin_vox: NonNegativeInt = 4

    def __post_init__(self) -> None:
        if not (self.voting or self.fine_tuning or (self.corrections and not self.as_in_the_paper)):
            raise ValueError("voting, corrections and fine_tuning: without them nothing is left to learn; use mv")
        _ = self.host_method  # so that a wrong host is refused here

    @cached_property
    def host_method(self) -> FusionMethod:
        """The host, built from its text.

        Raises:
            ValueError: It has no votes that could be weighed anew.
        """
        host = host_named(self.host)
        if type(host).votes is FusionMethod.votes:
            raise ValueError(f"host: expected a method that weighs votes, such as mv or jlf, found {self.host}")
        if host.top is not None:
            raise ValueError(f"host: expected one of all atlases, found {self.host}; leave out top")
        return host

    @property
    def parts(self) -> tuple[Segmenter, ...]:
        """The host."""
        return () if self.as_in_the_paper else (self.host_method,)

    @property
    def as_in_the_paper(self) -> bool:
        """The authors' network and training."""
        return self.preset == "paper"

    @property
    def margin(self) -> int:
        return self.margin_vox

    def vote(self, context: Context) -> "Callable[[Target, AtlasSet], AtlasVotes] | None":
        """The host's votes."""
        return None if self.as_in_the_paper else partial(self.host_method.votes, context=context)

    def build(self, modalities: int, classes: int, architecture: "Architecture") -> "nn.Module":
        from dlfbench.dlf.model import DeepLabelFusion
        from dlfbench.dlf.paper import PaperNetwork
        from dlfbench.dlf.votes import Parts

        parts = Parts(**{field.name: getattr(self, field.name) for field in fields(Parts)})
        if self.as_in_the_paper:
            return PaperNetwork(modalities, classes, architecture, parts)
        return DeepLabelFusion(modalities, classes, architecture, parts)

    def restore(self, model: "nn.Module", label_values: tuple[int, ...], context: Context) -> None:
        super().restore(model, label_values, context)
        if self.corrections and not self.as_in_the_paper:
            from dlfbench.dlf.learning import restore_corrections

            restore_corrections(model, label_values, context)

    def fit(self, training: Training, context: Context) -> None:
        """Trains the vote, the image network and the corrections; in the preset `paper` both subnets together."""
        if self.as_in_the_paper:
            super().fit(training, context)
        else:
            from dlfbench.dlf.learning import learn_in_stages

            learn_in_stages(self, training, context)

    def posterior(self, model: "nn.Module", sample: "Sample") -> "Posterior":
        from dlfbench.dlf.model import DeepLabelFusion
        from dlfbench.dlf.voting import VotingNetwork

        if isinstance(model, VotingNetwork):  # while it is trained
            return model.consensus(sample, self.room)
        if not isinstance(model, DeepLabelFusion):
            return super().posterior(model, sample)
        model.window_vox = self.window_vox
        return model.predict(sample, self.room)

    def scores(self, model: "nn.Module", sample: "Sample") -> "Tensor":
        """Of the image network while it is trained, or of the paper's network."""
        from dlfbench.dlf.paper import PaperNetwork
        from dlfbench.networks.image_network import ImageNetwork

        assert isinstance(model, ImageNetwork | PaperNetwork)
        model.window_vox = self.window_vox
        if isinstance(model, ImageNetwork):
            return model.predict(sample)
        return model.predict(sample, atlases_at_a_time=self.atlases_at_a_time(sample))
