"""Pictures and tables as the page holds them."""

import base64
import re
from typing import Any

from markupsafe import Markup

from dlfbench.report.shown.figure_style import FONT, Picture
from dlfbench.report.shown.tables import Cell, Table

_PAGE_FONT = "system-ui,-apple-system,Segoe UI,Roboto,Helvetica Neue,Arial,sans-serif"
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_DRAWN = re.compile(r'\b(?:d|x|y|width|height|transform|viewBox)="[^"]*"')
_BETWEEN_TAGS = re.compile(r">\s+<")
_LEFT_OUT = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)


def data_uri(picture: Picture) -> str:
    """A picture as the source of an image: an SVG as text in the page's own font, anything else in base64."""
    if picture.kind != "svg":
        return f"data:image/{picture.kind};base64," + base64.b64encode(picture.content).decode()
    text = _lean(picture.content.decode())
    # what a URL or the attribute around it would misread; the rest may stand as it is
    for character, code in (("%", "%25"), ("#", "%23"), ("&", "%26"), ('"', "'"), ("\n", " ")):
        text = text.replace(character, code)
    return Markup("data:image/svg+xml," + text)


def _lean(svg: str) -> str:
    """Without what no browser shows, hundredths of a point rounded away, in the font of the page."""
    text = _BETWEEN_TAGS.sub("><", _LEFT_OUT.sub("", svg))
    text = _DRAWN.sub(lambda drawn: _LONG_NUMBER.sub(_rounded, drawn[0]), text)
    return text.replace(f"'{FONT}'", _PAGE_FONT).strip()


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def explorer(table: Table) -> dict[str, Any]:
    """A table as data that the page filters and sorts."""
    return {
        "columns": table.columns,
        "text": table.text_columns,
        "filters": [table.columns.index(name) for name in table.filters],
        "rows": [[_compact(cell) for cell in row] for row in table.rows],
    }


def _compact(cell: Cell) -> Any:
    if cell.sort is None and not cell.style:
        return cell.text
    sort = float(f"{cell.sort:.7g}") if isinstance(cell.sort, float) else cell.sort
    if sort is not None and sort != sort:
        sort = None
    elif sort is not None and not isinstance(sort, str):
        sort = float(sort)
    return [cell.text, sort, cell.style] if cell.style else [cell.text, sort]
