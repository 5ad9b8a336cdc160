"""What combining methods gains over the best of them."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.scores import ALL_LABELS

_COLUMNS = [
    *("test_set", "ensemble", "dice", "best_member", "dice_member", "persons", "difference", "low", "high"),
    *("p", "p_holm", "wins", "losses"),
]


def gains(basis: Basis, members: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Each ensemble against its member of the highest mean Dice over all labels, test set by test set.

    The member is chosen on the cases of the test, which makes the ensemble look rather worse than it is.

    Args:
        basis: The run.
        members: Of each ensemble, the methods that it combines.
    """
    rows = [_row(basis, name, ensemble, there) for name, ensemble, there in _questions(basis, members)]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _questions(basis: Basis, members: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Test set, ensemble, and mean Dice of each of its members that has one."""
    for test_set in basis.record.test_sets:
        for ensemble, names in members.items():
            dice = {name: basis.mean_dice(test_set, name) for name in names if name in basis.methods}
            there = {name: mean for name, mean in dice.items() if mean == mean}
            mean = basis.mean_dice(test_set, ensemble)
            if there and mean == mean:
                yield test_set, ensemble, there


def _row(basis: Basis, test_set: str, ensemble: str, there: Mapping[str, float]) -> dict[str, object]:
    best = max(there, key=lambda name: there[name])
    first, second = sorted((ensemble, best), key=basis.methods.index)
    sign, rows = 1 if first == ensemble else -1, basis.comparisons
    asked = {"test_set": test_set, "metric": "dice", "label": ALL_LABELS, "a": first, "b": second}
    pair = rows[(rows[list(asked)] == list(asked.values())).all(axis=1)].iloc[0]
    low, high = sorted((sign * pair["low"], sign * pair["high"]))
    wins, losses = (pair["wins"], pair["losses"])[::sign]
    dice = basis.mean_dice(test_set, ensemble)
    about = [test_set, ensemble, dice, best, there[best], pair["persons"], sign * pair["difference"], low, high]
    return dict(zip(_COLUMNS, [*about, pair["p"], pair["p_holm"], wins, losses], strict=True))
