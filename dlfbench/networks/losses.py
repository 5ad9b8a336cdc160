"""Losses, in float32 whatever the network computes in."""

from collections.abc import Sequence

import torch
from torch import Tensor

SUPERVISION_WEIGHTS = (1.0, 0.5, 0.2, 0.1, 1.0)


def dice_loss(scores: Tensor, reference: Tensor) -> Tensor:
    """1 - mean soft Dice over batch and classes, squared denominators (Milletari 2016, section 3).

    Args:
        scores: (batch, class, x, y, z), 0 to 1.
        reference: Index of the label (batch, x, y, z).
    """
    truth = (reference[:, None] == torch.arange(scores.shape[1], device=scores.device).view(-1, 1, 1, 1)).float()
    scores = scores.float()
    shared = (scores * truth).sum(dim=(2, 3, 4))
    total = (scores.square() + truth).sum(dim=(2, 3, 4))  # truth is its own square
    return 1 - ((2 * shared + 1) / (total + 1)).mean()


def supervised_loss(scores: Sequence[Tensor], reference: Tensor) -> Tensor:
    """Dice loss of each level's output, the finest first, weighted 1, 0.5, 0.2, 0.1; of a fifth one 1."""
    losses = [weight * dice_loss(one, reference) for weight, one in zip(SUPERVISION_WEIGHTS, scores, strict=False)]
    return torch.stack(losses).sum()
