"""Where a method's Dice is lost: to registration, to fusion, or to a network; and what single atlases are worth."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dlfbench.report.basis.scores import Scores
from dlfbench.report.basis.statistics import mean_interval

ORACLE = "oracle_one"
LOST_COLUMNS = ["test_set", "label", "method", "persons", "dice", "registration", "fusion", "network", "low", "high"]
MISSES = 0.1  # mean Dice over labels
ATLAS_COLUMNS = [
    "test_set",
    "label",
    "atlases",
    "cases",
    "mean",
    "sd_atlases",
    "best_atlas",
    "best_of_case",
    "worst_of_case",
]


def lost(scores: Scores, uses_atlases: Mapping[str, bool]) -> pd.DataFrame:
    """One row per method and label: `LOST_COLUMNS`, means over persons whom both oracle and method scored.

    registration: what the oracle lacks of 1, which is right wherever any atlas carries the true label; no fusion of
    these atlases can have it. fusion: what the method lacks of the oracle. A method that uses no atlas loses all to
    `network`; what it is below the oracle has the same interval. low, high: 95% interval of oracle - method, bootstrap
    over persons.

    Args:
        scores: One test set, with the oracle among its methods.
        uses_atlases: By method, whether it fuses atlases.
    """
    rows = []
    for place, label in enumerate(scores.labels):
        oracle = scores.values["dice"][:, scores.methods.index(ORACLE), place]
        for method, fuses in uses_atlases.items():
            dice = scores.values["dice"][:, scores.methods.index(method), place]
            pair = np.where(np.isnan(oracle + dice)[:, None], np.nan, np.stack([oracle, dice], axis=1))
            by_person = scores.person_means(pair)
            there = ~np.isnan(by_person[:, 0])
            if not there.any():
                continue
            best, mean = by_person[there].mean(axis=0)
            low, high = (float(end[0]) for end in mean_interval(by_person[:, :1] - by_person[:, 1:], scores.draws))
            shares = (1 - best, best - mean, np.nan) if fuses else (np.nan, np.nan, 1 - mean)
            rows.append([scores.test_set, label, method, int(there.sum()), mean, *shares, low, high])
    return pd.DataFrame(rows, columns=LOST_COLUMNS)


def single_atlases(candidates: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """One row per test set and label: `ATLAS_COLUMNS`, Dice of labels warped from one atlas.

    mean: over cases of the mean over their atlases; sd_atlases: standard deviation between atlases of a case, mean over
    cases; best_atlas: the mean of the atlas that is best for all cases, by how far it is above the mean of the cases
    that it was warped to (in cross-validation these are not the same); best_of_case, worst_of_case: of each case's best
    and worst atlas, as the reference knows them.

    Args:
        candidates: Columns of `CANDIDATE_COLUMNS`.
        labels: In this order.
    """
    rows = []
    for (test_set, label), group in candidates.groupby(["test_set", "label_name"], sort=False):
        of_case = group.groupby("case")["dice"]
        about = [test_set, label, group["atlas"].nunique(), group["case"].nunique()]
        mean = of_case.mean().mean()
        above = (group["dice"] - of_case.transform("mean")).groupby(group["atlas"]).mean()
        spread = [mean, of_case.std().mean(), mean + above.max()]
        rows.append([*about, *spread, of_case.max().mean(), of_case.min().mean()])
    table = pd.DataFrame(rows, columns=ATLAS_COLUMNS)
    order = {label: place for place, label in enumerate(labels)}
    return table.sort_values("label", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def means_of_atlases(candidates: pd.DataFrame) -> pd.DataFrame:
    """Mean Dice of each atlas over the cases that it was warped to, worst first: test_set, atlas, cases, dice."""
    by_atlas = _of_each(candidates).groupby(["test_set", "atlas"], sort=False)
    table = by_atlas.agg(cases=("case", "size"), dice=("dice", "mean"))
    return table.reset_index().sort_values(["test_set", "dice"], kind="stable", ignore_index=True)


def atlases_that_miss(candidates: pd.DataFrame) -> pd.DataFrame:
    """Warped atlases whose labels hardly meet the reference's: test_set, case, atlas, and mean Dice, below `MISSES`.

    Whoever registered may have seen nothing wrong: this is what the reference says.
    """
    dice = _of_each(candidates)
    return dice[dice["dice"] < MISSES].reset_index(drop=True)


def judged_atlases(candidates: pd.DataFrame) -> int:
    """How many atlases were warped to a test case."""
    return len(_of_each(candidates))


def _of_each(candidates: pd.DataFrame) -> pd.DataFrame:
    """Mean Dice over labels of each warped atlas: test_set, case, atlas, dice."""
    return candidates.groupby(["test_set", "case", "atlas"], sort=False)["dice"].mean().reset_index()
