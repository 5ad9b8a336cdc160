"""Do intervals over people and trainings hold as often as they say, and does "same order again" come true?

    python -m benchmarks.statistics.trainings_simulation [STUDIES]

Differences of a method that learns from one that does not: a draw for each person, one for each training, and one for
each person in each training (which is twice as large as that of trainings). With folds, each has its own trainings.
Writes reports/statistics/trainings-simulation.md.
"""

import sys
from pathlib import Path

import numpy as np

from benchmarks.statistics.null_simulation import percent, table
from dlfbench.report.basis.statistics import Array
from dlfbench.report.basis.trainings import Estimate, Trained

PEOPLE, OUT = 0.02, Path(__file__).resolve().parents[2] / "reports" / "statistics" / "trainings-simulation.md"


def draw(
    persons: int, trainings: int, folds: int, *, spread: float, skewed: bool, rng: np.random.Generator
) -> tuple[Trained, Array]:
    """A method in one study, and its (person,) values in one more training; the true mean is 0."""
    ease = PEOPLE * (1 - rng.gamma(1.0, size=persons) if skewed else rng.normal(size=persons))
    values = {}
    again = np.empty(persons)
    for fold in range(folds):
        tested = np.arange(persons) % folds == fold
        effects = spread * rng.normal(size=(trainings + 1, 1)) + 2 * spread * rng.normal(size=(trainings + 1, persons))
        found = np.where(tested, ease + effects, np.nan)
        values[fold] = found[:-1]
        again[tested] = found[-1, tested]
    return Trained(values), again


def estimate_of(trained: Trained) -> Estimate:
    """Of the mean over all persons."""
    persons = np.arange(trained.means.size)
    return Estimate.of(trained.means, trained.noise(persons))


def covered(estimate: Estimate, *, with_training: bool) -> float:
    """Whether the interval holds the true mean, 0."""
    low, high = estimate.limits(with_training=with_training)
    return float(low <= 0 <= high)


def study(setting: tuple[int, int, int, float, bool], rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Whether each interval holds the truth; the promised probability of the same order, and whether it came true."""
    persons, trainings, folds, spread, skewed = setting
    trained, again = draw(persons, trainings, folds, spread=spread, skewed=skewed, rng=rng)
    estimate = estimate_of(trained)
    same = float(np.sign(again.mean()) == np.sign(estimate.mean))
    return (
        covered(estimate, with_training=False),
        covered(estimate, with_training=True),
        estimate.same_order,
        same,
    )


def main(studies: int) -> None:
    """Simulates every setting and writes the table."""
    rng = np.random.default_rng(24)
    rows = []
    for skewed in (False, True):
        for persons, trainings, folds, spread in SETTINGS:
            found = np.array([study((persons, trainings, folds, spread, skewed), rng) for _ in range(studies)])
            name = f"{persons} persons, {trainings} trainings, {folds} fold{'s' * (folds > 1)}, sd {spread:g}"
            shares = [percent(found[:, 0]), percent(found[:, 1]), f"{100 * found[:, 2].mean():.1f}"]
            rows.append([f"{name}{', skewed' if skewed else ''}", *shares, percent(found[:, 3])])
            print(rows[-1], flush=True)
    head = ["study", "interval of people", "of people and trainings", "same order, promised", "came true"]
    OUT.write_text(TEXT.format(studies=studies, people=PEOPLE, rows=table(head, rows)))


SETTINGS = (
    (20, 3, 1, 0.0),
    (20, 3, 1, 0.002),
    (20, 3, 1, 0.01),
    (20, 5, 1, 0.01),
    (40, 3, 1, 0.01),
    (20, 3, 4, 0.01),
    (40, 3, 4, 0.01),
)

TEXT = """# Intervals over people and trainings where the truth is known

{studies} made-up studies a row, written by `benchmarks/statistics/trainings_simulation.py`, which says how they are
drawn. Sd: of the trainings' means; that of people is {people:g}. In brackets: exact 95% intervals of the shares.

How often, in percent, the 95% interval holds the true mean; and how often one more training has the mean on the same
side of zero, as promised (mean over studies) and in truth.

{rows}"""

if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
