"""Writes a report."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from dlfbench.errors import InputError
from dlfbench.files import file_name, write_whole
from dlfbench.metrics.known import METRICS
from dlfbench.plugins import unknown
from dlfbench.report.basis.analysis import Analysis, analyse
from dlfbench.report.basis.ranking import ranking_table
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.html import Figures, draw, render
from dlfbench.report.paper import to_latex, to_markdown
from dlfbench.report.shown import format as say
from dlfbench.report.shown import more_tables
from dlfbench.report.shown.tables import Table, comparison_table, pair_table, results_table
from dlfbench.report.shown.tables import headline as headline_of


def write_report(*runs: Path, out: Path | None = None) -> Path:
    """Analyses a run, or several as one, and writes index.html, tables/*.csv|.tex|.md, figures/*.svg|.png.

    Args:
        runs: Run folders.
        out: Where to write; by default RUN/report, of several runs `report-RUN1+RUN2` beside the first.

    Returns:
        The page.

    Raises:
        InputError: A folder holds no results, or damaged ones; the runs cannot be merged.
    """
    analysis = _analysis(*runs)
    folder = out or _default_folder(runs)
    figures = draw(analysis, folder)
    write_tables(analysis, folder / "tables")
    _write_paper_tables(analysis, folder / "tables")
    _write_figures(figures, folder / "figures")
    page = folder / "index.html"
    _write(page, render(analysis, figures, folder).encode())
    return page


def _default_folder(runs: Sequence[Path]) -> Path:
    if len(runs) == 1:
        return runs[0] / "report"
    return runs[0].resolve().parent / ("report-" + "+".join(run.resolve().name for run in runs))


def headline(*runs: Path) -> Table:
    """The table that ends a run on the terminal; its cells are text by `str`.

    Raises:
        InputError: As `write_report`.
    """
    return headline_of(_analysis(*runs))


def compare_methods(*runs: Path, a: str, b: str, everything: bool = True) -> Table:
    """Differences of two methods of a run, or of several as one; see `pair_table`.

    Raises:
        InputError: There is no such method; or as `write_report`.
    """
    analysis = _analysis(*runs)
    missing = [name for name in (a, b) if name not in analysis.methods]
    if missing:
        where = ", ".join(str(run) for run in runs)
        raise InputError([f"{where}: {unknown('method', name, analysis.methods)}" for name in missing])
    if a == b:
        raise InputError(f"{a!r} is given twice; name two methods of {', '.join(analysis.methods)}")
    return pair_table(analysis, a, b, everything=everything)


def _analysis(*runs: Path) -> Analysis:
    """The analysis of runs as they are now; kept, since the command line asks twice."""
    results = [run / "results.parquet" for run in runs]
    return _analyse(runs, tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in results))


@lru_cache(maxsize=1)
def _analyse(runs: tuple[Path, ...], _changed_ns: tuple[int, ...]) -> Analysis:
    return analyse(*runs)


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


def paper_tables(analysis: Analysis) -> Mapping[str, Table]:
    """Tables for papers, as they stand on the page, by file name; of comparisons and losses, Dice over all labels."""
    rows = {scores.test_set: (*analysis.methods, *analysis.bounds) for scores in analysis.scores}
    main = {"label": ALL_LABELS, "metric": say.TITLES[METRICS[0].name]}
    return {
        **{file_name("results", name): results_table(analysis, name, methods) for name, methods in rows.items()},
        "comparisons": comparison_table(analysis).where(**main),
        "losses": more_tables.drop_table(analysis).where(**main),
        "ranks": more_tables.rank_table(analysis),
        "volumes": more_tables.volume_table(analysis),
        "repeatability": more_tables.repeatability_table(analysis),
        "costs": more_tables.cost_table(analysis),
    }


def _write_paper_tables(analysis: Analysis, folder: Path) -> None:
    for name, table in paper_tables(analysis).items():
        if table.rows:
            _write(folder / f"{name}.tex", to_latex(table).encode())
            _write(folder / f"{name}.md", to_markdown(table).encode())


def _write_figures(figures: Figures, folder: Path) -> None:
    for picture in figures.all:
        if picture.kind == "svg":
            _write(folder / f"{picture.name}.svg", picture.content)
        _write(folder / f"{picture.name}.png", picture.png)


def _write(path: Path, content: bytes) -> None:
    write_whole(path, lambda part: Path(part).write_bytes(content))
