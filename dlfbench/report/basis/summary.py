"""Summary of each test set, method, label and metric."""

import numpy as np
import pandas as pd

from dlfbench.metrics.definitions import Metric
from dlfbench.metrics.known import METRICS
from dlfbench.report.basis.scores import Scores
from dlfbench.report.basis.statistics import Array, bootstrap_means, interval, mean_and_sd, quantiles

KEYS = ["test_set", "method", "label", "metric"]


def summarise(scores: Scores, bounds: tuple[str, ...]) -> pd.DataFrame:
    """One row per method, label and metric.

    Columns: test_set, kind, method, label, metric; planned, scored (cases), empty (cases where the label is in neither
    map), n (values in the mean), persons; mean, sd, median, q1, q3 over cases; low, high: 95% interval of the mean by
    a bootstrap over persons; complete: every planned case was scored.
    """
    return pd.concat([_of_metric(scores, metric, bounds) for metric in METRICS], ignore_index=True)


def _of_metric(scores: Scores, metric: Metric, bounds: tuple[str, ...]) -> pd.DataFrame:
    values = scores.values[metric.name]
    labels = len(scores.labels)
    flat = values.reshape(len(scores.cases), -1)
    planned = np.repeat(scores.planned.sum(axis=0), labels)
    scored = np.repeat((scores.scored & scores.planned).sum(axis=0), labels)
    n = (~np.isnan(flat)).sum(axis=0)
    mean, sd = mean_and_sd(flat)
    q1, median, q3 = _quartiles(flat)
    sums, counts = scores.person_sums(flat)
    persons = (counts > 0).sum(axis=0)
    low, high = metric.within(*interval(bootstrap_means(sums, counts, scores.draws), persons))
    kinds = {method: "bound" if method in bounds else "method" for method in scores.methods}
    names = np.array([(method, kind, label) for method, kind in kinds.items() for label in scores.labels])
    table = pd.DataFrame(
        {
            "test_set": scores.test_set,
            "kind": names[:, 1],
            "method": names[:, 0],
            "label": names[:, 2],
            "metric": metric.name,
            "planned": planned,
            "scored": scored,
            "empty": (scores.nothing & scores.planned[:, :, None]).sum(axis=0).ravel(),
            "n": n,
            "persons": persons,
            "mean": mean,
            "sd": sd,
            "median": median,
            "q1": q1,
            "q3": q3,
            "low": low,
            "high": high,
            "complete": scored == planned,
        }
    )
    return table.loc[table["planned"] > 0]


def _quartiles(values: Array) -> Array:
    """(3, column), NaN where there is no value."""
    quartiles = np.full((3, values.shape[1]), np.nan)
    there = ~np.isnan(values).all(axis=0)
    if there.any():
        quartiles[:, there] = quantiles(values[:, there], [0.25, 0.5, 0.75])
    return quartiles
