"""From a run folder to a report: sections, rendered as a page, tables and figures."""

from dlfbench.report.basis.basis import Basis
from dlfbench.report.section import Content, Section
from dlfbench.report.shown.figure_style import Picture, finish, new_axes
from dlfbench.report.shown.tables import Cell, Table
from dlfbench.report.write import compare_methods, headline, write_report

__all__ = [
    "Basis",
    "Cell",
    "Content",
    "Picture",
    "Section",
    "Table",
    "compare_methods",
    "finish",
    "headline",
    "new_axes",
    "write_report",
]
