"""What combining methods gains over the best of them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
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
    rows = [
        {**row, **basis.dice_difference(str(row["test_set"]), str(row["ensemble"]), str(row["best_member"]))}
        for row in _questions(basis, members)
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _questions(basis: Basis, members: Mapping[str, Sequence[str]]) -> Iterator[dict[str, object]]:
    """Test set, ensemble and best member with their mean Dice, over the cases that it and all its members scored."""
    for scores in basis.scores:
        for ensemble, names in members.items():
            there = [name for name in names if name in basis.methods and not np.isnan(scores.mean(name))]
            if not there or np.isnan(scores.mean(ensemble)):
                continue
            dice = scores.values["dice"][:, [scores.methods.index(name) for name in (ensemble, *there)], -1]
            dice = dice[~np.isnan(dice).any(axis=1)]
            if not len(dice):
                continue
            own, *means = dice.mean(axis=0)
            best = int(np.argmax(means))
            about = {"test_set": scores.test_set, "ensemble": ensemble, "dice": own}
            yield {**about, "best_member": there[best], "dice_member": means[best]}
