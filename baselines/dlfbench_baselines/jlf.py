"""Joint label fusion (Wang et al., PAMI 2013)."""

from dataclasses import dataclass

from dlfbench_baselines.patches import WeightRule
from dlfbench_baselines.weighted import PatchFusion


@dataclass(frozen=True)
class JointLabelFusion(PatchFusion):
    """Joint label fusion: weights that minimise the expected error, knowing which atlases err together.

    Two atlases err together where both of their patches differ from the target's: M_ij = (d_i . d_j / (n - 1))^beta,
    d the absolute difference of normalised patches, n over all modalities. Weights are M^-1 1 / (1' M^-1 1), and the
    whole patch votes (Wang et al., PAMI 2013, equations 8 to 19).

    Attributes:
        alpha: Added to the diagonal of M: draws weights towards equal ones.
        beta: Exponent: sharpens the difference between atlases.
        non_negative: Clip negative weights and renormalise, as ANTs does.
    """

    alpha: float = 0.1
    beta: float = 2.0
    non_negative: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha <= 0 or self.beta <= 0:
            raise ValueError(f"alpha and beta: expected more than 0, found {self.alpha} and {self.beta}")

    @property
    def whole_patch_votes(self) -> bool:
        """The whole patch votes."""
        return True

    @property
    def rule(self) -> WeightRule:
        """Joint weights."""
        return WeightRule("joint", self.beta, self.alpha, self.non_negative)
