"""Majority voting."""

from dataclasses import dataclass

from dlfbench.fusion.atlas_votes import AtlasVotes
from dlfbench.fusion.posterior import Posterior
from dlfbench.segmenters.interface import Context, FusionMethod
from dlfbench.volumes import AtlasSet, Target


@dataclass(frozen=True)
class MajorityVoting(FusionMethod):
    """Majority voting: every atlas has one vote in every voxel; ties go to the lower label."""

    def fuse(self, target: Target, atlases: AtlasSet, context: Context) -> Posterior:
        """The share of the atlases that vote for each label."""
        return Posterior.of_votes(atlases.labels, atlases.label_values)

    def votes(self, target: Target, atlases: AtlasSet, context: Context) -> AtlasVotes:
        """One each."""
        return super().votes(target, atlases, context)
