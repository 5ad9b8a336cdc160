"""Several runs as one: what must agree between them, and how their methods come together.

A folder needs results.parquet only, so that results scored elsewhere can be put beside a run. What it says of itself
(identity.json, splits.json) must agree with the others; what it does not say is not held against it. The scores of
single atlases that two runs have must be the same: with others, their methods had other atlases.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from dlfbench.datasets.cases import FIRST_GROUP
from dlfbench.errors import InputError
from dlfbench.metrics.failed import without_failed_metrics
from dlfbench.records.described_study import DescribedStudy
from dlfbench.records.description import Description, Environment, Identity
from dlfbench.records.record import Origin, Record
from dlfbench.records.results import METRIC_COLUMNS, VOLUME_COLUMNS, stacked
from dlfbench.wording import few

_FEW = 3

_Digests = tuple[str | None, str | None]

_TESTED = ["test_set", "case", "person", "label", "label_name"]
_TASK = ["task", "method", "fold", "case", "atlas"]
_WITH_LABELS = ("results", "calibration", "curve", "candidates", "signs")
_VALUES = ["fold", "test_set", "case", "label", "status", *METRIC_COLUMNS, *VOLUME_COLUMNS]


def merge(records: Sequence[Record], *, across_registrations: bool = False) -> Record:
    """Runs of the same data and splits as one record.

    A method that two runs have with the same results is kept once; with other results, both are kept, each with its
    run in its name, or with its registration. Bounds and registrations are those of the first run that has them; of
    runs of several registrations they are in `parts` alone, since no method but those of one run had them.

    Args:
        records: The runs.
        across_registrations: They may differ in their registration: what that changes is the question.

    Raises:
        InputError: Runs differ in data, references, splits, atlases or metrics; every difference is named.
    """
    if len(records) == 1:
        return records[0]
    records = _with_shared_groups(records)
    first = records[0]
    problems = [
        f"{other.folder} and {one.folder} cannot be merged: {why}"
        for one, other in combinations(records, 2)
        for why in _conflicts(one, other, across_registrations)
    ]
    if problems:
        raise InputError(problems)
    names = _new_names(records, _names_of(records, across_registrations))
    named = [_renamed(record, new) for record, new in zip(records, names, strict=True)]
    if across_registrations and len(set(registrations_of(records))) > 1:
        named = [_without_registrations(record) for record in named]
    described = max(records, key=_says)
    return replace(
        described,
        folder=first.folder,
        results=without_failed_metrics(
            _together([record.results for record in named], ["kind", "method", "fold", *_TESTED])
        ),
        timings=_together([record.timings for record in named], _TASK),
        registrations=_together([record.registrations for record in named], ["target", "atlas"]),
        calibration=_together([record.calibration for record in named], ["method", "fold", *_TESTED, "bin"]),
        curve=_together([record.curve for record in named], ["method", "fold", *_TESTED]),
        candidates=_together([record.candidates for record in named], ["fold", *_TESTED, "atlas"]),
        signs=_together([record.signs for record in named], ["method", "fold", *_TESTED]),
        description=_description(described.description, records, names),
        origins={name: origin for record in named for name, origin in record.origins.items()},
        parts=tuple(records),
    )


def _says(record: Record) -> tuple[bool, ...]:
    """How much a run says of its study: the first that declares claims speaks for all, else the first that trained."""
    return record.study.analysis is not None, record.says_who_trained, bool(record.study.tables)


def _with_shared_groups(records: Sequence[Record]) -> list[Record]:
    """The runs without groups of labels that not all of them scored; those of one name have one number."""
    shared = [name for name in records[0].groups if all(name in record.groups for record in records)]
    return [_with_groups(record, shared) for record in records]


def _with_groups(record: Record, names: Sequence[str]) -> Record:
    """A run with rows of these groups alone, numbered in this order."""
    numbers = {name: FIRST_GROUP + place for place, name in enumerate(names)}
    tables: dict[str, Any] = {name: _numbered(getattr(record, name), numbers) for name in _WITH_LABELS}
    groups = record.data.groups  # others stay at the end: a column of cases.tsv may name them
    ordered = {name: groups[name] for name in (*names, *groups) if name in groups}
    data = record.data.model_copy(update={"groups": ordered})
    return replace(record, **tables, description=replace(record.description, data=data))


def _numbered(table: pd.DataFrame, groups: Mapping[str, int]) -> pd.DataFrame:
    """The rows of single labels, and of these groups under these numbers."""
    kept = table[~(table["label"] >= FIRST_GROUP) | table["label_name"].isin(list(groups))]
    named = zip(kept["label"], kept["label_name"], strict=True)
    return kept.assign(label=[groups[name] if label >= FIRST_GROUP else label for label, name in named])


def _description(first: Description, records: Sequence[Record], names: Sequence[Mapping[str, str]]) -> Description:
    cases = {name: case for record in reversed(records) for name, case in record.data.cases.items()}
    study = {**first.study.tables, "name": _name(records), "methods": _methods(records, names)}
    return replace(
        first,
        study=DescribedStudy(study),
        # with equal splits, those of most trainings
        folds=max(records, key=lambda record: (record.says_who_trained, len(record.folds))).folds,
        data=first.data.model_copy(update={"cases": cases}),
        environment=_environment(first.environment, records, names),
    )


def _environment(first: Environment, records: Sequence[Record], names: Sequence[Mapping[str, str]]) -> Environment:
    """What all runs say of their methods, under the new names; the machine is that of the first."""
    registers: dict[str, tuple[str, ...]] = {}
    members: dict[str, tuple[str, ...]] = {}
    for record, kept in zip(records, names, strict=True):
        said = record.environment
        registers |= {new: said.registers[old] for old, new in kept.items() if old in said.registers}
        members |= {
            new: tuple(kept.get(member, member) for member in said.members[old])
            for old, new in kept.items()
            if old in said.members
        }
    return first.model_copy(update={"registers": registers, "members": members})


def _name(records: Sequence[Record]) -> str:
    return " + ".join(dict.fromkeys(record.name for record in records))


def _methods(records: Sequence[Record], names: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The methods' tables of the study files under their new names."""
    return {
        new: record.study.methods.get(old, {})
        for record, kept in zip(records, names, strict=True)
        for old, new in kept.items()
    }


