"""Budget curves: Dice against the time of a training, of methods that differ in the length of their training alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dlfbench.datasets.cases import ALL_LABELS
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
    """Methods of a run that differ in `LENGTHS` alone, two or more, from the shortest training on.

    A line is called by the method that has its preset's length, or else by the first of the study.

    Args:
        record: The run.
        fit_s: Seconds of a training, of the methods that train.
    """
    tables = record.study.methods
    alike: dict[tuple[object, ...], dict[str, str]] = {}
    for method in (method for method in record.methods if method in fit_s):
        table = {"use": method, **tables.get(method, {})}
        kept = sorted((name, repr(value)) for name, value in table.items() if name not in LENGTHS)
        alike.setdefault((record.origin(method).folder, *kept), {}).setdefault(repr(own_lengths(table)), method)
    several = [list(methods.values()) for methods in alike.values() if len(methods) > 1]
    named = [min(methods, key=lambda method: bool(own_lengths(tables.get(method, {})))) for methods in several]
    by_time = [tuple(sorted(methods, key=fit_s.__getitem__)) for methods in several]
    return dict(zip(named, by_time, strict=True))


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
