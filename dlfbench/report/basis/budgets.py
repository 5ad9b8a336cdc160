"""Budget curves: Dice against the time of a training, of methods that differ in the length of their training alone."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from dlfbench.datasets.cases import ALL_LABELS
from dlfbench.records.merge import registrations_of
from dlfbench.records.record import Record
from dlfbench.report.basis.account import timings_of_results
from dlfbench.report.basis.basis import Basis

LENGTHS = ("steps", "voting_steps", "epochs", "iterations", "rounds")
"""Parameters that set how long a method trains, and nothing else of it."""
BUDGET_COLUMNS = [
    *("test_set", "line", "method", "fit_s", "persons", "dice", "low", "high"),
    *("shorter", "gain", "gain_low", "gain_high", "p", "rises"),
]
_OF_THE_PRESET = ("none", None)


def own_lengths(table: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a method that set how long it trains, where the preset does not."""
    return {name: table[name] for name in LENGTHS if table.get(name) not in _OF_THE_PRESET}


def lines(record: Record, fit_s: dict[str, float]) -> dict[str, tuple[str, ...]]:
    """Methods that differ in `LENGTHS` alone, two or more, from the shortest training on.

    A line may go through several runs of one registration, but where two of them have one length, each has its own.
    It is called by the method that has its preset's length, or else by the first of the study.

    Args:
        record: The run, or several.
        fit_s: Seconds of a training, of the methods that train.
    """
    trained = [method for method in record.methods if method in fit_s]
    registration = dict(zip([run.folder for run in record.runs], registrations_of(record.runs), strict=True))
    groups = _groups(
        trained, lambda method: (registration[record.origin(method).folder], *_other_settings(record, method))
    )
    parts = [part for group in groups for part in _without_repeats(record, group)]
    return {_name(record, part): tuple(sorted(part, key=fit_s.__getitem__)) for part in parts if len(part) > 1}


def _other_settings(record: Record, method: str) -> list[tuple[str, str]]:
    """What a method is, but for how long it trains."""
    table = {"use": method, **record.study.methods.get(method, {})}
    return sorted((name, repr(value)) for name, value in table.items() if name not in LENGTHS)


def _without_repeats(record: Record, methods: list[str]) -> list[list[str]]:
    """Methods that differ in their lengths: all of them, or those of each run, the first of each length."""

    def length(method: str) -> str:
        return repr(own_lengths(record.study.methods.get(method, {})))

    if len(_groups(methods, length)) == len(methods):
        return [methods]
    by_run = _groups(methods, lambda method: record.origin(method).folder)
    return [[alike[0] for alike in _groups(mine, length)] for mine in by_run]


def _name(record: Record, methods: list[str]) -> str:
    """The method that has its preset's length, else the first."""
    return min(methods, key=lambda method: bool(own_lengths(record.study.methods.get(method, {}))))


def _groups(methods: Iterable[str], key: Callable[[str], object]) -> list[list[str]]:
    """Methods of one key together, in the order of the first."""
    found: dict[object, list[str]] = {}
    for method in methods:
        found.setdefault(key(method), []).append(method)
    return list(found.values())


def fit_seconds(record: Record) -> dict[str, float]:
    """Mean over folds of the processor time of a training; on a GPU of the wall time."""
    timings = timings_of_results(record)
    fits = timings[(timings["task"] == "fit") & (timings["status"] == "ok")]
    time_s = fits["cpu_s" if on_cpu(record) else "wall_s"].astype(float)
    means = time_s.groupby(fits["method"]).mean().dropna()
    return {str(method): float(value) for method, value in means.items()}


def on_cpu(record: Record) -> bool:
    """Whether every training was on processors."""
    return set(record.timings.loc[record.timings["task"] == "fit", "device"].dropna()) <= {"cpu"}


def budgets(basis: Basis) -> pd.DataFrame:
    """One row per main test set and method on a line of `lines`: `BUDGET_COLUMNS`.

    gain, gain_low, gain_high, p: over the next shorter training of the line; NaN for the first. rises: it is the
    longest, and the interval of its gain is above 0.
    """
    fit_s = fit_seconds(basis.record)
    rows = []
    for test_set in basis.main_sets:
        for line, methods in lines(basis.record, fit_s).items():
            there = [method for method in methods if not np.isnan(basis.mean_dice(test_set, method))]
            for method, shorter in zip(there, [None, *there], strict=False):
                row = basis.row(test_set, method, ALL_LABELS, "dice")
                about = [test_set, line, method, fit_s[method], row["persons"], row["mean"], row["low"], row["high"]]
                found = basis.dice_difference(test_set, method, shorter) if shorter else dict.fromkeys(_GAIN, np.nan)
                rises = method == there[-1] and bool(found["low"] > 0)
                rows.append([*about, shorter or "", *(found[name] for name in _GAIN), rises])
    return pd.DataFrame(rows, columns=BUDGET_COLUMNS)


_GAIN = ("difference", "low", "high", "p")
