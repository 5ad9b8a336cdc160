"""Losses, in float32 whatever the network computes in.

Truth is the share of each label in each voxel (batch, class, x, y, z); it sums to 1, or to 0 where nobody knows: such
a voxel counts in no loss, one that is half known (after interpolation) counts half. Where a label was not drawn in a
case, what is said of it counts as said of the background, which it may be (marginal loss; Shi et al. 2021, equation 4).
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

Where = tuple[slice, slice]

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


def segmentation_loss(scores: Tensor, truth: Tensor, entropy: float = 0.0) -> Tensor:
    """1 - mean soft Dice over batch and classes, squared denominators (Milletari 2016, section 3), and cross-entropy.

    Cross-entropy is the mean over known voxels of - sum over classes of truth x log(score).

    Args:
        scores: (batch, class, x, y, z), 0 to 1; for cross-entropy they sum to 1 over classes.
        truth: Alike.
        entropy: How much cross-entropy counts beside Dice.
    """
    loss: Tensor = _SegmentationLoss.apply(scores.float().flatten(2), truth.flatten(2), entropy)
    return loss


class _SegmentationLoss(Function):
    """The loss of (batch, class, voxel), with its gradient by hand.

    On a CPU it goes class by class: what is computed of one stays in the cache, and of many classes nothing but scores
    and truth is kept in memory.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, truth: Tensor, entropy: float) -> Tensor:
        known = truth.sum(dim=1, keepdim=True)
        shared, total, said = (scores.new_zeros(scores.shape[:2]) for _ in range(3))
        for here, there in _parts(scores):
            part, wanted = scores[here], truth[here]
            shared[here] = (part * wanted).sum(dim=2)
            total[here] = (part.square() * known[there]).sum(dim=2) + wanted.square().sum(dim=2)
            if entropy:
                said[here] = (part.clamp_min(_LEAST_SHARE).log() * wanted).sum(dim=2)
        voxels = known.sum().clamp_min(1)
        ctx.entropy = entropy
        ctx.save_for_backward(scores, truth, known, shared, total, voxels)
        return 1 - ((2 * shared + 1) / (total + 1)).mean() - entropy * said.sum() / voxels

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:
        scores, truth, known, shared, total, voxels = ctx.saved_tensors
        # of 1 - (2 shared + 1) / (total + 1) by shared, and by the square of a score
        by_shared = (-2 / (total + 1) / total.numel() * outer)[:, :, None]
        by_square = ((2 * shared + 1) / (total + 1).square() / total.numel() * outer)[:, :, None]
        by_log = -ctx.entropy * outer / voxels
        gradient = torch.empty_like(scores)
        for here, there in _parts(scores):
            part, wanted = scores[here], truth[here]
            found = torch.mul(by_shared[here], wanted, out=gradient[here])
            found += 2 * by_square[here] * (part * known[there])
            if ctx.entropy:
                found += torch.where(part < _LEAST_SHARE, 0, wanted / part) * by_log
        return gradient, None, None


def _parts(scores: Tensor) -> Iterator[tuple[Where, Where]]:
    """What of (batch, class, voxel) is computed at a time, and the same of what has one class."""
    if scores.device.type != "cpu":
        yield (slice(None), slice(None)), (slice(None), slice(None))
        return
    for i, k in product(*map(range, scores.shape[:2])):
        yield (slice(i, i + 1), slice(k, k + 1)), (slice(i, i + 1), slice(None))


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
        losses.append(weight * segmentation_loss(scores, wanted, entropy))
    return torch.stack(losses).sum()


def with_undrawn(scores: Tensor, undrawn: Tensor) -> Tensor:
    """Scores (batch, class, x, y, z) in which those of labels that nobody drew (batch, class) are the background's."""
    gone = scores * undrawn[:, :, None, None, None]
    kept = scores - gone
    return torch.cat([kept[:, :1] + gone.sum(dim=1, keepdim=True), kept[:, 1:]], dim=1)


def shares_of(labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Label indices (batch, x, y, z), -1 where nobody knows, as shares of some (batch, class, x, y, z), float32."""
    return (labels[:, None] == torch.tensor(classes, device=labels.device).view(-1, 1, 1, 1)).float()
