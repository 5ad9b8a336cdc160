"""Do declared analyses err as rarely as they say, and does the planned power come true?

    python -m benchmarks.statistics.declared_simulation [STUDIES]

Differences of two methods are drawn for each person, normal or skewed (a shifted gamma distribution of skewness 2, as
Dice has it). Writes reports/statistics/declared-simulation.md.
"""

import sys
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.statistics.null_simulation import percent, table
from dlfbench.report.basis.power import Plan, power
from dlfbench.report.basis.statistics import Array, holm, noninferiority_p, paired_tests

LEVEL, SD, MARGIN = 0.05, 0.02, 0.01
OUT = Path(__file__).resolve().parents[2] / "reports" / "statistics" / "declared-simulation.md"


def draw(mean: float, persons: int, columns: int, *, skewed: bool, rng: np.random.Generator) -> Array:
    """Differences (person, column) of standard deviation SD."""
    shape = (persons, columns)
    return mean + SD * (1 - rng.gamma(1.0, size=shape) if skewed else rng.normal(size=shape))


def family_error(persons: int, claims: int, studies: int, *, skewed: bool, rng: np.random.Generator) -> Array:
    """Whether any of so many declared superiorities is found where no method differs."""
    drawn = draw(0.0, persons, claims * studies, skewed=skewed, rng=rng)
    if skewed:  # heavy tails, but symmetric, as the difference of two equally skewed methods is
        drawn = (drawn - draw(0.0, persons, claims * studies, skewed=True, rng=rng)) / np.sqrt(2)
    p = paired_tests(drawn).p.reshape(studies, claims)
    return np.array([(holm(family) < LEVEL).any() for family in p], float)


def margin_errors(persons: int, studies: int, *, skewed: bool, rng: np.random.Generator) -> list[Array]:
    """Whether a method that is worse by just the margin is found not inferior, and by a plain t test."""
    drawn = draw(-MARGIN, persons, studies, skewed=skewed, rng=rng)
    plain = stats.ttest_1samp(drawn, -MARGIN, alternative="greater").pvalue
    return [np.asarray(p < LEVEL, float) for p in (noninferiority_p(drawn, MARGIN), plain)]


def strict_errors(persons: int, level: float, studies: int, *, skewed: bool, rng: np.random.Generator) -> Array:
    """The same at a stricter level, as Holm's correction asks for."""
    drawn = draw(-MARGIN, persons, studies, skewed=skewed, rng=rng)
    return np.asarray(noninferiority_p(drawn, MARGIN) < level, float)


def power_gap(persons: int, pilot: int, studies: int, *, skewed: bool, rng: np.random.Generator) -> tuple[float, ...]:
    """Power planned from pilots (mean over 40), and the true one, for a difference of half a standard deviation."""
    effect, plan = 0.5 * SD, Plan(studies=1000)
    planned = [power(draw(0.0, pilot, 1, skewed=skewed, rng=rng)[:, 0], effect, persons, plan, rng) for _ in range(40)]
    drawn = draw(effect, persons, studies, skewed=skewed, rng=rng)
    return float(np.mean(planned)), float(np.std(planned)), float(plan.found(drawn).mean())


def main(studies: int) -> None:
    """Simulates every setting and writes the tables."""
    rng, other = (np.random.default_rng(seed) for seed in (24, 25))
    errors, plans, few = [], [], []
    for skewed in (False, True):
        for persons in (12, 20, 40):
            name = f"{persons} persons, {'skewed' if skewed else 'normal'}"
            family = [family_error(persons, claims, studies, skewed=skewed, rng=rng) for claims in (1, 7)]
            margins = margin_errors(persons, studies, skewed=skewed, rng=rng)
            errors.append([name, *map(percent, [*family, *margins])])
            gaps = [power_gap(persons, pilot, studies, skewed=skewed, rng=rng) for pilot in (20, 100)]
            plans.append([name, *(f"{100 * m:.1f} ± {100 * s:.1f}" for m, s, _ in gaps), f"{100 * gaps[0][2]:.1f}"])
            print(errors[-1], plans[-1], flush=True)
        for persons in (3, 5, 8):
            shares = [strict_errors(persons, level, 10 * studies, skewed=skewed, rng=other) for level in (0.05, 0.005)]
            few.append([f"{persons} persons, {'skewed' if skewed else 'normal'}", *map(percent, shares)])
    head = ["study", "any of 1 superiority", "any of 7", "not inferior at the margin", "the same by a plain t test"]
    strict = ["study", "at 5", "at 0.5"]
    planned = ["study", "planned from 20 persons", "planned from 100 persons", "true"]
    OUT.write_text(
        TEXT.format(studies=studies, errors=table(head, errors), few=table(strict, few), plans=table(planned, plans))
    )


TEXT = """# What declared analyses do where the truth is known

{studies} made-up studies a row, written by `benchmarks/statistics/declared_simulation.py`, which says how they are
drawn. In brackets: exact 95% intervals of the shares.

## Claims that hold although they are false, in percent

Superiorities of methods that do not differ (Holm over the declared family), and a method that is worse by just the
margin (skewed: single persons do much worse). Wanted: at most 5.

{errors}
Of few people, not inferior at the margin, at a level of 5 and at that of the first step of Holm's correction over ten,
0.5 (ten times as many studies). So few people do not tell how skewed they are.

{few}
## Power, in percent

For a true difference of half a standard deviation: planned by `dlfbench plan` from a pilot of so many persons (mean
and standard deviation over 40 pilots), and true. A pilot knows the spread of differences only roughly, so its plan too.

{plans}"""

if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
