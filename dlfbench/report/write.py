"""Writes a report into its run folder."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import pandas as pd

from dlfbench.errors import InputError
from dlfbench.plugins import unknown
from dlfbench.report.analysis import Analysis, analyse
from dlfbench.report.figure_style import file_name
from dlfbench.report.html import Figures, draw, render
from dlfbench.report.paper import to_latex, to_markdown
from dlfbench.report.ranking import ranking_table
from dlfbench.report.tables import Table, pair_table, results_table
from dlfbench.report.tables import headline as headline_of
from dlfbench.results import write_whole


def write_report(run: Path) -> Path:
    """Analyses a run and writes RUN/report: index.html, tables/*.csv|.tex|.md, figures/*.svg|.webp.

    Returns:
        The page.

    Raises:
        InputError: The folder holds no results, or damaged ones.
    """
    analysis = _analysis(run)
    figures = draw(analysis)
    folder = run / "report"
    write_tables(analysis, folder / "tables")
    _write_paper_tables(analysis, folder / "tables")
    _write_figures(figures, folder / "figures")
    page = folder / "index.html"
    _write(page, render(analysis, figures).encode())
    return page


def headline(run: Path) -> Table:
    """The table that ends a run on the terminal; its cells are text by `str`.

    Raises:
        InputError: The folder holds no results, or damaged ones.
    """
    return headline_of(_analysis(run))


def compare_methods(run: Path, a: str, b: str) -> Table:
    """Differences of two methods of a run: every test set, label and metric.

    Raises:
        InputError: The run has no such method, or no results.
    """
    analysis = _analysis(run)
    missing = [name for name in (a, b) if name not in analysis.methods]
    if missing:
        raise InputError([f"{run}: {unknown('method', name, analysis.methods)}" for name in missing])
    if a == b:
        raise InputError(f"{a!r} is given twice; name two methods of {', '.join(analysis.methods)}")
    return pair_table(analysis, a, b)


def _analysis(run: Path) -> Analysis:
    """The analysis of a run as it is now; kept, since the command line asks twice."""
    results = run / "results.parquet"
    return _analyse(run, results.stat().st_mtime_ns if results.is_file() else 0)


@lru_cache(maxsize=1)
def _analyse(run: Path, _changed_ns: int) -> Analysis:
    return analyse(run)


def write_tables(analysis: Analysis, folder: Path) -> None:
    """Writes every table of the analysis as CSV, in full precision."""
    for name, table in full_tables(analysis).items():
        _write(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.9g", lineterminator="\n").encode())


def full_tables(analysis: Analysis) -> Mapping[str, pd.DataFrame]:
    """Tables in full precision, by file name."""
    return {
        "summary": analysis.summary,
        "comparisons": analysis.comparisons,
        "ranks": ranking_table(analysis.rankings),
        "repeatability": analysis.repeatability,
        "losses": analysis.drops,
        "loss_differences": analysis.drop_differences,
        "volumes": analysis.volumes,
        "costs": analysis.costs,
        "failures": analysis.failures,
        "registrations": analysis.registrations,
    }


def _write_paper_tables(analysis: Analysis, folder: Path) -> None:
    """Writes the results of each test set as LaTeX and Markdown, as they stand on the page."""
    for scores in analysis.scores:
        table = results_table(analysis, scores.test_set, (*analysis.methods, *analysis.bounds))
        name = file_name("results", scores.test_set)
        _write(folder / f"{name}.tex", to_latex(table).encode())
        _write(folder / f"{name}.md", to_markdown(table).encode())


def _write_figures(figures: Figures, folder: Path) -> None:
    for picture in figures.all:
        _write(folder / f"{picture.name}.{picture.kind}", picture.content)


def _write(path: Path, content: bytes) -> None:
    write_whole(path, lambda part: Path(part).write_bytes(content))
