"""The command line. Commands only; what they do lives elsewhere."""

import logging
import sys

import typer
from rich.logging import RichHandler

from dlfbench.cli import cache, check, data, export, listing, planning, report, run, score
from dlfbench.cli.console import err, styled
from dlfbench.errors import InputError

app = typer.Typer(
    name="dlfbench",
    help="Benchmarks segmentation methods on the same cases, folds, atlases and registrations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("run")(run.run)
app.command("report")(report.report)
app.command("compare")(report.compare)
app.command("score")(score.score)
app.command("export-bids")(export.export_bids_command)
app.command("plan")(planning.plan)
app.command("meta")(planning.meta)
app.command("list")(listing.list_)
app.add_typer(data.app, name="data")
app.add_typer(cache.app, name="cache")
app.command("check-plugin")(check.check_plugin_command)
app.command("new-method")(check.new_method)
app.command("doctor")(listing.doctor)


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; wrong input ends with one line per problem on stderr and exit code 2."""
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=err, show_path=False)]
    )
    try:
        app(arguments)
    except InputError as error:
        for problem in error.problems:
            err.print(styled("error:", "red"), problem, soft_wrap=True)
        sys.exit(2)
