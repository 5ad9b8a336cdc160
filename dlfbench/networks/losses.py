"""Losses, in float32 whatever the network computes in.

Truth is the share of each label in each voxel (batch, class, x, y, z); it sums to 1, or to 0 where nobody knows: such
a voxel counts in no loss, one that is half known (after interpolation) counts half. Where a label was not drawn in a
case, what is said of it counts as said of the background, which it may be (marginal loss; Shi et al. 2021, equation 4).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_LEVEL_WEIGHTS = (1.0, 0.5, 0.2, 0.1)
_LEAST_SHARE = 1e-6


class Output(NamedTuple):
    """What a network says, and how much it counts in the loss.

    Attributes:
        scores: (batch, class, x, y, z), 0 to 1.
        weight: Of its loss.
        truth: What it should say, alike, where that is not the label.
    """

    scores: Tensor
    weight: float = 1.0
    truth: Tensor | None = None


def supervised(levels: Sequence[Tensor]) -> list[Output]:
    """Scores at every level of a network, the finest first: they count 1, 0.5, 0.2 and 0.1 (Xie 2023)."""
    return [Output(scores, weight) for scores, weight in zip(levels, _LEVEL_WEIGHTS, strict=False)]


def dice_loss(scores: Tensor, truth: Tensor) -> Tensor:
    """1 - mean soft Dice over batch and classes, squared denominators (Milletari 2016, section 3).

    Args:
        scores: (batch, class, x, y, z), 0 to 1.
        truth: Alike.
    """
    scores, known = scores.float(), truth.sum(dim=1, keepdim=True)
    shared = (scores * truth).sum(dim=(2, 3, 4))
    total = (scores.square() * known + truth.square()).sum(dim=(2, 3, 4))
    return 1 - ((2 * shared + 1) / (total + 1)).mean()


def cross_entropy(scores: Tensor, truth: Tensor) -> Tensor:
    """Mean over known voxels of - sum over classes of truth x log(score); scores sum to 1 over classes."""
    return -(truth * scores.float().clamp_min(_LEAST_SHARE).log()).sum() / truth.sum().clamp_min(1)


def total_loss(
    outputs: Sequence[Output], truth: Tensor, *, entropy: float = 0.0, undrawn: Tensor | None = None
) -> Tensor:
    """Weighted sum of the outputs' losses: Dice, and so much cross-entropy.

    Args:
        outputs: Of the network.
        truth: Of the labels.
        entropy: Weight of cross-entropy.
        undrawn: Which labels nobody drew (batch, class), 0 or 1; all were drawn by default.
    """
    losses = []
    for scores, weight, other in outputs:
        wanted = truth if other is None else other
        if other is None and undrawn is not None and undrawn.any():
            scores = with_undrawn(scores, undrawn)
        loss = dice_loss(scores, wanted)
        if entropy:
            loss = loss + entropy * cross_entropy(scores, wanted)
        losses.append(weight * loss)
    return torch.stack(losses).sum()


def with_undrawn(scores: Tensor, undrawn: Tensor) -> Tensor:
    """Scores (batch, class, x, y, z) in which those of labels that nobody drew (batch, class) are the background's."""
    gone = scores * undrawn[:, :, None, None, None]
    kept = scores - gone
    return torch.cat([kept[:, :1] + gone.sum(dim=1, keepdim=True), kept[:, 1:]], dim=1)


def shares_of(labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Label indices (batch, x, y, z), -1 where nobody knows, as shares of some (batch, class, x, y, z), float32."""
    return (labels[:, None] == torch.tensor(classes, device=labels.device).view(-1, 1, 1, 1)).float()
