"""Which cases a method trains on, which are its atlases, and which it is tested on.

Every split keeps a person whole: both hippocampi, both sessions of one person are on one side. Draws are stratified
by the column `group` and depend on the study's seed alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dlfbench.datasets.cases import Case, Dataset
from dlfbench.datasets.shifts import MISSING, Shift
from dlfbench.errors import InputError
from dlfbench.plugins import unknown
from dlfbench.study.given import read_folds
from dlfbench.study.protocol import IN_DOMAIN, Protocol, Selector


@dataclass(frozen=True)
class Fold:
    """One split into training cases and named test sets.

    Attributes:
        index: Counts from 0 over all folds, repeats and trainings. One with fewer cases than its split's has a large
            number of its own, see `with_fewer`.
        train: Names of training cases, which are the atlases too, in the order in which atlases are drawn.
        tests: Names of test cases by test set.
        training: Counts the trainings of the same split from 0; methods that do not learn take part in the first.
        atlases: At most so many atlases a target; None: as the protocol says.
        draw: Of a fold with fewer cases than its split's: which draw of them.
    """

    index: int
    train: tuple[str, ...]
    tests: Mapping[str, tuple[str, ...]]
    training: int = 0
    atlases: int | None = None
    draw: int = 0

    @property
    def test_cases(self) -> tuple[str, ...]:
        """Every test case once."""
        return tuple(dict.fromkeys(name for names in self.tests.values() for name in names))


def make_folds(cases: Sequence[Case], protocol: Protocol, seed: int) -> tuple[Fold, ...]:
    """Splits the cases as the protocol says, and checks the result.

    Raises:
        InputError: A selection is empty, training and test sets share a case, person or session, or there are fewer
            people than folds.
    """
    for column in protocol.match:
        _check_column(cases, column, "match")
    named = {name: _select(cases, rule, name) for name, rule in protocol.test.items()}
    tests = {name: _capped(group, protocol.cases, seed) for name, group in named.items()}
    if protocol.folds_from is not None:
        given = tuple(_folds_from(Path(protocol.folds_from), cases, tests, protocol, seed))
        check_folds(given, cases)
        return given
    if protocol.train is not None:
        pool = _select(cases, protocol.train, "train")
    else:
        external = {case.name for group in named.values() for case in group}  # also those that the cap leaves out
        pool = [case for case in cases if case.name not in external]
    pool = _capped(pool, protocol.cases, seed)
    folds = tuple(_folds(pool, tests, protocol, seed))
    check_folds(folds, cases)
    return folds


def with_shifts(folds: Sequence[Fold], dataset: Dataset, protocol: Protocol) -> tuple[tuple[Fold, ...], Dataset]:
    """Adds the test sets that are changed copies of others, and their cases.

    Raises:
        InputError: There is no test set of that name to change, or no modality of that name.
    """
    cases = {case.name: case for case in dataset.cases}
    extended: list[Fold] = []
    for fold in folds:
        tests = dict(fold.tests)
        for name, change in protocol.shifts.items():
            source = change.source or IN_DOMAIN
            if source not in fold.tests:
                raise InputError(f"protocol.shifts.{name}: {unknown('test set', source, fold.tests)}")
            if change.kind == MISSING and change.value not in dataset.modalities:
                raise InputError(f"protocol.shifts.{name}: {unknown('modality', change.value, dataset.modalities)}")
            copies = [cases[case].shifted(change, dataset.modalities) for case in fold.tests[source]]
            if taken := [copy.name for copy in copies if _is_another(cases.get(copy.name, copy), change)]:
                raise InputError(f"protocol.shifts.{name}: two cases would be called {taken[0]!r}; rename one of them")
            cases |= {copy.name: copy for copy in copies}
            tests[name] = tuple(copy.name for copy in copies)
        extended.append(replace(fold, tests=tests))
    return tuple(extended), replace(dataset, cases=tuple(sorted(cases.values(), key=lambda case: case.name)))


def _is_another(case: Case, change: Shift) -> bool:
    """Whether a case is something else than a copy with this change."""
    return case.shift is None or (case.shift[0].kind, case.shift[0].value) != (change.kind, change.value)


def trained_again(folds: Sequence[Fold], seeds: int) -> tuple[Fold, ...]:
    """The folds, and the same once more for each further training.

    They count on, and the seed of a fit is of its fold's index: what was trained once stays when `seeds` grows.
    """
    further = (replace(f, index=f.index + len(folds) * k, training=k) for k in range(1, seeds) for f in folds)
    return (*folds, *further)


def with_fewer(folds: Sequence[Fold], cases: Sequence[Case], protocol: Protocol, seed: int) -> tuple[Fold, ...]:
    """Further folds for learning curves: the same tests with fewer training cases, or with fewer atlases a target.

    Sets of one draw are nested: a draw orders a fold's training cases, and its sets are beginnings of that order. The
    first draw is the fold's own order.

    Args:
        folds: All folds; those that are trained again are left out. An index of a further one is made of its split,
            number and draw, so that what was trained stays when another number, draw or training is asked for.
        cases: All cases.
        protocol: Which numbers, and how many draws.
        seed: Of the study.
    """
    known = {case.name: case for case in cases}
    further: list[Fold] = []
    for fold in (fold for fold in folds if not fold.training):
        for draw in range(protocol.draws):
            order, most = fold.train, _most_atlases(fold, known, protocol) if protocol.fewer_atlases else 0
            if draw:
                train = [known[name] for name in sorted(fold.train)]
                order = tuple(case.name for case in _draw_order(train, seed + 7919 * fold.index + 15485863 * draw))
            cases_of = {
                n: _index_of_fewer(fold.index, 1, n, draw) for n in protocol.fewer_train_cases if n < len(order)
            }
            atlases_of = {n: _index_of_fewer(fold.index, 2, n, draw) for n in protocol.fewer_atlases if n < most}
            further += [replace(fold, index=i, train=order[:n], draw=draw) for n, i in cases_of.items()]
            further += [replace(fold, index=i, train=order, atlases=n, draw=draw) for n, i in atlases_of.items()]
    return tuple(further)


def _most_atlases(fold: Fold, known: Mapping[str, Case], protocol: Protocol) -> int:
    """Of the targets of a fold that has most of them; cases that must match have fewer than there are for training."""
    if not protocol.match:
        return protocol.atlases or len(fold.train)
    train = [known[name] for name in fold.train]
    targets = (known[name] for name in fold.test_cases if name in known)  # a changed copy has those of its original
    return max((len(atlases_for(target, train, protocol)) for target in targets), default=0)


def _index_of_fewer(split: int, kind: int, number: int, draw: int) -> int:
    """Digits of the kind (1 cases, 2 atlases), number, draw and split: apart from all counts, and below 2^53."""
    return ((kind * 10**6 + number) * 10**3 + draw) * 10**5 + split


def _folds_from(
    path: Path, cases: Sequence[Case], tests: Mapping[str, Sequence[Case]], protocol: Protocol, seed: int
) -> Iterable[Fold]:
    """The folds of a file; named test sets are tested in each besides."""
    known = {case.name: case for case in cases}
    for index, (train, held_out) in enumerate(read_folds(path, known)):
        in_domain = {IN_DOMAIN: [known[name] for name in sorted(held_out)]}
        yield _fold(index, [known[name] for name in train], {**in_domain, **tests}, protocol, seed)


def _fold(
    index: int, train: Sequence[Case], groups: Mapping[str, Sequence[Case]], protocol: Protocol, seed: int
) -> Fold:
    """A fold: training cases in the order in which atlases are drawn, at most so many tested in each set."""
    drawn = [case.name for case in _draw_order(train, seed + 7919 * index)]
    tests = {
        name: tuple(case.name for case in _capped(group, protocol.test_cases, seed)) for name, group in groups.items()
    }
    return Fold(index, tuple(drawn[: protocol.train_cases]), tests)


def _folds(pool: Sequence[Case], tests: Mapping[str, Sequence[Case]], protocol: Protocol, seed: int) -> Iterable[Fold]:
    for index, held_out in enumerate(_held_out(pool, protocol, seed)):
        in_domain = {IN_DOMAIN: [case for case in pool if case.person in held_out]} if held_out else {}
        train = [case for case in pool if case.person not in held_out]
        yield _fold(index, train, {**in_domain, **tests}, protocol, seed)


def _held_out(pool: Sequence[Case], protocol: Protocol, seed: int) -> list[set[str]]:
    """The people kept out of training, for each fold; one empty set where there is nothing but external test sets."""
    if protocol.fold_column:
        return _given_folds(pool, protocol.fold_column)
    folds, hold_out = protocol.folds, protocol.hold_out
    people = len({case.person for case in pool})
    if folds and people < folds:
        raise InputError(f"protocol.folds: expected at most {people} folds, as many as there are people, found {folds}")
    held_out: list[set[str]] = []
    for repeat in range(protocol.repeats):
        order = list(dict.fromkeys(case.person for case in _draw_order(pool, seed + 104729 * repeat)))
        if folds:
            held_out += [set(order[fold::folds]) for fold in range(folds)]
        elif hold_out:
            held_out.append(set(order[: max(1, round(hold_out * people))]))
        else:
            held_out.append(set())
    return held_out


def _given_folds(pool: Sequence[Case], column: str) -> list[set[str]]:
    """The people of each value of the column, in natural order of the values (x2 before x10)."""
    _check_column(pool, column, "fold_column")
    of_value: dict[str, set[str]] = {}
    for case in pool:
        if case.columns.get(column):
            of_value.setdefault(case.columns[column], set()).add(case.person)
    values_of = {
        person: {v for v, people in of_value.items() if person in people} for person in set().union(*of_value.values())
    }
    problems = [
        f"protocol.fold_column: {column}: person {person} has the values {', '.join(sorted(values))}; "
        "expected one fold a person, so that nobody both trains and is tested; correct cases.tsv"
        for person, values in sorted(values_of.items())
        if len(values) > 1
    ]
    if problems:
        raise InputError(problems)
    return [of_value[value] for value in sorted(of_value, key=_natural)]


def _natural(text: str) -> tuple[tuple[str, int], ...]:
    return tuple((word, int(number or 0)) for word, number in re.findall(r"(\D*)(\d*)", text))


def _draw_order(cases: Sequence[Case], seed: int) -> list[Case]:
    """The cases in random order, person by person, with every beginning of the list stratified by group."""
    strata: dict[str, list[str]] = {}
    for person, group in sorted({case.person: case.columns.get("group", "") for case in cases}.items()):
        strata.setdefault(group, []).append(person)
    generator = np.random.default_rng(seed)
    place: dict[str, tuple[float, str]] = {}
    for group in sorted(strata):
        shift = generator.random()
        for rank, i in enumerate(generator.permutation(len(strata[group]))):
            place[strata[group][i]] = ((rank + shift) / len(strata[group]), strata[group][i])
    return sorted(cases, key=lambda case: (place[case.person], case.name))


def _capped(cases: Sequence[Case], limit: int | None, seed: int) -> list[Case]:
    chosen = {case.name for case in _draw_order(cases, seed)[:limit]}
    return [case for case in cases if case.name in chosen]


def _select(cases: Sequence[Case], rule: Selector, what: str) -> list[Case]:
    for column, _ in rule.conditions:
        _check_column(cases, column, what)
    chosen = [case for case in cases if rule.accepts(case)]
    if not chosen:
        column = rule.conditions[0][0]
        values = sorted({case.columns.get(column, "") for case in cases})
        raise InputError(f"protocol {what}: {rule.text!r} selects no case; values of {column!r}: {', '.join(values)}")
    return chosen


def _check_column(cases: Sequence[Case], column: str, what: str) -> None:
    known = sorted({column for case in cases for column in case.columns})
    if column not in known:
        raise InputError(f"protocol {what}: {unknown('column', column, known)} (columns of cases.tsv)")


def check_folds(folds: Sequence[Fold], cases: Sequence[Case]) -> None:
    """Checks that no case or person (so no session either) is on both sides, and that no side is empty.

    Raises:
        InputError: With every problem.
    """
    person = {case.name: case.person for case in cases}
    problems: list[str] = []
    for fold in folds:
        if not fold.train:
            problems.append(f"fold {fold.index}: no training case is left; hold out less")
        trained = {person[name] for name in fold.train}
        for test_set, names in fold.tests.items():
            shared = sorted({person[name] for name in names} & trained)
            if shared:
                problems.append(
                    f"fold {fold.index}: {len(shared)} people (such as {shared[0]}) are in the training set and in "
                    f"test set {test_set!r}; give disjoint selections, or --hold-out to test on the training group"
                )
        if not fold.test_cases:
            problems.append(f"fold {fold.index}: no test case; give --folds, --hold-out or --test-on")
    if problems:
        raise InputError(problems)


def atlases_for(
    target: Case, train: Sequence[Case], protocol: Protocol, *, most: int | None = None
) -> tuple[Case, ...]:
    """The atlases of a target: the first training cases, in drawing order, of other people, that match on columns.

    Args:
        target: A test case, or a training case (leave one person out).
        train: The fold's training cases in drawing order.
        protocol: Columns to match and the number of atlases.
        most: Instead of the protocol's number of atlases.

    Raises:
        InputError: None is left.
    """
    fit = [
        case
        for case in train
        if case.person != target.person
        and all(case.columns.get(column) == target.columns.get(column) for column in protocol.match)
    ]
    if not fit:
        wanted = ", ".join(f"{column}={target.columns.get(column)}" for column in protocol.match) or "another person"
        raise InputError(
            f"case {target.name}: no atlas is left among {len(train)} training cases (wanted: {wanted}); "
            "match on fewer columns or train on more cases"
        )
    return tuple(fit[: most or protocol.atlases])
