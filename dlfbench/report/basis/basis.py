"""What the sections of a report share, each part computed when the first section asks for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from dlfbench.errors import InputError
from dlfbench.metrics.failed import FailedMetric, failed_metrics
from dlfbench.metrics.known import METRICS
from dlfbench.records.merge import merge
from dlfbench.records.record import Record, read_record
from dlfbench.report.basis.account import costs, failures, flagged_registrations
from dlfbench.report.basis.claims import judge_claims
from dlfbench.report.basis.comparison import better_of, compare, mark_best
from dlfbench.report.basis.ranking import Ranking, rank
from dlfbench.report.basis.scores import ALL_LABELS, Scores, arrange_record
from dlfbench.report.basis.severity import changed_sets
from dlfbench.report.basis.summary import KEYS, summarise
from dlfbench.report.basis.trainings import trainings_of_learners
from dlfbench.study.claims import DeclaredAnalysis
from dlfbench.study.tables import make_study

_MOST_MAIN_SETS = 5


@dataclass(frozen=True)
class Basis:
    """A run and what is computed from it for several sections.

    Attributes:
        record: The run.
        with_images: Pictures of cases may be shown.
        with_links: The page may lead to files of the run.
    """

    record: Record
    with_images: bool = True
    with_links: bool = True

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Methods in the order of the study; bounds are not among them."""
        return self.record.methods

    @cached_property
    def bounds(self) -> tuple[str, ...]:
        """Oracle and single candidate: never ranked."""
        return self.record.bounds

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Foreground labels, groups of them, then `ALL_LABELS`."""
        return (*self.record.labels, *self.record.groups, ALL_LABELS)

    @cached_property
    def scores(self) -> tuple[Scores, ...]:
        """One per test set, the in-domain one first."""
        shown = self.methods + self.bounds
        return tuple(arrange_record(self.record, name, shown) for name in self.record.test_sets)

    @cached_property
    def main_sets(self) -> tuple[str, ...]:
        """The test sets that are shown side by side: the first few that are no changed copy of another."""
        changed = changed_sets(self.record)
        return tuple(name for name in self.record.test_sets if name not in changed)[:_MOST_MAIN_SETS]

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """See `compare`."""
        return pd.concat([compare(one, self.methods) for one in self.scores], ignore_index=True)

    @cached_property
    def analysis(self) -> DeclaredAnalysis | None:
        """What the study declared, if it did."""
        tables = self.record.study.analysis
        return make_study({"analysis": dict(tables)}, where="study.toml of the run").analysis if tables else None

    @cached_property
    def claims(self) -> pd.DataFrame:
        """See `judge_claims`; only of a study that declared some."""
        assert self.analysis is not None
        return judge_claims(self.analysis, self.scores)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """See `summarise`; column `mark` from `mark_best`."""
        summary = pd.concat([summarise(one, self.bounds) for one in self.scores], ignore_index=True)
        return summary.assign(mark=mark_best(summary, self.comparisons))

    @cached_property
    def rankings(self) -> tuple[Ranking, ...]:
        """One per test set, of two methods or more."""
        return tuple(rank(one, self.methods) for one in self.scores if len(self.methods) > 1)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """See `costs`."""
        return costs(self.record)

    @cached_property
    def failed_metrics(self) -> list[FailedMetric]:
        """See `failed_metrics`."""
        return failed_metrics(self.record.results)

    @cached_property
    def failures(self) -> pd.DataFrame:
        """See `failures`."""
        return failures(self.record)

    @cached_property
    def flagged_registrations(self) -> pd.DataFrame:
        """Registrations with flags."""
        return flagged_registrations(self.record)

    @cached_property
    def incomplete(self) -> tuple[str, ...]:
        """Methods that lack a result for at least one planned case."""
        rows = self.summary[(self.summary["kind"] == "method") & ~self.summary["complete"]]
        return tuple(method for method in self.methods if method in set(rows["method"]))

    @cached_property
    def variance_held(self) -> str:
        """Which variance intervals and tests hold."""
        least, most = trainings_of_learners(self.record)
        if most == 0:
            return "the variance of people"
        if most == 1:
            return "the variance of people, not that of training: each method that learns was trained once"
        many = str(most) if least == most else f"{least} to {most}"
        return f"the variance of people, not that of training: {many} trainings of each method that learns are averaged"

    @cached_property
    def by_score(self) -> tuple[str, ...]:
        """Methods by the mean over the main test sets of their mean Dice over all labels; incomplete ones last."""

        def place(method: str) -> tuple[bool, float]:
            rows = [self.row(name, method, ALL_LABELS, "dice") for name in self.main_sets]
            means = [float(row["mean"]) for row in rows if row is not None and row["n"]]
            return method in self.incomplete, -sum(means) / len(means) if means else 0.0

        return tuple(sorted(self.methods, key=place))

    def scores_of(self, test_set: str) -> Scores:
        """The scores of one test set."""
        return self.scores[self.record.test_sets.index(test_set)]

    def row(self, test_set: str, method: str, label: str, metric: str) -> Any:
        """One row of the summary; None where the method was not planned there."""
        return self._rows.get((test_set, method, label, metric))

    def mean_dice(self, test_set: str, method: str) -> float:
        """Mean Dice over all labels; NaN where the method was not planned there."""
        row = self.row(test_set, method, ALL_LABELS, "dice")
        return float("nan") if row is None else float(row["mean"])

    def dice_difference(self, test_set: str, a: str, b: str) -> dict[str, Any]:
        """Dice over all labels of method a less that of b.

        Gives persons, difference, low, high, p, p_holm, wins, losses; better: the name of the one that is significantly
        better, if any.
        """
        first, second = sorted((a, b), key=self.methods.index)
        rows = self.comparisons
        of = {"test_set": test_set, "metric": "dice", "label": ALL_LABELS, "a": first, "b": second}
        pair = rows[(rows[list(of)] == list(of.values())).all(axis=1)].iloc[0]
        sign = 1 if first == a else -1
        low, high = sorted((sign * pair["low"], sign * pair["high"]))
        wins, losses = (pair["wins"], pair["losses"])[::sign]
        found = {"persons": pair["persons"], "difference": sign * pair["difference"], "low": low, "high": high}
        tests = {"p": pair["p"], "p_holm": pair["p_holm"], "wins": wins, "losses": losses}
        return {**found, **tests, "better": better_of(pair)}

    @cached_property
    def _rows(self) -> Mapping[tuple[str, ...], pd.Series]:
        keys = self.summary[KEYS].itertuples(index=False, name=None)
        return {tuple(key): row for key, (_, row) in zip(keys, self.summary.iterrows(), strict=True)}


def read_basis(*folders: Path, across_registrations: bool = False) -> Basis:
    """Reads a run folder, or several of the same data and splits as one; see `merge`.

    Raises:
        InputError: A folder holds no results, or damaged ones; the runs cannot be merged; claims are none, or about a
            metric that is not known here.
    """
    basis = Basis(merge([read_record(folder) for folder in folders], across_registrations=across_registrations))
    if basis.analysis is not None and basis.analysis.metric not in (known := [metric.name for metric in METRICS]):
        raise InputError(
            f"{folders[0]}: the declared analysis is of {basis.analysis.metric!r}, a metric of a plugin that is not "
            f"here; name it by --metrics FILE.py:NAME, or install its package; known: {', '.join(known)}"
        )
    return basis
