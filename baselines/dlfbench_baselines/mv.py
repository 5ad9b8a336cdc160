"""Majority voting."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.votes import vote_share
from dlfbench.segmenters.interface import Context, FusionMethod
from dlfbench.volumes import AtlasSet, Target


@dataclass(frozen=True)
class MajorityVoting(FusionMethod):
    """Majority voting: every atlas has one vote in every voxel; ties go to the lower label."""

    def fuse(self, target: Target, atlases: AtlasSet, context: Context) -> npt.NDArray[np.float32]:
        """Posterior (class, x, y, z): the share of the atlases that vote for each label."""
        return vote_share(atlases.labels, atlases.label_values)
