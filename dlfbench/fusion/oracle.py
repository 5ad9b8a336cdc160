"""The oracle: what label fusion of given candidates could reach at best. A bound, never a method."""

import numpy as np

from dlfbench.fusion.votes import vote_share, winning_labels
from dlfbench.images import UNKNOWN, LabelArray


def oracle(
    candidates: LabelArray, reference: LabelArray, label_values: tuple[int, ...], threshold: float
) -> LabelArray:
    """The reference where enough candidates carry its label, the majority elsewhere.

    Args:
        candidates: (atlas, x, y, z); `UNKNOWN` is no vote.
        reference: (x, y, z).
        label_values: The declared labels, ascending.
        threshold: Share of the candidates that vote which must carry the reference's label (Oracle(10%): 0.1).
            `1 / atlases` asks for one.

    Returns:
        Label map (x, y, z).

    Source: Xie et al. 2023, section on oracle experiments.
    """
    supporting = (candidates == reference).sum(axis=0)
    # in whole atlases: 0.1 * 20 must not become 2.0000000000000004
    voting = (candidates != UNKNOWN).sum(axis=0)
    needed = np.ceil(np.round(threshold * voting, 6))
    majority = winning_labels(vote_share(candidates, label_values), label_values)
    return np.where(supporting >= np.maximum(1, needed), reference, majority).astype(majority.dtype)
