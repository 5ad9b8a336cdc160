"""Metric values as arrays (case, method, label), one value per case however often it was tested."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from dlfbench.datasets.cases import ALL_LABELS as ALL_LABELS
from dlfbench.errors import InputError
from dlfbench.metrics.known import METRICS
from dlfbench.records.record import Record, read_record
from dlfbench.records.results import METRIC_COLUMNS, VOLUME_COLUMNS
from dlfbench.report.basis.statistics import Array, mean_and_sd, resample_persons, sign_flips

RESAMPLES = 4000
FLIPS = 9999


@dataclass(frozen=True)
class Scores:
    """Scores of one test set.

    Attributes:
        test_set: Its name.
        cases: Names of the cases.
        person_of: (case,), index into `persons`.
        persons: Whose images they are.
        methods: Methods, then bounds.
        labels: Labels, groups of labels, then `ALL_LABELS`: the mean over a case's labels; groups are not in it.
        single: How many of the labels are no groups; they come first.
        values: By metric, (case, method, label), as they are averaged, ranked and tested; NaN where there is none.
        volumes_mm3: reference_volume_mm3 and prediction_volume_mm3, (case, method, label); the last label is their sum.
        planned: (case, method), the method was to be run.
        scored: (case, method), it gave a result, in every fold that tests the case.
        draws: (resample, person), how often each person is drawn in each bootstrap resample.
        signs: (flip, person), the sign flips of permutation tests.
    """

    test_set: str
    cases: tuple[str, ...]
    person_of: npt.NDArray[np.int64]
    persons: tuple[str, ...]
    methods: tuple[str, ...]
    labels: tuple[str, ...]
    single: int
    values: Mapping[str, Array]
    volumes_mm3: Mapping[str, Array]
    planned: npt.NDArray[np.bool_]
    scored: npt.NDArray[np.bool_]
    draws: Array
    signs: Array

    @cached_property
    def membership(self) -> sparse.csr_array:
        """(person, case), 1 where the case is of the person."""
        cases = np.arange(len(self.cases))
        return sparse.csr_array((np.ones(cases.size), (self.person_of, cases)), (len(self.persons), cases.size))

    @cached_property
    def nothing(self) -> npt.NDArray[np.bool_]:
        """(case, method, label), the method rightly finds nothing of the label: nobody drew any, who drew it."""
        reference, prediction = (self.volumes_mm3[name] for name in VOLUME_COLUMNS)
        return (reference == 0) & (prediction == 0) & self.scored[:, :, None]

    def person_sums(self, values: Array) -> tuple[Array, Array]:
        """Sum and number of each person's values.

        Args:
            values: (case, column), NaN where there is none.

        Returns:
            Both (person, column).
        """
        present = ~np.isnan(values)
        return self.membership @ np.where(present, values, 0.0), self.membership @ present.astype(float)

    def person_means(self, values: Array) -> Array:
        """Mean of each person's values (person, column); NaN where there is none."""
        sums, counts = self.person_sums(values)
        return ratio(sums, counts)

    def mean(self, method: str, metric: str = "dice") -> float:
        """Mean over the cases' means over all labels; NaN where a method has no result."""
        return float(mean_and_sd(self.values[metric][:, [self.methods.index(method)], -1])[0][0])

    def paired(self, pairs: Sequence[tuple[str, str]], *, metric: str = "dice", label: str = ALL_LABELS) -> Array:
        """Mean difference a - b of each person and pair of methods (person, pair); NaN where one of them lacks.

        Who rightly finds nothing has no value; against one who finds something of the label in the same case it has
        the best there is. Else the label would fall out, and false alarms would cost nothing. Over all labels it is the
        mean of the labels' differences.
        """
        a, b = ([self.methods.index(pair[side]) for pair in pairs] for side in (0, 1))
        both, best = self.scored[:, a] & self.scored[:, b], _METRIC[metric].of_rightly_nothing

        def apart(label: int) -> Array:
            values, nothing = self.values[metric][:, :, label], self.nothing[:, :, label]
            first, second = (
                np.where(nothing[:, mine] & ~np.isnan(values[:, other]), best, values[:, mine])
                for mine, other in ((a, b), (b, a))
            )
            return np.where(both, first - second, np.nan)

        return self.person_means(self._over_labels(apart, label))

    def compared(self, methods: Sequence[str], *, metric: str = "dice", label: str = ALL_LABELS) -> Array:
        """Values (case, method) of methods that are compared all at once, with false alarms as in `paired`."""
        at = [self.methods.index(method) for method in methods]

        def one(label: int) -> Array:
            values = self.values[metric][:, at, label]
            alarmed = ~np.isnan(values).all(axis=1, keepdims=True)
            return np.where(self.nothing[:, at, label] & alarmed, _METRIC[metric].of_rightly_nothing, values)

        return self._over_labels(one, label)

    def _over_labels(self, values_of: Callable[[int], Array], label: str) -> Array:
        """The values (case, column) of a label, or their mean over all of them, NaN left out."""
        if label != ALL_LABELS:
            return values_of(self.labels.index(label))
        return mean_and_sd(np.stack([values_of(number) for number in range(self.single)]))[0]

    def differences(self, a: str, b: str, *, metric: str = "dice", label: str = ALL_LABELS) -> Array:
        """As `paired`, of two methods (person,), but above 0 where a is better."""
        return _METRIC[metric].direction * self.paired([(a, b)], metric=metric, label=label)[:, 0]

    def complete(self, method: str) -> bool:
        """Whether a method has a result for every case that it was planned for."""
        place = self.methods.index(method)
        return bool((self.scored | ~self.planned)[:, place].all())


