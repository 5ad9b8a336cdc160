"""Training cases by the people whose images they are."""

from collections.abc import Sequence
from typing import Protocol, TypeVar


class OfSomebody(Protocol):
    """A case, which says whose it is."""

    @property
    def person(self) -> str: ...


SomeCase = TypeVar("SomeCase", bound=OfSomebody)


def groups_of_people(cases: Sequence[SomeCase], count: int) -> list[list[SomeCase]]:
    """So many groups of cases, no person in two; some are empty where there are fewer people."""
    people = [case.person for case in cases]
    group = {person: number % count for number, person in enumerate(sorted(set(people)))}
    found: list[list[SomeCase]] = [[] for _ in range(count)]
    for case, person in zip(cases, people, strict=True):
        found[group[person]].append(case)
    return found
