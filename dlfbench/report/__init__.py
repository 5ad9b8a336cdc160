"""From a run folder to a report: sections, rendered as a page, tables and figures."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

# imported when first asked for: the page of new images shares number formats and style, and needs no plots
_HOMES = {
    "basis.basis": ("Basis",),
    "section": ("Content", "Section"),
    "shown.figure_style": ("Picture", "finish", "new_axes"),
    "shown.tables": ("Cell", "Table"),
    "write": ("compare_methods", "headline", "write_report"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
