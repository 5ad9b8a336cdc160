"""Which test sets are changed copies of another, by how much."""

from collections.abc import Mapping

from dlfbench.datasets.shifts import MISSING
from dlfbench.records.record import Record
from dlfbench.study.protocol import IN_DOMAIN

Series = Mapping[int, str]
"""Test sets by severity; 0 is the test set that is changed."""


def series_of(record: Record) -> dict[tuple[str, str], Series]:
    """Test sets that are changed copies of one another, by (kind of shift, test set that is changed)."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for name, shift in record.study.shifts.items():
        source = shift.source or IN_DOMAIN
        if shift.kind != MISSING and {name, source} <= set(record.test_sets):
            found.setdefault((shift.kind, source), {0: source})[int(shift.value)] = name
    return {key: dict(sorted(sets.items())) for key, sets in found.items()}


def changed_sets(record: Record) -> set[str]:
    """Test sets with a severity."""
    return {name for sets in series_of(record).values() for severity, name in sets.items() if severity}
