"""What another registration changes."""

import pandas as pd

from dlfbench.datasets.cases import ALL_LABELS
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.registrations import by_registration, quality
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.tables import Cell, Table


def make(basis: Basis) -> Content | None:
    """A table of methods by registrations; nothing where all runs have one."""
    found = by_registration(basis)
    if found.empty:
        return None
    return Content(text=_quality(basis), tables={"by_registration": _table(found)}, frames={"by_registration": found})


REGISTRATIONS = Section(name="registrations", title="Registrations", make=make)


def _quality(basis: Basis) -> list[str]:
    told = [
        f"{row['registration']}: {row['flagged']} of {say.count(row['planned'], 'registration')} look wrong"
        + (f", {say.seconds(row['median_s'])} each" if row["median_s"] > 0 else "")
        for _, row in quality(basis).iterrows()
    ]
    return [*told, "Bounds of the atlases of each, and what each loses to them, are on the pages of its own run."]


def _table(found: pd.DataFrame) -> Table:
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell(say.method_title(row["method"])),
            Cell(row["registration"]),
            Cell(say.number(row["dice"], "dice"), row["dice"]),
            Cell(say.number(row["difference"], "dice", signed=True), row["difference"]),
            Cell(say.signed_limits(row["low"], row["high"]), row["low"]),
            Cell(say.p_value(row["p"]), row["p"]),
            Cell(say.p_value(row["p_holm"]), row["p_holm"]),
        )
        for _, row in found.iterrows()
    )
    columns = ("test set", "method", "registration", "Dice", "less the first", "95% CI", "p", "p (Holm)")
    note = (
        f"Mean Dice over {ALL_LABELS}, the same method on atlases of each registration. Signed-rank test over people; "
        "Holm over all tests of a test set. Single candidate and oracle are bounds, and not tested. Methods without "
        "atlases are left out."
    )
    return Table(title="Methods by registration", columns=columns, rows=rows, text_columns=3, note=note)
