"""Whether anybody is in both the training and the test cases, as far as the data say who is who."""

from collections.abc import Mapping
from dataclasses import dataclass

from dlfbench.datasets.cases import names_person
from dlfbench.records.record import Record
from dlfbench.study.splits import Fold


@dataclass(frozen=True)
class Separation:
    """What is known about training and test cases.

    Attributes:
        recorded: The splits are known.
        shared_persons: How many persons are in both sides of a fold, whichever.
        unknown_cases: Cases of which the data do not say whose image they are.
        untold_methods: Methods of which the training cases are not recorded.
    """

    recorded: bool
    shared_persons: int
    unknown_cases: int
    untold_methods: tuple[str, ...]


def separation(record: Record) -> Separation:
    """Compares both sides of every fold, by person."""
    cases = record.data.cases
    people = dict(zip(record.results["case"], record.results["person"], strict=True))
    people |= {name: case.person for name, case in cases.items() if case.person}
    told = {run.folder for run in record.runs if run.says_who_trained}
    untold = tuple(method for method in record.methods if record.origin(method).folder not in told)
    # columns may stay out of what is published; who is called otherwise than the case is known
    unknown = sum(not names_person(case.columns) and people.get(name, name) == name for name, case in cases.items())
    shared = {person for fold in record.folds for person in _shared(fold, people)}
    return Separation(record.says_who_trained, len(shared), unknown, untold)


def _shared(fold: Fold, people: Mapping[str, str]) -> set[str]:
    train = {people.get(case, case) for case in fold.train}
    test = {people.get(case, case) for cases in fold.tests.values() for case in cases}
    return train & test
