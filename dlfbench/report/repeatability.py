"""Two scans of one person: how much the predicted volumes differ, beside the difference of the references."""

from collections import defaultdict
from itertools import combinations

import numpy as np
import pandas as pd

from dlfbench.report.record import Record
from dlfbench.report.scores import Scores
from dlfbench.statistics import mean_and_sd

COLUMNS = ["test_set", "method", "label", "pairs", "difference_percent", "spread_percent"]
REFERENCE = "reference"


def repeated_scans(record: Record, scores: Scores) -> list[tuple[int, int]]:
    """Pairs of cases of one person and side from different sessions, as indices into `scores.cases`."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, case in enumerate(scores.cases):
        if record.case_column(case, "session"):
            groups[scores.persons[scores.person_of[at]], record.case_column(case, "side")].append(at)
    session = [record.case_column(case, "session") for case in scores.cases]
    return [(a, b) for cases in groups.values() for a, b in combinations(cases, 2) if session[a] != session[b]]


def repeatability(record: Record, scores: Scores, methods: tuple[str, ...]) -> pd.DataFrame:
    """One row per method and label, and per label of the references.

    Columns: pairs of scans; difference_percent: mean over pairs of |V1 - V2| / mean(V1, V2); spread_percent: standard
    deviation of the signed difference. By volume only: the scans are not aligned.
    """
    pairs = repeated_scans(record, scores)
    if not pairs:
        return pd.DataFrame(columns=COLUMNS)
    volumes = {m: scores.volumes_mm3["prediction_volume_mm3"][:, scores.methods.index(m)] for m in methods}
    volumes[REFERENCE] = np.nanmax(scores.volumes_mm3["reference_volume_mm3"], axis=1, initial=0.0)
    first, second = np.array(pairs).T
    rows = []
    for method, volume in volumes.items():
        mean = (volume[first] + volume[second]) / 2
        percent = 100 * np.divide(volume[first] - volume[second], mean, out=np.full(mean.shape, np.nan), where=mean > 0)
        absolute, spread = mean_and_sd(np.abs(percent))[0], mean_and_sd(percent)[1]
        numbers = (~np.isnan(percent)).sum(axis=0)
        rows += [
            (scores.test_set, method, label, int(numbers[at]), float(absolute[at]), float(spread[at]))
            for at, label in enumerate(scores.labels)
        ]
    return pd.DataFrame(rows, columns=COLUMNS)
