"""Calibration over persons: expected calibration error and Brier score from counts of voxels by share."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.basis.statistics import bootstrap_means, interval, resample_persons

_RESAMPLES = 2000
FEWEST_VOXELS = 50
"""A point of a reliability diagram rests on so many voxels at least."""

_KEYS = ["test_set", "method", "label_name"]
_COUNTS = ["voxels", "expected", "observed", "squared"]


def calibrated(counts: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Expected calibration error (ECE; Naeini et al. 2015) and Brier score, means over persons.

    Of each person all voxels of their cases are put together, fold by fold and training by training: of two trainings,
    one may give too much where the other gives too little. A person's value is the mean over these; `ALL_LABELS` is the
    mean over the labels of a person.

    Args:
        counts: Columns of `CALIBRATION_COLUMNS`.
        seed: Of the bootstrap over persons.

    Returns:
        One row per test set, method and label: persons; ece and brier with 95% limits (ece_low, ece_high, ..).
    """
    return pd.DataFrame(list(_rows(_of_persons(counts), seed)))


def _of_persons(counts: pd.DataFrame) -> pd.DataFrame:
    """ECE and Brier score of each person, label by label and over all labels."""
    bins = counts.groupby([*_KEYS, "person", "fold", "bin"], sort=False)[_COUNTS].sum()
    bins["away"] = (bins["expected"] - bins["observed"]).abs()
    sums = bins.groupby([*_KEYS, "person", "fold"], sort=False).sum()
    of_fold = sums[["away", "squared"]].div(sums["voxels"], axis=0).set_axis(["ece", "brier"], axis=1)
    values = of_fold.groupby([*_KEYS, "person"], sort=False).mean().reset_index()
    whole = values.groupby(["test_set", "method", "person"], sort=False)[["ece", "brier"]].mean().reset_index()
    return pd.concat([values, whole.assign(label_name=ALL_LABELS)], ignore_index=True)


def _rows(persons: pd.DataFrame, seed: int) -> Iterator[dict[str, object]]:
    for keys, group in persons.groupby(_KEYS, sort=False):
        values = group[["ece", "brier"]].to_numpy()
        number = len(values)
        draws = resample_persons(number, _RESAMPLES, np.random.default_rng(seed))
        low, high = interval(bootstrap_means(values, np.ones_like(values), draws), number)
        row = {**dict(zip(_KEYS, keys, strict=True)), "persons": number}
        for place, name in enumerate(("ece", "brier")):
            row |= {name: values[:, place].mean(), f"{name}_low": low[place], f"{name}_high": high[place]}
        yield row


def reliability(counts: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """How often voxels have the label that they are given some share of; every person weighs the same.

    Voxels that several folds or trainings of a method tested count once, with the mean of what these say.

    Args:
        counts: Columns of `CALIBRATION_COLUMNS`, of one test set.
        labels: Whose voxels are put together.

    Returns:
        One row per method and bin that holds `FEWEST_VOXELS`: expected and observed share.
    """
    columns = ["voxels", "expected", "observed"]
    chosen = counts[counts["label_name"].isin(labels)]
    by_person = chosen.groupby(["method", "person"])
    folds, of_person = by_person["fold"].transform("nunique"), by_person["voxels"].transform("sum")
    weighed = chosen.assign(**{name: chosen[name] / of_person for name in columns}, once=chosen["voxels"] / folds)
    sums = weighed.groupby(["method", "bin"], sort=False)[[*columns, "once"]].sum().sort_index()
    sums = sums[sums["once"] >= FEWEST_VOXELS]
    return sums[["expected", "observed"]].div(sums["voxels"], axis=0).reset_index()
