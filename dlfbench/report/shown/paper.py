"""Tables as LaTeX (booktabs) and Markdown, as they stand on the page."""

from collections.abc import Callable

import pandas as pd

from dlfbench.report.shown.tables import Cell, Table

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{special: f"\\{special}" for special in "&%$#_{}"},
        **{special: f"${special}$" for special in "<>|"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "−": "$-$",
        "–": "--",
    }
)
_MARKDOWN = str.maketrans({**{special: f"\\{special}" for special in "\\|*_`"}, "<": "&lt;", "\n": " "})


def to_latex(table: Table) -> str:
    """A `tabular` with booktabs rules; the best values bold, those not significantly worse underlined."""
    body = _frame(table, _LATEX, {"best": r"\textbf{%s}", "close": r"\underline{%s}"}.get)
    columns = "l" * table.text_columns + "r" * (len(table.columns) - table.text_columns)
    text = body.to_latex(index=False, escape=False, column_format=columns)
    return f"% {table.title}; needs \\usepackage{{booktabs}}\n{text}"


def to_markdown(table: Table) -> str:
    """A table in GitHub's Markdown; the best values bold, those not significantly worse in italics."""
    body = _frame(table, _MARKDOWN, {"best": "**%s**", "close": "*%s*"}.get)
    rule = [":--" if at < table.text_columns else "--:" for at in range(len(table.columns))]
    lines = [list(body.columns), rule, *body.to_numpy().tolist()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _frame(table: Table, escapes: dict[int, str], style: Callable[[str, str], str]) -> pd.DataFrame:
    def shown(cell: Cell) -> str:
        return style(cell.style, "%s") % cell.text.translate(escapes)

    rows = [[shown(cell) for cell in row] for row in table.rows]
    return pd.DataFrame(rows, columns=[name.translate(escapes) for name in table.columns])
