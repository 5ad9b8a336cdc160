"""Metrics of plugins that raised: a line of a result's reason says so, and the metric is left out as a whole.

Its values where it did not raise are not shown either: over the cases that happen to have one, methods would be
compared on different cases.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dlfbench.metrics.known import MORE_METRICS


@dataclass(frozen=True)
class FailedMetric:
    """A metric that raised somewhere.

    Attributes:
        name: Its name.
        failed: How many results it gave no value for.
        tried: Of so many.
        reason: What it raised first.
    """

    name: str
    failed: int
    tried: int
    reason: str


def failed_line(metric: str, reason: str) -> str:
    """What a result's reason says of a metric that raised."""
    return f"{_start(metric)}{' '.join(reason.split())}"


def failed_metrics(results: pd.DataFrame) -> list[FailedMetric]:
    """The metrics of plugins that raised in some of these results."""
    tried = results[results["status"] == "ok"]
    reasons = tried["reason"].fillna("").astype(str)
    found = []
    for metric in MORE_METRICS:
        lines = reasons[reasons.str.contains(_start(metric.name), regex=False)]
        if len(lines):
            first = lines.iloc[0].partition(_start(metric.name))[2].partition("\n")[0]
            found.append(FailedMetric(metric.name, len(lines), len(tried), first))
    return found


def without_failed_metrics(results: pd.DataFrame) -> pd.DataFrame:
    """The results without any value of a metric that raised in some."""
    return results.assign(**{metric.name: np.nan for metric in failed_metrics(results)})


def _start(metric: str) -> str:
    return f"metric {metric} failed: "