def arrange_scores(
    results: pd.DataFrame,
    *,
    test_set: str,
    methods: tuple[str, ...],
    labels: tuple[str, ...],
    groups: tuple[str, ...] = (),
    seed: int,
) -> Scores:
    """Arranges the results of one test set.

    Args:
        results: Columns of `RESULT_COLUMNS`.
        test_set: Which one.
        methods: Methods, then bounds.
        labels: Label names.
        groups: Names of groups of labels.
        seed: Of the bootstrap resamples.
    """
    rows = results[results["test_set"] == test_set]
    owners = rows[["case", "person"]].drop_duplicates("case").sort_values("case")
    persons, person_of = np.unique(owners["person"].to_numpy(str), return_inverse=True)
    cases = tuple(owners["case"])
    place = tuple(
        pd.Categorical(rows[column], categories).codes.astype(np.int64)
        for column, categories in (("case", cases), ("method", methods), ("label_name", (*labels, *groups)))
    )
    shape = len(cases), len(methods), len(labels) + len(groups)
    failed = np.zeros(shape, bool)
    np.logical_or.at(failed, place, (rows["status"] != "ok").to_numpy())
    there = np.zeros(shape, bool)
    there[place] = True
    scored = there.any(axis=2) & ~failed.any(axis=2)
    planned = np.tile(there.any(axis=(0, 2)), (len(cases), 1))  # results made elsewhere may lack rows
    rng = np.random.default_rng([seed, len(test_set), *test_set.encode()])
    nothing = (rows[list(VOLUME_COLUMNS)] == 0).all(axis=1).to_numpy() & (rows["status"] == "ok").to_numpy()
    values = {
        name: _mean_over_folds(rows[name], nothing, place, scored, shape) for name in (*METRIC_COLUMNS, *VOLUME_COLUMNS)
    }
    return Scores(
        test_set,
        cases,
        person_of.astype(np.int64),
        tuple(str(person) for person in persons),
        methods,
        (*labels, *groups, ALL_LABELS),
        len(labels),
        {name: _with_mean(values[name], len(labels)) for name in METRIC_COLUMNS},
        {name: _with_sum(values[name], len(labels)) for name in VOLUME_COLUMNS},
        planned,
        np.asarray(scored),
        resample_persons(len(persons), RESAMPLES, rng),
        sign_flips(len(persons), FLIPS, rng),
    )


def scores_of(run: Path, test_set: str | None) -> Scores:
    """Scores of one test set of a run, the first by default; methods only.

    Raises:
        InputError: There are no results, or no such test set.
    """
    record = read_record(run)
    name = test_set or record.test_sets[0]
    if name not in record.test_sets:
        raise InputError(f"{run}: no test set {name!r}; there are: {', '.join(record.test_sets)}")
    return arrange_record(record, name, record.methods)


def original_scores(run: Path) -> tuple[Scores, ...]:
    """Scores of every test set of a run that is no changed copy of another; methods only."""
    record = read_record(run)
    shifts = record.study.shifts
    return tuple(arrange_record(record, name, record.methods) for name in record.test_sets if name not in shifts)


def arrange_record(record: Record, test_set: str, methods: tuple[str, ...]) -> Scores:
    """Arranges the results of one test set of a run: of these methods and bounds."""
    results = record.results[record.results["method"].isin(methods)]
    names = {"labels": record.labels, "groups": record.groups}
    return arrange_scores(results, test_set=test_set, methods=methods, seed=record.seed, **names)


def ratio(sums: Array, counts: Array) -> Array:
    """Means of sums of so many values; NaN where there is none."""
    found: Array = np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0)
    return found


_METRIC = {metric.name: metric for metric in METRICS}


def _mean_over_folds(column: Any, nothing: Any, place: tuple[Any, ...], scored: Any, shape: tuple[int, ...]) -> Array:
    """Mean of a case's values in its folds; beside one that finds something, those that rightly find nothing are best.

    Else a label that nobody drew would have the value of the false alarms alone, however rare they are.
    """
    values = column.to_numpy(float)
    if column.name in _METRIC:
        values = _METRIC[column.name].comparable(values)
        found = np.zeros(shape, bool)
        np.logical_or.at(found, place, ~np.isnan(values))
        values = np.where(np.isnan(values) & nothing & found[place], _METRIC[column.name].of_rightly_nothing, values)
    present = ~np.isnan(values)
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, place, np.where(present, values, 0.0))
    np.add.at(counts, place, present)
    return np.where(scored[:, :, None], ratio(sums, counts), np.nan)


def _with_mean(values: Array, labels: int) -> Array:
    alone = values[:, :, :labels]
    present = ~np.isnan(alone)
    mean = ratio(np.where(present, alone, 0.0).sum(axis=2), present.sum(axis=2))
    return np.concatenate([values, mean[:, :, None]], axis=2)


def _with_sum(values: Array, labels: int) -> Array:
    return np.concatenate([values, values[:, :, :labels].sum(axis=2, keepdims=True)], axis=2)
