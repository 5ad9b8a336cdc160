"""Tables of text, as they stand on the page, on the terminal, and in files for papers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dlfbench.report.shown import format as say


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Attributes:
        text: As shown.
        sort: What it is sorted by; the text where it is None.
        style: CSS class.
        link: The file that it leads to; none if empty.
        detail: Shown smaller behind the text, such as an interval.
    """

    text: str
    sort: float | str | None = None
    style: str = ""
    link: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.detail})" if self.detail else self.text


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table to show.

    Attributes:
        title: What it shows.
        columns: Their heads.
        rows: One entry per column.
        text_columns: How many columns, from the left, are text and not numbers.
        spans: A row of heads above the heads, as (text, columns that it spans); none if empty.
        filters: Columns that the page offers to filter by.
        note: How to read it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    text_columns: int = 1
    spans: tuple[tuple[str, int], ...] = ()
    filters: tuple[str, ...] = ()
    note: str = ""

    def where(self, **values: str) -> "Table":
        """The rows with these texts in these columns, without the columns."""
        at = {self.columns.index(name): text for name, text in values.items()}
        kept = [place for place in range(len(self.columns)) if place not in at]
        rows = (row for row in self.rows if all(row[place].text == text for place, text in at.items()))
        return replace(
            self,
            columns=tuple(self.columns[place] for place in kept),
            rows=tuple(tuple(row[place] for place in kept) for row in rows),
            text_columns=self.text_columns - len(at),
            filters=tuple(name for name in self.filters if name not in values),
        )

    def below(self, other: "Table") -> "Table":
        """These rows and then those of a table with the same columns."""
        return replace(self, rows=(*self.rows, *other.rows))


def styled(cells: Sequence[Cell], style: str) -> tuple[Cell, ...]:
    """The cells in a style where they have none of their own."""
    return tuple(replace(cell, style=cell.style or style) for cell in cells)


def mean_style(row: Any) -> str:
    """How the mean of a row of `summarise` is marked: the best, and those not shown to be worse."""
    return {"best": "best", "not worse": "close"}.get(row["mark"], "")


def counted(text: str, row: Any) -> str:
    """The text of a mean, with the number of its cases where nobody drew the label in some: `0.927 (9)`."""
    return text if row["n"] + row["empty"] >= row["scored"] else f"{text} ({row['n']})"


def coverage(row: Any) -> Cell:
    """`26/27`: cases with a result of cases planned."""
    share = row["scored"] / row["planned"]
    return Cell(f"{row['scored']}/{row['planned']}", share, "" if row["complete"] else "lacking")


def limits_cell(row: Any, unit: str, decimals: int) -> Cell:
    """Limits of agreement."""
    low, high = row[f"low_{unit}"], row[f"high_{unit}"]
    text = f"{say.fixed(low, decimals, signed=True)} to {say.fixed(high, decimals, signed=True)}"
    return Cell(say.NONE if low != low else text, low)
