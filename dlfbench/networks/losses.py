"""Losses, in float32 whatever the network computes in."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_LEVEL_WEIGHTS = (1.0, 0.5, 0.2, 0.1)


class Output(NamedTuple):
    """What a network says, and how much it counts in the loss.

    Attributes:
        scores: (batch, class, x, y, z), 0 to 1.
        weight: Of its loss.
    """

    scores: Tensor
    weight: float = 1.0


def supervised(levels: Sequence[Tensor]) -> list[Output]:
    """Scores at every level of a network, the finest first: they count 1, 0.5, 0.2 and 0.1 (Xie 2023)."""
    return [Output(scores, weight) for scores, weight in zip(levels, _LEVEL_WEIGHTS, strict=False)]


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


def total_loss(outputs: Sequence[Output], reference: Tensor) -> Tensor:
    """Weighted sum of the outputs' Dice losses."""
    return torch.stack([output.weight * dice_loss(output.scores, reference) for output in outputs]).sum()
