"""How many persons a comparison needs: the very test of the report, simulated from a pilot's paired differences."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dlfbench.report.basis.statistics import Array, noninferiority_p, paired_tests

_STUDIES = 2000
_MOST_PERSONS = 5000


@dataclass(frozen=True)
class Plan:
    """The test that is planned.

    Attributes:
        alpha: Level of the family.
        family: How many comparisons share it; each is planned at alpha / family, the strictest step of Holm.
        margin: None: superiority by Wilcoxon's signed-rank test; else not inferior by more than this.
        studies: Simulated studies for each number of persons.
    """

    alpha: float = 0.05
    family: int = 1
    margin: float | None = None
    studies: int = _STUDIES

    @property
    def level(self) -> float:
        return self.alpha / self.family

    def found(self, differences: Array) -> Array:
        """Whether each simulated study (person, study) finds what it looks for."""
        if self.margin is not None:
            return np.asarray(noninferiority_p(differences, self.margin) < self.level)
        tests = paired_tests(differences)
        return np.asarray((tests.p < self.level) & (tests.rank_biserial > 0))


def power(pilot: Array, effect: float, persons: int, plan: Plan, rng: np.random.Generator) -> float:
    """Share of simulated studies that find the effect.

    Persons are drawn from the pilot's differences, moved so that their mean is the effect, by a smoothed bootstrap
    that keeps their standard deviation (Silverman and Young 1987): without it, repeated values would be ties.

    Args:
        pilot: Differences of two methods (person,), above 0 where the first is better.
        effect: True mean difference.
        persons: Of each simulated study.
        plan: The test.
        rng: Of the draws.
    """
    values = pilot[~np.isnan(pilot)]
    spread = values.std(ddof=1)
    if values.size < 3 or spread == 0:
        found = f"{values.size}, all with the same difference" if values.size > 2 else f"{values.size}"
        raise ValueError(f"expected a pilot of 3 persons or more whose differences vary, found {found}")
    bandwidth = 0.9 * values.size ** (-1 / 5)
    drawn = rng.choice((values - values.mean()) / values.std(), size=(persons, plan.studies))
    drawn = (drawn + bandwidth * rng.normal(size=drawn.shape)) / np.sqrt(1 + bandwidth**2)
    return float(plan.found(effect + spread * drawn).mean())


def persons_needed(pilot: Array, effect: float, plan: Plan, *, target: float, seed: int = 0) -> int | None:
    """The smallest number of persons with that power; None where 5000 do not suffice."""

    def enough(persons: int) -> bool:
        return power(pilot, effect, persons, plan, np.random.default_rng(seed)) >= target

    return _first(enough, 4, _MOST_PERSONS)


def detectable(pilot: Array, persons: int, plan: Plan, *, target: float, seed: int = 0) -> float | None:
    """The smallest true mean difference that so many persons find with that power; None where 10 sd do not suffice."""
    step = float(np.nanstd(pilot, ddof=1)) / 100

    def enough(steps: int) -> bool:
        return power(pilot, steps * step, persons, plan, np.random.default_rng(seed)) >= target

    number = _first(enough, 0, 1000)
    return None if number is None else number * step


def _first(holds: Callable[[int], bool], low: int, most: int) -> int | None:
    """The first number from `low` on that holds, if those after it do too: doubling, then halving."""
    if holds(low):
        return low
    high = max(2 * low, 1)
    while high < most and not holds(high):
        low, high = high, 2 * high
    if high >= most and not holds(most):
        return None
    high = min(high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