def _conflicts(first: Record, other: Record, across_registrations: bool) -> Iterator[str]:
    free = {"data", "registration", "registration_version"} if across_registrations else {"data"}
    yield from _settings(first.identity, other.identity, free)
    yield from _data(first.identity.data, other.identity.data)
    tested = [set(record.results[_TESTED].itertuples(index=False, name=None)) for record in (first, other)]
    if tested[0] != tested[1]:
        yield _tested_difference(*tested)
    elif groups := _differing_groups(first, other):
        yield f"the groups of labels {few(sorted(groups), _FEW)} are of other labels"
    elif not _same_references(first, other):
        yield "the volumes of their references differ; score both against the same references"
    elif not across_registrations and (moved := _other_atlases(first, other)):
        yield (
            f"the scores of the warped atlases of {len(moved)} cases differ, such as {min(moved)}: their registrations "
            "are of other versions or code, or failed in one; run both anew with the same one, or report them with "
            "--registrations"
        )
    splits = [[sorted(fold.train) for fold in record.splits if fold.train] for record in (first, other)]
    if all(splits) and splits[0] != splits[1]:
        yield "their training cases differ; run both with the same protocol and seed"


def _settings(first: Identity, other: Identity, free: Set[str]) -> Iterator[str]:
    """Parts that differ, of those that both say something of, and that are not free to differ."""
    for part, keys in other.differences(first).items():
        if part in free or not (other.says(part) and first.says(part)):
            continue
        yield "; ".join(
            f"{part}.{key}".rstrip(".") + f" {there!r} against {here!r}" for key, (there, here) in keys.items()
        )


def _data(first: Mapping[str, _Digests], other: Mapping[str, _Digests]) -> Iterator[str]:
    """Images or references of one name that are not the same files; a digest that is not given says nothing."""
    pairs = ((case, zip(first[case], other.get(case, ()), strict=False)) for case in first)
    differing = [case for case, digests in pairs if any(a and b and a != b for a, b in digests)]
    if differing:
        yield f"image or reference of {len(differing)} cases differ, such as {differing[0]}"


def _tested_difference(first: set[Any], other: set[Any]) -> str:
    for column, what in ((0, "test sets"), (1, "test cases"), (2, "persons"), (4, "labels")):
        here, there = ({str(row[column]) for row in rows} for rows in (first, other))
        if here != there:
            return f"their {what} differ: {_of(there - here)} against {_of(here - there)}"
    return "the same cases are in other test sets, of other persons or under other labels"


def _differing_groups(first: Record, other: Record) -> set[str]:
    """Groups of one name that are not of the same labels; a run that does not say it is not held to it."""
    here, there = first.data.groups, other.data.groups
    return {name for name in first.groups if name in here and here[name] != there.get(name, here[name])}


def _of(names: set[str]) -> str:
    return few(sorted(names), _FEW) or "none"


