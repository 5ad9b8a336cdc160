"""The oracle: what label fusion of given candidates could reach at best. A bound, never a method."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.posterior import Posterior
from dlfbench.images import UNKNOWN, LabelArray


@dataclass(frozen=True)
class Oracle:
    """What the oracle is made from, counted once for all thresholds.

    Attributes:
        reference: (x, y, z).
        supporting: How many candidates carry the reference's label (x, y, z).
        voting: How many have a vote (x, y, z).
        majority: The label that most of them carry (x, y, z); the lower one in ties.
    """

    reference: LabelArray
    supporting: npt.NDArray[np.int32]
    voting: npt.NDArray[np.int32]
    majority: LabelArray

    @classmethod
    def of(cls, candidates: LabelArray, reference: LabelArray, label_values: tuple[int, ...]) -> "Oracle":
        """Counts.

        Args:
            candidates: (atlas, x, y, z); `UNKNOWN` is no vote.
            reference: (x, y, z).
            label_values: The declared labels, ascending.
        """
        supporting, voting = np.zeros(reference.shape, np.int32), np.zeros(reference.shape, np.int32)
        for candidate in candidates:
            supporting += candidate == reference
            voting += candidate != UNKNOWN
        return cls(reference, supporting, voting, Posterior.of_votes(candidates, label_values).labels())

    def at(self, threshold: float) -> LabelArray:
        """The reference where enough candidates carry its label, the majority elsewhere.

        Args:
            threshold: Share of the candidates that vote which must carry the reference's label (Oracle(10%): 0.1).
                `1 / atlases` asks for one.

        Returns:
            Label map (x, y, z).

        Source: Xie et al. 2023, section on oracle experiments.
        """
        # in whole atlases: 0.1 * 20 must not become 2.0000000000000004
        needed = np.ceil(np.round(threshold * np.arange(self.voting.max() + 1), 6)).clip(min=1)[self.voting]
        return np.where(self.supporting >= needed, self.reference, self.majority).astype(self.majority.dtype)
