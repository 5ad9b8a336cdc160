"""The Dice that signs lead to expect, and a lower bound that holds with a stated probability.

A ridge regression of Dice on the signs of segmentations whose Dice is known, and the cross-conformal bound (CV+:
Barber, Candes, Ramdas and Tibshirani, Annals of Statistics 2021) from what it misses by of people whom it did not
know. People weigh the same, however many images they have (hierarchical conformal prediction: Lee, Barber and Willett
2023).

The bound holds for people like those that it was learned from: for one of them drawn anew, in so many of such draws. It
says nothing of images of another kind, which is why reports show what became of it on every test set.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LEVEL = 0.9
"""How often the true Dice is above the bound."""
FEWEST_PEOPLE = 9
"""With fewer nothing but 0 is below 90% of them: floor(0.1 * (people + 1)) of them must be left out below."""

_PENALTY = 1.0  # of standardised signs: as much as one case says
_MOST_PARTS = 10

Array = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class _Line:
    """A linear function of standardised signs."""

    centre: Array
    scale: Array
    slopes: Array
    height: float

    @classmethod
    def fitted(cls, signs: Array, dice: Array, weights: Array) -> "_Line":
        total = weights.sum()
        centre = weights @ signs / total
        scale = np.sqrt(weights @ (signs - centre) ** 2 / total)
        scale = np.where(scale > 1e-9, scale, 1.0)
        height = float(weights @ dice / total)
        away = (signs - centre) / scale
        products = away.T @ (away * weights[:, None]) + _PENALTY * np.eye(signs.shape[1])
        return cls(centre, scale, np.linalg.solve(products, away.T @ (weights * (dice - height))), height)

    def at(self, signs: Array) -> Array:
        found: Array = ((signs - self.centre) / self.scale) @ self.slopes + self.height
        return found


@dataclass(frozen=True)
class Expectation:
    """What was learned of one method and label.

    Attributes:
        people: From how many people.
        used: Which signs (sign,) are used: those that every case has.
        whole: Learned from all.
        lines: Learned without one part of the people each.
        parts: Part of each case (case,).
        misses: By how much the line without the case's part was above the true Dice (case,).
        weights: Share of each case (case,) in its person.
    """

    people: int
    used: npt.NDArray[np.bool_]
    whole: _Line
    lines: tuple[_Line, ...]
    parts: npt.NDArray[np.intp]
    misses: Array
    weights: Array

    @classmethod
    def learned(cls, signs: Array, dice: Array, persons: npt.ArrayLike) -> "Expectation | None":
        """Learns from cases whose Dice is known; None from fewer than `FEWEST_PEOPLE` people.

        Args:
            signs: (case, sign); a sign that is NaN in some case is not used.
            dice: (case,).
            persons: Whose images they are (case,).
        """
        _, person = np.unique(np.asarray(persons), return_inverse=True)
        people = int(person.max()) + 1 if len(person) else 0
        if people < FEWEST_PEOPLE:
            return None
        used = np.asarray(np.isfinite(signs).all(axis=0))
        own = signs[:, used]
        weights = 1 / np.bincount(person)[person]
        parts = person % min(people, _MOST_PARTS)
        kept = [parts != part for part in range(int(parts.max()) + 1)]
        lines = tuple(_Line.fitted(own[rows], dice[rows], weights[rows]) for rows in kept)
        held_out = np.array([lines[part].at(own[case]) for case, part in enumerate(parts)])
        return cls(people, used, _Line.fitted(own, dice, weights), lines, parts, held_out - dice, weights)

    def of(self, signs: Array) -> tuple[Array, Array]:
        """Expected Dice and its lower bound of other cases (case, sign), each (case,); NaN where a sign is missing."""
        own = signs[:, self.used]
        expected = self.whole.at(own).clip(0, 1)
        by_part = np.stack([line.at(own) for line in self.lines], axis=1)
        below = by_part[:, self.parts] - self.misses
        order = np.argsort(below, axis=1, kind="stable")
        reached = np.cumsum(self.weights[order], axis=1) / (self.people + 1)
        place = (reached <= 1 - LEVEL + 1e-9).sum(axis=1) - 1
        bound = np.take_along_axis(below, np.take_along_axis(order, place.clip(min=0)[:, None], axis=1), axis=1)[:, 0]
        bound = np.where(place < 0, 0.0, bound.clip(0, 1))
        missing = ~np.isfinite(own).all(axis=1)
        return np.where(missing, np.nan, expected), np.where(missing, np.nan, np.minimum(bound, expected))
