"""What another registration changes, method by method."""

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from dlfbench.records.merge import registrations_of
from dlfbench.report.basis.account import flagged_registrations, one_registration_s, registration_counts
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.shares import ORACLE
from dlfbench.report.basis.statistics import holm

CANDIDATE = "candidate"
_COLUMNS = ["test_set", "method", "registration", "dice", "persons", "difference", "low", "high", "p", "p_holm"]


def by_registration(basis: Basis) -> pd.DataFrame:
    """Mean Dice over all labels of each method by each registration, and its difference from the first's.

    One row per test set, method and registration; without a difference for the first registration, and for single
    candidate and oracle, which are bounds. Tests are those of the pairs of methods; Holm over all that are told of
    a test set. Empty where all runs have one registration.
    """
    rows = pd.DataFrame(list(_rows(basis)), columns=_COLUMNS)
    if not rows.empty:
        rows["p_holm"] = rows.groupby("test_set")["p"].transform(lambda p: holm(p.to_numpy()))
    return rows


def quality(basis: Basis) -> pd.DataFrame:
    """Of each registration: how many there are, how many look wrong, and the median time of one in s."""
    parts = basis.record.parts
    rows = [
        (name, registration_counts(part)["planned"], len(flagged_registrations(part)), one_registration_s(part))
        for name, part in zip(registrations_of(parts), parts, strict=True)
    ]
    return pd.DataFrame(rows, columns=["registration", "planned", "flagged", "median_s"])


def _rows(basis: Basis) -> Iterator[dict[str, Any]]:
    parts = basis.record.parts
    registration = dict(zip([part.folder for part in parts], registrations_of(parts), strict=True))
    if len(set(registration.values())) < 2:
        return
    for test_set in basis.record.test_sets:
        for bound, part in product((CANDIDATE, ORACLE), parts):
            found = Basis(part).mean_dice(test_set, bound) if bound in part.bounds else float("nan")
            if found == found:
                about = {"test_set": test_set, "registration": registration[part.folder]}
                yield {**about, "method": bound, "dice": found}
        for method, names in _variants(basis, registration).items():
            first, *others = names
            yield _row(basis, test_set, method, names[first], first)
            for other in others:
                difference = basis.dice_difference(test_set, names[other], names[first])
                yield {**_row(basis, test_set, method, names[other], other), **difference}


def _variants(basis: Basis, registration: Mapping[Path, str]) -> dict[str, dict[str, str]]:
    """By method, its name in the report by registration; methods that are there with one registration only left out."""
    found: dict[str, dict[str, str]] = {}
    for name in basis.methods:
        origin = basis.record.origin(name)
        found.setdefault(origin.method, {})[registration[origin.folder]] = name
    return {method: names for method, names in found.items() if len(names) > 1}


def _row(basis: Basis, test_set: str, method: str, name: str, registration: str) -> dict[str, Any]:
    about = {"test_set": test_set, "method": method, "registration": registration}
    return {**about, "dice": basis.mean_dice(test_set, name)}
