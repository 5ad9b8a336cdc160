"""How often the report's statistics err, where the truth is known: made-up studies of methods that do not differ.

    python benchmarks/statistics/null_simulation.py [STUDIES]

Every person has two cases (left and right). A case's value is

    mean + ease of the person + method on the person + method on the case

so that the two cases of a person agree more, in the value and in the difference of two methods, than those of two
persons; both parts of a method have the same spread, which gives the differences an intraclass correlation of 0.5. The
first two parts are the same for all methods of a study or drawn alike for each: no method is better than another.
`skewed` draws each part from a shifted gamma distribution (skewness 2 towards low values) as Dice has it.

Writes reports/statistics/null-simulation.md.
"""

import sys
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy import stats

from dlfbench.report.basis.statistics import (
    Array,
    bootstrap_means,
    holm,
    interval,
    paired_tests,
    permutation_p,
    resample_persons,
    sign_flips,
)

LEVEL = 0.05
MEAN, EASE_SD, METHOD_SD = 0.85, 0.03, 0.01
SIDES = 2
RESAMPLES, FLIPS = 4000, 9999
BATCH = 500
OUT = Path(__file__).resolve().parents[2] / "reports" / "statistics" / "null-simulation.md"


@dataclass(frozen=True)
class Setting:
    """What is simulated."""

    methods: int
    persons: int
    skewed: bool

    @property
    def shape(self) -> str:
        return "skewed" if self.skewed else "normal"


def draw(setting: Setting, studies: int, rng: np.random.Generator) -> Array:
    """Values (study, person, side, method)."""

    def part(sd: float, *shape: int) -> Array:
        # a gamma variable of shape 1 has mean 1, sd 1 and skewness 2
        return sd * (1 - rng.gamma(1.0, size=shape) if setting.skewed else rng.normal(size=shape))

    persons, methods = setting.persons, setting.methods
    ease = part(EASE_SD, studies, persons, 1, 1)
    on_person = part(METHOD_SD, studies, persons, 1, methods)
    on_case = part(METHOD_SD, studies, persons, SIDES, methods)
    return np.asarray(MEAN + ease + on_person + on_case)


def any_difference_found(values: Array, *, signs: Array | None = None) -> Array:
    """Whether a study finds any difference between its methods, all pairs being one family.

    Args:
        values: (study, unit, method).
        signs: Test by these sign flips (flip, unit) instead of by Wilcoxon.

    Returns:
        (study,), 0 or 1.
    """
    pairs = list(combinations(range(values.shape[-1]), 2))
    by_pair = np.stack([values[..., a] - values[..., b] for a, b in pairs], axis=-1)
    columns = by_pair.transpose(1, 0, 2).reshape(values.shape[1], -1)
    p = paired_tests(columns).p if signs is None else permutation_p(columns, signs)
    return np.array([(holm(family) < LEVEL).any() for family in p.reshape(len(values), -1)], float)


def covered(values: Array, truth: float, rng: np.random.Generator) -> Array:
    """Whether the interval of a mean holds the truth, for values (study, unit, case): one value per study, 0 or 1."""
    units, cases = values.shape[1:]
    means = bootstrap_means(
        values.sum(axis=2).T, np.full((units, len(values)), float(cases)), resample_persons(units, RESAMPLES, rng)
    )
    low, high = interval(means, units)
    return ((low <= truth) & (truth <= high)).astype(float)


def simulate(setting: Setting, studies: int, rng: np.random.Generator) -> list[Array]:
    """Per study: false positives by Wilcoxon, by permutation, with persons ignored; coverage of a mean, of a
    difference, of a mean with persons ignored.
    """
    values = draw(setting, studies, rng)
    by_person, by_case = values.mean(axis=2), values.reshape(studies, -1, setting.methods)
    first, difference = values[..., 0], values[..., 0] - values[..., 1]
    return [
        any_difference_found(by_person),
        any_difference_found(by_person, signs=sign_flips(setting.persons, FLIPS, rng)),
        any_difference_found(by_case),
        covered(first, MEAN, rng),
        covered(difference, 0.0, rng),
        covered(first.reshape(studies, -1, 1), MEAN, rng),
    ]


def percent(hits: Array) -> str:
    """Share of ones in percent with its exact (Clopper-Pearson) 95% interval."""
    found = stats.binomtest(int(hits.sum()), hits.size)
    low, high = found.proportion_ci()
    return f"{100 * found.statistic:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, [":--", *["--:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(studies: int) -> None:
    """Simulates every setting and writes the table."""
    rng = np.random.default_rng(20)
    errors, coverage = [], []
    for setting in [Setting(m, n, skewed) for skewed in (False, True) for m in (3, 6) for n in (15, 40)]:
        batches = [simulate(setting, BATCH, rng) for _ in range(studies // BATCH)]
        found = [percent(np.concatenate(part)) for part in zip(*batches, strict=True)]
        name = f"{setting.methods} methods, {setting.persons} persons, {setting.shape}"
        errors.append([name, *found[:3]])
        coverage.append([name, *found[3:]])
        print(name, *found, sep="  ", flush=True)
    tests = ["study", "Wilcoxon over persons", "permutation over persons", "Wilcoxon over cases (persons ignored)"]
    intervals = ["study", "mean", "difference of two methods", "mean (persons ignored)"]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(TEXT.format(studies=studies, errors=table(tests, errors), coverage=table(intervals, coverage)))


TEXT = """# What the report's statistics do where no method is better

{studies} made-up studies a row, written by `benchmarks/statistics/null_simulation.py`, which says how they are drawn:
methods that do not differ, persons with two cases each, an intraclass correlation of 0.5 in the differences. In
brackets: exact 95% intervals of the shares.

## Studies that find any difference, in percent

All pairs of methods are one family (Holm), at 0.05. Wanted: at most 5.

{errors}
Taking cases for independent, as if left and right were two persons, finds differences that are not there.

## 95% intervals that hold the true mean, in percent

Wanted: 95. The bootstrap resamples persons with their cases and is widened for few persons; ignoring persons it
resamples cases.

{coverage}"""

if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