def _same_references(first: Record, other: Record) -> bool:
    volumes = [record.results.groupby(["case", "label"])["reference_volume_mm3"].max() for record in (first, other)]
    there, here = (volume.dropna() for volume in volumes)
    both = there.index.intersection(here.index)
    return bool(np.allclose(there[both], here[both], rtol=1e-6))


def _other_atlases(first: Record, other: Record) -> set[str]:
    """Cases whose single atlases scored otherwise on average, of those that both runs have."""
    means = [_candidates(record) for record in (first, other)]
    both = means[0].index.intersection(means[1].index)
    differing = ~np.isclose(means[0][both], means[1][both], rtol=0, atol=1e-6)
    return set(both[differing].get_level_values("case"))


def _candidates(record: Record) -> pd.Series:
    """Mean Dice of the single atlases by fold, test set, case and label."""
    rows = record.results.query("kind == 'bound' and method == 'candidate'")
    return rows.set_index(["fold", "test_set", "case", "label"])["dice"].dropna()


def _names_of(records: Sequence[Record], across_registrations: bool) -> list[str]:
    """What tells each run from the others: its registration where that is the question, else its folder."""
    folders = [record.folder.resolve().name for record in records]
    names = registrations_of(records) if across_registrations else folders
    return names if len(set(names)) == len(names) else [str(place + 1) for place in range(len(names))]


def registrations_of(records: Sequence[Record]) -> list[str]:
    """What each run registered with; where runs differ in the settings of one tool, or its version, with these."""
    identities = [record.identity for record in records]
    said = all(one.registration_version is not None for one in identities)  # earlier builds did not
    tables = [one.registration | ({"version": one.registration_version} if said else {}) for one in identities]
    uses = [str(table.get("use", "registration unknown")).rpartition(":")[2] for table in tables]  # of FILE.py:NAME
    names = []
    for table, use in zip(tables, uses, strict=True):
        alike = [other for other, name in zip(tables, uses, strict=True) if name == use]
        settings = sorted(set().union(*alike))
        differ = [name for name in settings if len({repr(other.get(name)) for other in alike}) > 1]
        names.append(use + (f"[{','.join(f'{name}={table.get(name)}' for name in differ)}]" if differ else ""))
    return names


def _new_names(records: Sequence[Record], runs: Sequence[str]) -> list[dict[str, str]]:
    """Per run, the name in the merged report of each method that is kept."""
    kept: list[dict[str, str]] = []
    for place, record in enumerate(records):
        earlier = [other for other, names in zip(records, kept, strict=False)]
        again = {m for m in record.methods if any(_same_results(record, other, m) for other in earlier)}
        clashing = {m for m in record.methods if m not in again for other in records if _differs(record, other, m)}
        kept.append({m: f"{m} ({runs[place]})" if m in clashing else m for m in record.methods if m not in again})
    return kept


def _same_results(a: Record, b: Record, method: str) -> bool:
    return method in b.methods and _values(a, method).equals(_values(b, method))


def _differs(a: Record, b: Record, method: str) -> bool:
    return method in b.methods and not _values(a, method).equals(_values(b, method))


def _values(record: Record, method: str) -> pd.DataFrame:
    rows = record.results
    found = rows.loc[(rows["method"] == method) & (rows["kind"] == "method"), _VALUES]
    return found.sort_values(_VALUES[:4], ignore_index=True)


def _renamed(record: Record, names: Mapping[str, str]) -> Record:
    """The record with its kept methods under their new names, its bounds as they are."""
    is_method = record.results["kind"] == "method"
    results = record.results[~is_method | record.results["method"].isin(names)]
    timings = record.timings[record.timings["method"].fillna("").isin(["", *names])]
    return replace(
        record,
        results=results.assign(method=[names.get(m, m) for m in results["method"]]),
        timings=timings.assign(method=[names.get(m, m) for m in timings["method"]]),
        calibration=_of_methods(record.calibration, names),
        curve=_of_methods(record.curve, names),
        signs=_of_methods(record.signs, names),
        origins={new: Origin(record.folder, old) for old, new in names.items()},
    )


def _without_registrations(record: Record) -> Record:
    """The record without what is of its atlases: bounds, single atlases, registrations and their times."""
    return replace(
        record,
        results=record.results[record.results["kind"] == "method"],
        timings=record.timings[~record.timings["task"].isin(["registration", "bounds"])],
        registrations=record.registrations.iloc[:0],
        candidates=record.candidates.iloc[:0],
    )


def _of_methods(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The rows of these methods, under their new names."""
    kept = table[table["method"].isin(list(names))]
    return kept.assign(method=[names[m] for m in kept["method"]])


def _together(tables: Sequence[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    """The tables below each other; of rows with equal keys the first."""
    return stacked(tables).drop_duplicates(keys, ignore_index=True)
