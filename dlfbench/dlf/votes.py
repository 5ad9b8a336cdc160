"""Votes of atlases for labels, and where a label may be at all.

Votes are (batch, atlas, class, x, y, z). The class axis follows the declared labels, background first.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

HALF = 0.5
_MASK_THRESHOLD = 0.2
_LEAST = 1e-12


@dataclass(frozen=True)
class Parts:
    """Which parts of the network are there; the ablations leave one out.

    Attributes:
        voting: The weighted voting subnet; without it votes count as they come.
        corrections: The trees that correct the vote where labels are in dispute.
        fine_tuning: The fine-tuning subnet; without it the consensus, corrected or not, is the answer.
        mask: Each label only near where a candidate has it.
    """

    voting: bool = True
    corrections: bool = True
    fine_tuning: bool = True
    mask: bool = True


def shares(votes: Tensor) -> Tensor:
    """Votes (batch, class, x, y, z) as shares that sum to 1 over classes; negative ones count nothing."""
    votes = votes.clamp_min(0)
    return votes / votes.sum(dim=1, keepdim=True).clamp_min(_LEAST)


def voters(votes: Tensor) -> Tensor:
    """How many atlases vote (batch, 1, x, y, z), 1 at least; of votes (batch, atlas, class, x, y, z), 1 for each."""
    return votes.sum(dim=(1, 2))[:, None].clamp_min(1)


def label_mask(votes: Tensor) -> Tensor:
    """Where a label may be: the union of the candidates' voxels of it, grown by about a voxel; background everywhere.

    Args:
        votes: Of each candidate, 1 for its label (batch, atlas, class, x, y, z).

    Returns:
        (batch, class, x, y, z), 0 or 1, float32.
    """
    return grown((votes.amax(dim=1) >= HALF).float())


def grown(union: Tensor) -> Tensor:
    """The same of the union (batch, class, x, y, z) itself."""
    grown = (functional.avg_pool3d(union, 3, stride=1, padding=1) > _MASK_THRESHOLD).float()
    grown[:, 0] = 1.0
    return grown
