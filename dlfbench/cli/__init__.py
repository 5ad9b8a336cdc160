"""The command line. Commands only; what they do lives elsewhere, and is imported when a command is called."""

import logging
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from typing import Any

import typer
from rich.logging import RichHandler
from rich.markup import escape
from typer.core import TyperGroup

from dlfbench.cli.console import err, styled
from dlfbench.errors import InputError

_COMMANDS = {
    "run": ("run:run", "Runs a study and writes its report."),
    "report": ("report:report", "Writes the report of a run: one offline HTML page."),
    "compare": ("report:compare", "Prints how method A differs from method B."),
    "score": ("score:score", "Scores label maps that were made elsewhere."),
    "segment": ("segment:segment", "Segments new images with a method of a run."),
    "export": ("export:export", "Packs a method of a run as one file."),
    "plan": ("planning:plan", "Says how many people a comparison needs."),
    "meta": ("planning:meta", "Pools a comparison of two methods over several studies."),
    "export-bids": ("export:export_bids_command", "Writes a run's label maps as BIDS derivatives."),
    "list": ("listing:list_", "Lists methods, metrics, registrations, datasets, studies."),
    "data": ("data:app", "Datasets: check, look, import, fetch."),
    "cache": ("cache:app", "The store of warped atlases."),
    "check-plugin": ("check:check_plugin_command", "Checks a method of yours."),
    "new-method": ("check:new_method", "Starts a method of your own."),
    "doctor": ("listing:doctor", "Says what is installed, and what is missing."),
}


class _Commands(TyperGroup):
    """Commands that are imported when they are called: help comes at once."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """For the list of commands: its name and what it does."""
        return typer.core.TyperCommand(cmd_name, help=_COMMANDS[cmd_name][1]) if cmd_name in _COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in _COMMANDS:
            if named := list(_named_metrics(args)):
                from dlfbench.metrics.named import name_metrics

                name_metrics(named)
            return args[0], command(args[0]), args[1:]
        return super().resolve_command(ctx, args)


def _named_metrics(arguments: list[str]) -> Iterator[str]:
    """What `--metrics` names: it must be known before the command is imported."""
    for flag, value in pairwise([*arguments, ""]):
        if flag == "--metrics":
            yield value
        elif flag.startswith("--metrics="):
            yield flag.partition("=")[2]


def command(name: str) -> Any:
    """The command of that name, imported."""
    module, _, attribute = _COMMANDS[name][0].partition(":")
    found = getattr(import_module(f"dlfbench.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        return _as_written(typer.main.get_command(found))
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    single.command(name)(found)
    return _as_written(typer.main.get_command(single))


def _as_written(command: Any) -> Any:
    """The command, whose help shows `jlf[beta=4]` as it is written: rich would take what is in brackets for markup."""
    for said in (command, *command.params):
        if getattr(said, "help", None):
            said.help = escape(said.help)
    for one in getattr(command, "commands", {}).values():
        _as_written(one)
    return command


app = typer.Typer(
    name="dlfbench",
    cls=_Commands,
    help="Benchmarks segmentation methods on the same cases, folds, atlases and registrations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback()
def _start() -> None:
    """Benchmarks segmentation methods on the same cases, folds, atlases and registrations."""


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; wrong input ends with one line per problem on stderr and exit code 2, a file's trouble with 1."""
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=err, show_path=False)]
    )
    try:
        app(arguments)
    except InputError as error:
        for problem in error.problems:
            err.print(styled("error:", "red"), problem, soft_wrap=True)
        sys.exit(2)
    except OSError as error:
        from dlfbench.engine.trouble import explain

        err.print(styled("error:", "red"), explain(error), soft_wrap=True)
        sys.exit(1)
