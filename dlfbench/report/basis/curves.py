"""Learning curves: Dice against the number of training cases or of atlases, and where two methods cross."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from dlfbench.metrics.known import METRICS
from dlfbench.records.record import Record
from dlfbench.report.basis.statistics import Array, resample_persons
from dlfbench.report.basis.trainings import Estimate, Trained, against_false_alarms, arrange_trained, read_trained

FACTORS = {"train_cases": "training cases", "atlases": "atlases"}
POINT_COLUMNS = ["test_set", "factor", "method", "number", "draws", "persons", "dice", "low", "high", "fit_cpu_h"]
CROSSING_COLUMNS = ["test_set", "factor", "fewer", "more", "number", "low", "high", "share"]
_RESAMPLES = 2000
Curves = Mapping[str, Mapping[int, Trained]]


def read_curves(record: Record, test_set: str, factor: str, *, compared: Sequence[str] = ()) -> Curves:
    """By method and number of cases, the values of each person; empty where there is no such curve.

    The largest number is that of the results.

    Args:
        record: The run.
        test_set: Which one.
        factor: `train_cases` or `atlases`.
        compared: As in `read_trained`.
    """
    rows = record.curve[record.curve["test_set"] == test_set]
    rows = rows[rows["atlases"].notna() == (factor == "atlases")]
    rows = against_false_alarms(rows[rows["method"].isin(compared)]) if compared else rows
    found: dict[str, dict[int, Trained]] = {}
    for number in sorted(rows[factor].dropna().unique()):
        group = rows[rows[factor] == number]
        split_of = dict(zip(group["fold"], group["split"], strict=True))
        for method, trained in arrange_trained(group, record.methods, split_of).items():
            found.setdefault(method, {})[int(number)] = trained
    whole = read_trained(record, test_set, compared=compared) if found else {}
    for method, trained in whole.items():
        if method in found:
            found[method][_most(record, factor)] = trained
    return found


def _most(record: Record, factor: str) -> int:
    """The number of cases of the results; of folds that differ, the least. Of atlases, no more than any target has."""
    there = min(len(fold.train) for fold in record.splits)
    if factor != "atlases":
        return there
    used = record.candidates.groupby(["fold", "test_set", "case"])["atlas"].nunique()
    asked = int(record.study.protocol.get("atlases") or there)
    return asked if used.empty else min(asked, int(used.max()))


def points(record: Record, test_set: str, factor: str, curves: Curves) -> pd.DataFrame:
    """One row per method and number of what `read_curves` gives: `POINT_COLUMNS`.

    low, high: 95% limits for other people, and for other draws of the cases where there are several (see
    `basis.trainings`). fit_cpu_h: mean CPU hours of a fit; 0 where nothing is fitted.
    """
    rows = []
    for method, curve in curves.items():
        for number, trained in sorted(curve.items()):
            there = np.flatnonzero(~np.isnan(trained.means))
            if there.size > 1:
                estimate = Estimate.of(trained.means[there], trained.noise(there))
                about = [test_set, FACTORS[factor], method, number, trained.trainings, there.size, estimate.mean]
                limits = METRICS[0].within(*estimate.limits(with_training=True))
                rows.append([*about, *limits, _fit_h(record, method, factor, number)])
    return pd.DataFrame(rows, columns=POINT_COLUMNS)


def _fit_h(record: Record, method: str, factor: str, number: int) -> float:
    fits = record.timings[(record.timings["task"] == "fit") & (record.timings["method"] == method)]
    rows = record.curve[(record.curve[factor] == number) & (record.curve["method"] == method)]
    folds = set(rows["fold"]) or {fold.index for fold in record.folds}
    mine = fits[fits["fold"].isin(folds)]
    return float(mine["cpu_s"].astype(float).mean()) / 3600 if len(mine) else 0.0


def crossings(
    record: Record, test_set: str, factor: str, curves: Curves, compared: Callable[[str, str], Curves] | None = None
) -> pd.DataFrame:
    """One row per pair of methods of what `read_curves` gives: `CROSSING_COLUMNS`.

    `fewer` is ahead with few cases, `more` with many; number: where the lines of means between the numbers that were
    tried, drawn over the logarithm of the number, cross first (NaN: not within what was tried; `fewer` is ahead
    everywhere). low, high: 95% of resamples of people; -inf: `more` is ahead from the first number on, inf: `fewer` up
    to the last. share: of resamples that cross within what was tried. Where both are equal at the first number, the
    first at which they differ says who is ahead.

    Args:
        record: The run.
        test_set: Which one.
        factor: `train_cases` or `atlases`.
        curves: Of all methods.
        compared: Gives those of two methods as they are compared; without it, they are those of `curves`.
    """
    rng = np.random.default_rng([record.seed, len(test_set)])
    rows = []
    for a, b in combinations(curves, 2):
        numbers = sorted(set(curves[a]) & set(curves[b]))
        pair = compared(a, b) if compared else curves
        gaps = np.array([pair[a][n].means - pair[b][n].means for n in numbers])
        gaps = gaps[:, ~np.isnan(gaps).any(axis=0)] if len(numbers) > 1 else np.empty((0, 0))
        if gaps.shape[1] < 2:
            continue
        means = gaps.mean(axis=1)[None]
        sign = 1 if _first(means)[0] >= 0 else -1
        draws = resample_persons(gaps.shape[1], _RESAMPLES, rng) / gaps.shape[1]
        logs = np.log(numbers)
        crossing = _cross(logs, sign * means)[0]
        again = _cross(logs, sign * draws @ gaps.T)
        low, high = np.quantile(again, [0.025, 0.975], method="nearest")
        number = crossing if np.isfinite(crossing) else np.nan
        rows.append([test_set, FACTORS[factor], *(a, b)[::sign], number, low, high, float(np.isfinite(again).mean())])
    return pd.DataFrame(rows, columns=CROSSING_COLUMNS)


def _cross(logs: Array, gaps: Array) -> Array:
    """Where each row's line first falls below 0, as a number of cases.

    inf where it does not; -inf where it is below from the first number on.

    Args:
        logs: (number,), ascending.
        gaps: (row, number).
    """
    where = np.full(len(gaps), np.inf)
    for place in reversed(range(1, len(logs))):
        before, after = gaps[:, place - 1], gaps[:, place]
        falls = (before >= 0) & (after < 0)
        share = np.divide(before, before - after, out=np.zeros(len(gaps)), where=falls)
        where = np.where(falls, np.exp(logs[place - 1] + share * (logs[place] - logs[place - 1])), where)
    return np.where(_first(gaps) < 0, -np.inf, where)


def _first(gaps: Array) -> Array:
    """Each row's first gap that is not 0; 0 where there is none."""
    return np.take_along_axis(gaps, (gaps != 0).argmax(axis=1)[:, None], axis=1)[:, 0]
