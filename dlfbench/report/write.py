"""Writes a report."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from dlfbench.errors import InputError
from dlfbench.files import write_whole
from dlfbench.plugins import unknown
from dlfbench.records.folder import RunFolder
from dlfbench.report.basis.basis import Basis, read_basis
from dlfbench.report.page import make_report
from dlfbench.report.section import more_sections
from dlfbench.report.shown.figure_style import Picture
from dlfbench.report.shown.paper import to_latex, to_markdown
from dlfbench.report.shown.tables import Table
from dlfbench.report.terminal import headline_table, pair_table


def write_report(
    *runs: Path, out: Path | None = None, sections: Sequence[str] = (), across_registrations: bool = False
) -> Path:
    """Analyses a run, or several as one, and writes index.html, tables/*.csv|.tex|.md, figures/*.svg|.png.

    Args:
        runs: Run folders.
        out: Where to write; by default RUN/report, of several runs `report-RUN1+RUN2` beside the first.
        sections: Sections of one's own, each `FILE.py:NAME`; those of installed packages are there anyway.
        across_registrations: The runs may differ in their registration: what that changes is the question.

    Returns:
        The page.

    Raises:
        InputError: A folder holds no results, or damaged ones; the runs cannot be merged; no such section.
    """
    more = more_sections(sections)
    folder = out or _default_folder(runs)
    report = make_report(_basis(*runs, across_registrations=across_registrations), more)
    write_frames(report.frames, folder / "tables")
    _write_paper_tables(report.tables, folder / "tables")
    _write_figures(report.pictures, folder / "figures")
    page = folder / "index.html"
    _write(page, report.page(folder).encode())
    return page


def _default_folder(runs: Sequence[Path]) -> Path:
    if len(runs) == 1:
        return runs[0] / "report"
    return runs[0].resolve().parent / ("report-" + "+".join(run.resolve().name for run in runs))


def headline(*runs: Path, across_registrations: bool = False) -> Table:
    """The table that ends a run on the terminal; its cells are text by `str`.

    Raises:
        InputError: As `write_report`.
    """
    return headline_table(_basis(*runs, across_registrations=across_registrations))


def compare_methods(*runs: Path, a: str, b: str, everything: bool = True) -> Table:
    """Differences of two methods of a run, or of several as one; see `pair_table`.

    Raises:
        InputError: There is no such method; or as `write_report`.
    """
    basis = _basis(*runs)
    missing = [name for name in (a, b) if name not in basis.methods]
    if missing:
        where = ", ".join(str(run) for run in runs)
        raise InputError([f"{where}: {unknown('method', name, basis.methods)}" for name in missing])
    if a == b:
        raise InputError(f"{a!r} is given twice; name two methods of {', '.join(basis.methods)}")
    return pair_table(basis, a, b, everything=everything)


def _basis(*runs: Path, across_registrations: bool = False) -> Basis:
    """The basis of runs as they are now; kept, since the command line asks twice."""
    results = [RunFolder(run).results_file for run in runs]
    changed_ns = tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in results)
    return _read(runs, changed_ns, across_registrations)


@lru_cache(maxsize=1)
def _read(runs: tuple[Path, ...], _changed_ns: tuple[int, ...], across_registrations: bool) -> Basis:
    return read_basis(*runs, across_registrations=across_registrations)


def write_frames(frames: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Writes tables as CSV, numbers with nine digits."""
    for name, frame in frames.items():
        _write(folder / f"{name}.csv", frame.to_csv(index=False, float_format="%.9g", lineterminator="\n").encode())


def _write_paper_tables(tables: Mapping[str, Table], folder: Path) -> None:
    for name, table in tables.items():
        if table.rows:
            _write(folder / f"{name}.tex", to_latex(table).encode())
            _write(folder / f"{name}.md", to_markdown(table).encode())


def _write_figures(pictures: Sequence[Picture], folder: Path) -> None:
    for picture in pictures:
        if picture.kind == "svg":
            _write(folder / f"{picture.name}.svg", picture.content)
        _write(folder / f"{picture.name}.png", picture.png)


def _write(path: Path, content: bytes) -> None:
    write_whole(path, lambda part: Path(part).write_bytes(content))
