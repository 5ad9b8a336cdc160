"""Two scans of one person: how much their segmentations differ, beside the difference of the references."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from dlfbench.records.record import Record
from dlfbench.report.basis.agreement import LIMIT_SD
from dlfbench.report.basis.realign import Pair, realigned_dice
from dlfbench.report.basis.scores import Scores
from dlfbench.report.basis.statistics import Array, mean_and_sd

COLUMNS = [
    *("test_set", "method", "label", "pairs", "difference_percent", "spread_percent"),
    *("bias_mm3", "low_mm3", "high_mm3", "dice_pairs", "dice"),
]
REFERENCE = "reference"


def repeated_scans(record: Record, scores: Scores) -> list[tuple[int, int]]:
    """Pairs of cases of one person and side from different sessions, as indices into `scores.cases`."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    session = [record.case_column(case, "session") for case in scores.cases]
    for at in sorted(range(len(session)), key=session.__getitem__):
        if session[at]:
            person = scores.persons[scores.person_of[at]]
            groups[person, record.case_column(scores.cases[at], "side")].append(at)
    return [(a, b) for cases in groups.values() for a, b in combinations(cases, 2) if session[a] != session[b]]


def repeated_volumes(scores: Scores, methods: tuple[str, ...], pairs: list[tuple[int, int]]) -> dict[str, Array]:
    """Volumes (2, pair, label) in mm3 of first and second scan, by method, and of the references; NaN if not known."""
    volumes = {m: scores.volumes_mm3["prediction_volume_mm3"][:, scores.methods.index(m)] for m in methods}
    references = scores.volumes_mm3["reference_volume_mm3"]
    known = ~np.isnan(references).all(axis=1)
    volumes[REFERENCE] = np.where(known, np.nanmax(references, axis=1, initial=0.0), np.nan)
    first, second = np.array(pairs).T
    return {method: np.stack([volume[first], volume[second]]) for method, volume in volumes.items()}


def repeatability(record: Record, scores: Scores, methods: tuple[str, ...]) -> pd.DataFrame:
    """One row per method and label, and per label of the references.

    Columns: pairs of scans; difference_percent: mean over pairs of |V1 - V2| / mean(V1, V2); spread_percent: standard
    deviation of the signed difference; bias_mm3: mean of V1 - V2; low_mm3, high_mm3: its 95% limits of agreement;
    dice: mean Dice of the two segmentations, the images rigidly aligned, over the dice_pairs pairs that are there.
    """
    pairs = repeated_scans(record, scores)
    if not pairs:
        return pd.DataFrame(columns=COLUMNS)
    names = [Pair(scores.test_set, scores.cases[a], scores.cases[b]) for a, b in pairs]
    dice = realigned_dice(record, names)
    volumes = repeated_volumes(scores, methods, pairs)
    tables = [_of_method(scores, method, volume, dice) for method, volume in volumes.items()]
    return pd.concat(tables, ignore_index=True)


def _of_method(scores: Scores, method: str, volumes: Array, dice: Mapping[str, Array]) -> pd.DataFrame:
    first, second = volumes
    middle = (first + second) / 2
    percent = 100 * np.divide(first - second, middle, out=np.full(middle.shape, np.nan), where=middle > 0)
    bias, sd = mean_and_sd(first - second)
    overlap = dice.get(method, np.full((1, len(scores.labels)), np.nan))
    return pd.DataFrame(
        {
            "test_set": scores.test_set,
            "method": method,
            "label": scores.labels,
            "pairs": (~np.isnan(percent)).sum(axis=0),
            "difference_percent": mean_and_sd(np.abs(percent))[0],
            "spread_percent": mean_and_sd(percent)[1],
            "bias_mm3": bias,
            "low_mm3": bias - LIMIT_SD * sd,
            "high_mm3": bias + LIMIT_SD * sd,
            "dice_pairs": (~np.isnan(overlap)).sum(axis=0),
            "dice": mean_and_sd(overlap)[0],
        },
        columns=COLUMNS,
    )
