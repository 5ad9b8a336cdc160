"""What combining methods gains over the best of them."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from dlfbench.report.basis.basis import Basis

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
    dice = basis.mean_dice(test_set, ensemble)
    about = {"test_set": test_set, "ensemble": ensemble, "dice": dice, "best_member": best, "dice_member": there[best]}
    return {**about, **basis.dice_difference(test_set, ensemble, best)}
