"""Everything that a report says in numbers, computed once from a run folder and rendered elsewhere."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from dlfbench.records.merge import merge
from dlfbench.records.record import Record, read_record
from dlfbench.report.basis.account import costs, failures, flagged_registrations
from dlfbench.report.basis.agreement import volume_agreement
from dlfbench.report.basis.comparison import compare, mark_best
from dlfbench.report.basis.generalization import drop_differences, drops
from dlfbench.report.basis.ranking import Ranking, rank
from dlfbench.report.basis.repeatability import repeatability
from dlfbench.report.basis.scores import ALL_LABELS, Scores, arrange_scores
from dlfbench.report.basis.summary import KEYS, summarise


@dataclass(frozen=True)
class Analysis:
    """The numbers of a report.

    Attributes:
        record: The run.
        methods: In the order of the study; bounds are not among them.
        bounds: Oracle and single candidate: never ranked.
        labels: Foreground labels, then `ALL_LABELS`.
        scores: One per test set, the in-domain one first.
        summary: See `summarise`; column `mark` from `mark_best`.
        comparisons: See `compare`.
        rankings: One per test set, of two methods or more.
        repeatability: See `repeatability`; empty without persons scanned twice.
        drops: See `generalization.drops`.
        drop_differences: See `generalization.drop_differences`.
        volumes: See `volume_agreement`.
        costs: See `costs`.
        failures: See `failures`.
        registrations: Those with flags.
    """

    record: Record
    methods: tuple[str, ...]
    bounds: tuple[str, ...]
    labels: tuple[str, ...]
    scores: tuple[Scores, ...]
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    rankings: tuple[Ranking, ...]
    repeatability: pd.DataFrame
    drops: pd.DataFrame
    drop_differences: pd.DataFrame
    volumes: pd.DataFrame
    costs: pd.DataFrame
    failures: pd.DataFrame
    registrations: pd.DataFrame

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Methods that lack a result for at least one planned case."""
        rows = self.summary[(self.summary["kind"] == "method") & ~self.summary["complete"]]
        return tuple(method for method in self.methods if method in set(rows["method"]))

    def row(self, test_set: str, method: str, label: str, metric: str) -> Any:
        """One row of the summary; None where the method was not planned there."""
        found = self._by_key.get((test_set, method, label, metric))
        return None if found is None else self.summary.loc[found]

    @cached_property
    def _by_key(self) -> dict[tuple[str, ...], int]:
        keys = self.summary[KEYS].itertuples(index=False, name=None)
        return {tuple(key): index for key, index in zip(keys, self.summary.index, strict=True)}


def analyse(*folders: Path) -> Analysis:
    """Reads a run folder, or several of the same data and splits as one, and computes everything.

    Raises:
        InputError: A folder holds no results, or damaged ones; the runs cannot be merged.
    """
    return analyse_record(merge([read_record(folder) for folder in folders]))


def analyse_record(record: Record) -> Analysis:
    """Computes everything from a run as recorded."""
    methods, bounds, labels = record.methods, record.bounds, record.labels
    scores = tuple(
        arrange_scores(record.results, test_set=name, methods=methods + bounds, labels=labels, seed=record.seed)
        for name in record.test_sets
    )
    summary = pd.concat([summarise(one, bounds) for one in scores], ignore_index=True)
    comparisons = pd.concat([compare(one, methods) for one in scores], ignore_index=True)
    summary["mark"] = mark_best(summary, comparisons)
    return Analysis(
        record,
        methods,
        bounds,
        (*labels, ALL_LABELS),
        scores,
        summary,
        comparisons,
        tuple(rank(one, methods) for one in scores if len(methods) > 1),
        pd.concat([repeatability(record, one, methods) for one in scores], ignore_index=True),
        drops(scores, methods),
        drop_differences(scores, methods),
        pd.concat([volume_agreement(one, methods) for one in scores], ignore_index=True),
        costs(record),
        failures(record),
        flagged_registrations(record),
    )
