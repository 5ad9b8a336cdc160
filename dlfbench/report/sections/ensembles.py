"""Whether combining methods was worth it."""

import pandas as pd

from dlfbench.datasets.cases import ALL_LABELS
from dlfbench.report.basis.account import members
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.ensembles import gains
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.tables import Cell, Table


def make(basis: Basis) -> Content | None:
    """Each ensemble of methods against its best member."""
    of = {method: members(basis.record, method) for method in basis.methods}
    ensembles = {method: names for method, names in of.items() if names}
    if not ensembles:
        return None
    gained = gains(basis, ensembles)
    text = [
        f"{method} combines {' and '.join(names)}; not methods of this run: {', '.join(lacking) or 'none'}."
        for method, names in ensembles.items()
        for lacking in [[name for name in names if name not in basis.methods]]
    ]
    return Content(text=text, tables={"ensembles": _table(gained)}, frames={"ensembles": gained})


ENSEMBLES = Section(name="ensembles", title="Ensembles", make=make)


def _table(found: pd.DataFrame) -> Table:
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell(row["ensemble"]),
            Cell(row["best_member"]),
            Cell(str(row["persons"]), row["persons"]),
            Cell(say.number(row["dice"], "dice"), row["dice"]),
            Cell(say.number(row["dice_member"], "dice"), row["dice_member"]),
            Cell(say.number(row["difference"], "dice", signed=True), row["difference"]),
            Cell(say.signed_limits(row["low"], row["high"]), row["low"]),
            Cell(say.p_value(row["p"]), row["p"]),
            Cell(say.p_value(row["p_holm"]), row["p_holm"]),
            Cell(f"{row['wins']} / {row['losses']}", row["wins"]),
        )
        for _, row in found.iterrows()
    )
    columns = (
        *("test set", "ensemble", "best member", "people", "Dice", "Dice of the member", "gain", "95% CI"),
        *("p", "p (Holm)", "better / worse"),
    )
    note = (
        f"Mean Dice over {ALL_LABELS}. The best member is the one of the highest mean on the same cases, which favours "
        "the member. Signed-rank test over people; Holm over all pairs of methods of the test set."
    )
    return Table(title="Ensembles against their best members", columns=columns, rows=rows, text_columns=3, note=note)
