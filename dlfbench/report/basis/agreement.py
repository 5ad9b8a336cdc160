"""Predicted against reference volumes: bias and limits of agreement (Bland and Altman 1986)."""

import numpy as np
import pandas as pd

from dlfbench.report.basis.scores import Scores
from dlfbench.report.basis.statistics import Array, mean_and_sd

COLUMNS = [
    *("test_set", "method", "label", "n", "reference_mm3", "bias_mm3", "low_mm3", "high_mm3"),
    *("bias_percent", "low_percent", "high_percent", "correlation"),
]
LIMIT_SD = 1.96


def volume_agreement(scores: Scores, methods: tuple[str, ...]) -> pd.DataFrame:
    """One row per method and label: mean reference volume, bias (prediction - reference) and 95% limits of agreement.

    `low` and `high` are bias -+ 1.96 sd of the differences, in mm3 and in percent of the reference; cases whose
    reference is empty have no percentage. `correlation` is Pearson's.
    """
    rows = []
    for method in methods:
        at = scores.methods.index(method)
        for label, name in enumerate(scores.labels):
            reference = scores.volumes_mm3["reference_volume_mm3"][:, at, label]
            prediction = scores.volumes_mm3["prediction_volume_mm3"][:, at, label]
            rows.append({"test_set": scores.test_set, "method": method, "label": name, **_agree(reference, prediction)})
    return pd.DataFrame(rows, columns=COLUMNS)


def _agree(reference: Array, prediction: Array) -> dict[str, float]:
    present = ~np.isnan(reference) & ~np.isnan(prediction)
    reference, prediction = reference[present], prediction[present]
    percent = 100 * (prediction - reference)[reference > 0] / reference[reference > 0]
    bias, sd = mean_and_sd(prediction - reference)
    bias_percent, sd_percent = mean_and_sd(percent)
    return {
        "n": int(present.sum()),
        "reference_mm3": float(mean_and_sd(reference)[0]),
        "bias_mm3": float(bias),
        "low_mm3": float(bias - LIMIT_SD * sd),
        "high_mm3": float(bias + LIMIT_SD * sd),
        "bias_percent": float(bias_percent),
        "low_percent": float(bias_percent - LIMIT_SD * sd_percent),
        "high_percent": float(bias_percent + LIMIT_SD * sd_percent),
        "correlation": _correlation(reference, prediction),
    }


def _correlation(a: Array, b: Array) -> float:
    if a.size < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
