"""From a run folder to a report: one analysis, rendered as a page, tables and figures."""

from dlfbench.report.write import headline, write_report

__all__ = ["headline", "write_report"]
