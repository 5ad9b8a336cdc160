"""From a run folder to a report: one analysis, rendered as a page, tables and figures."""

from dlfbench.report.write import compare_methods, headline, write_report

__all__ = ["compare_methods", "headline", "write_report"]
