"""Spatially varying weighted voting: every atlas by itself, weighted by how well its patch agrees."""

from dataclasses import dataclass
from typing import Literal

from dlfbench_baselines.patches import WeightRule
from dlfbench_baselines.weighted import PatchFusion


@dataclass(frozen=True)
class SpatiallyVaryingWeightedVoting(PatchFusion):
    """Spatially varying weighted voting: one weight per atlas and voxel, from the agreement of local patches.

    Each atlas votes for the label in the middle of its best patch, with weight D^-b ("inverse") or exp(-D / s^2)
    ("gaussian"), D the mean squared difference of normalised patches (Artaechevarria et al. 2009; Sabuncu et al. 2010;
    LWINV and LWGU in Wang et al. 2013). With b = 2 the inverse form is JLF with beta = 2 whose atlases err
    independently.

    Attributes:
        form: inverse or gaussian.
        b: Exponent of the inverse form.
        s: Width of the gaussian form, in standard deviations of a patch.
    """

    form: Literal["inverse", "gaussian"] = "inverse"
    b: float = 2.0
    s: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.b <= 0 or self.s <= 0:
            raise ValueError(f"b and s: expected more than 0, found {self.b} and {self.s}")

    @property
    def whole_patch_votes(self) -> bool:
        """Only the middle of the patch votes."""
        return False

    @property
    def rule(self) -> WeightRule:
        """Inverse or Gaussian."""
        return WeightRule(self.form, self.b if self.form == "inverse" else self.s)
