"""`dlfbench report` and `dlfbench compare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dlfbench.cli.console import err, out, print_by_test_set, styled
from dlfbench.cli.flags import Metrics
from dlfbench.errors import InputError
from dlfbench.files import check_folder
from dlfbench.records.results import read_results


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several are merged.", show_default=False)],
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Where to write. Default: RUN/report; of several runs report-RUN1+RUN2 beside RUN1."
        ),
    ] = None,
    sections: Annotated[
        list[str] | None,
        typer.Option("--sections", metavar="FILE.py:NAME", help="A section of your own; give it again for more."),
    ] = None,
    metrics: Metrics = None,
    registrations: Annotated[
        bool, typer.Option("--registrations", help="The runs may differ in their registration; says what that changes.")
    ] = False,
) -> None:
    """Writes the report of a run: one offline HTML page, with tables and figures beside it.

    Several runs of the same data, splits and registration become one report; others are refused, with the reason.

    Examples:
      dlfbench report runs/mine
      dlfbench report runs/mine --sections age_section.py:AGE
      dlfbench report runs/greedy runs/demons --registrations
    """
    here = [run.resolve() for run in runs]
    finish(*here, to=out_folder, sections=sections or (), across_registrations=registrations)


def compare(
    arguments: Annotated[
        list[str], typer.Argument(metavar="RUN... A B", help="Run folders, then two methods.", show_default=False)
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="Every metric of every label, not only Dice of each.")
    ] = False,
    metrics: Metrics = None,
) -> None:
    """Prints how method A differs from method B, test set by test set.

    Examples:
      dlfbench compare runs/mine jlf mv
    """
    from dlfbench.report import compare_methods

    if len(arguments) < 3:
        raise InputError(f"expected run folders and two methods, found {' '.join(arguments)!r}; try: RUN jlf mv")
    *runs, a, b = arguments
    table = compare_methods(*(Path(run).resolve() for run in runs), a=a, b=b, everything=everything)
    out.print(styled(table.title, "bold"))
    print_by_test_set(table.columns, table.rows, right=table.columns[3:-1])
    out.print(table.note, soft_wrap=True)


def finish(
    *runs: Path, to: Path | None = None, sections: Sequence[str] = (), across_registrations: bool = False
) -> None:
    """Writes the report, prints the headline table and where the page is; see `write_report`."""
    from dlfbench.report import headline, write_report

    if to is not None:
        check_folder(to, "--out")
    page = write_report(*runs, out=to, sections=sections, across_registrations=across_registrations)
    table = headline(*runs, across_registrations=across_registrations)
    out.print(styled(table.title, "bold"))
    print_by_test_set(table.columns, table.rows, right=table.columns[2:])
    if table.note:
        out.print(table.note, style="yellow", soft_wrap=True)
    out.print(f"report {page}", soft_wrap=True)


def check_success(run: Path, nothing: str) -> None:
    """Exit code 1 where no method has a result; with what that means."""
    results = read_results(run)
    if not (results[results.kind == "method"].status == "ok").any():
        err.print(styled("error:", "red"), f"nothing succeeded: {nothing}; the report has the reasons")
        raise typer.Exit(1)
