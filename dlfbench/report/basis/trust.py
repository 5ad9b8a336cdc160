"""Expected against true Dice: does the bound hold, how far away is it, are bad segmentations caught?

Nothing is learned from a case that it is tried on, nor from another of the same person: the people of the set that is
learned from are dealt into parts, and each part is asked of what the others taught. Cases of other test sets are asked
of what everybody taught, or, where they are changed images of these people, of what the other parts taught.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from dlfbench.datasets.cases import ALL_LABELS
from dlfbench.metrics.expectation import Expectation
from dlfbench.metrics.signs import SIGNS

BAD_DICE = 0.8
FALSE_ALARMS = 0.1
_PARTS = 10
_NO_PART = -1  # of people who teach nothing


def learned_from(signs: pd.DataFrame, test_sets: tuple[str, ...]) -> str:
    """The test set that expectations are learned from: the first that there is, in-domain where there is one."""
    there = set(signs["test_set"])
    return next(name for name in test_sets if name in there)


def expectations(signs: pd.DataFrame, source: str) -> pd.DataFrame:
    """The rows of the signs with `expected` and `bound`; NaN where too few people taught it or a sign is missing.

    Args:
        signs: Columns of `SIGN_COLUMNS`.
        source: The test set to learn from.
    """
    known = signs[signs["dice"].notna()]
    parts = [_of_label(group, source) for _, group in known.groupby(["method", "label"], sort=False)]
    return pd.concat(parts, ignore_index=True) if parts else known.assign(expected=[], bound=[])


def _of_label(rows: pd.DataFrame, source: str) -> pd.DataFrame:
    signs, dice, person = _matrix(rows), rows["dice"].to_numpy(float), rows["person"].to_numpy(str)
    teaches = (rows["test_set"] == source).to_numpy()
    part_of = {one: place % _PARTS for place, one in enumerate(sorted(set(person[teaches])))}
    parts = np.array([part_of.get(one, _NO_PART) for one in person])
    expected, bound = np.full((2, len(rows)), np.nan)
    for part in set(parts):
        known, asked = teaches & (parts != part), parts == part
        learned = Expectation.learned(signs[known], dice[known], person[known])
        if learned is not None:
            expected[asked], bound[asked] = learned.of(signs[asked])
    return rows.assign(expected=expected, bound=bound)


def learn(rows: pd.DataFrame) -> Expectation | None:
    """What rows of signs of one method and label teach; None from too few people."""
    return Expectation.learned(_matrix(rows), rows["dice"].to_numpy(float), rows["person"])


def _matrix(rows: pd.DataFrame) -> np.ndarray:
    return rows[list(SIGNS)].to_numpy(float)


def trusted(expected: pd.DataFrame) -> pd.DataFrame:
    """How expectations did, one row per test set, method and label, and one for all labels together.

    Columns: people; covered (share of people's cases whose Dice is above the bound, people weighing the same); width
    (mean of expected less bound); error (mean absolute difference of expected and true Dice); correlation (Pearson's);
    bad (cases of a Dice below `BAD_DICE`), good, caught (share of the bad that are caught when the `FALSE_ALARMS` share
    of the good is looked at for nothing).
    """
    rows = expected[expected["expected"].notna()]
    return pd.DataFrame([row for _, group in rows.groupby(["test_set", "method"], sort=False) for row in _rows(group)])


def _rows(group: pd.DataFrame) -> Iterator[dict[str, object]]:
    for label, rows in group.groupby("label_name", sort=False):
        yield _row(rows, str(label))
    if group["label_name"].nunique() > 1:
        yield _row(group, ALL_LABELS)


def _row(rows: pd.DataFrame, label: str) -> dict[str, object]:
    dice, expected = rows["dice"].to_numpy(float), rows["expected"].to_numpy(float)
    weights = 1 / rows.groupby("person")["dice"].transform("size").to_numpy(float)
    mean = np.average(np.c_[dice >= rows["bound"], expected - rows["bound"], np.abs(expected - dice)], 0, weights)
    bad = dice < BAD_DICE
    varied = len(dice) > 2 and dice.std() > 0 and expected.std() > 0
    return {
        **{name: rows[name].iloc[0] for name in ("test_set", "method")},
        "label_name": label,
        "people": rows["person"].nunique(),
        **dict(zip(("covered", "width", "error"), mean, strict=True)),
        "correlation": float(np.corrcoef(dice, expected)[0, 1]) if varied else np.nan,
        "bad": int(bad.sum()),
        "good": int((~bad).sum()),
        "caught": caught(expected[bad], expected[~bad]),
    }


def caught(bad: np.ndarray, good: np.ndarray) -> float:
    """Share of the bad that are expected to be worse than all but the `FALSE_ALARMS` share of the good."""
    if not len(bad) or not len(good):
        return float("nan")
    allowed = int(FALSE_ALARMS * len(good) + 1e-9)
    return float((bad < np.sort(good)[allowed]).mean())
