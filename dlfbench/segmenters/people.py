"""Training cases by the people whose images they are."""

from collections.abc import Sequence

from dlfbench.segmenters.interface import TrainingCase


def groups_of_people(cases: Sequence[TrainingCase], count: int) -> list[list[TrainingCase]]:
    """So many groups of cases, no person in two; some are empty where there are fewer people."""
    people = [case.person for case in cases]
    group = {person: number % count for number, person in enumerate(sorted(set(people)))}
    found: list[list[TrainingCase]] = [[] for _ in range(count)]
    for case, person in zip(cases, people, strict=True):
        found[group[person]].append(case)
    return found
