"""`dlfbench check-plugin` and `dlfbench new-method`."""

from pathlib import Path
from typing import Annotated

import typer

from dlfbench.cli.console import out, print_table
from dlfbench.scaffold import write_project
from dlfbench.segmenters.contract.suite import CheckResult, Verdict, check_plugin


def check_plugin_command(
    plugin: Annotated[str, typer.Argument(help="NAME, NAME[parameter=value,...] or FILE.py:CLASS.")],
    registration: Annotated[bool, typer.Option("--registration", help="It is a registration.")] = False,
    limit_s: Annotated[float, typer.Option(min=1, help="Time for one check; what takes longer hangs.")] = 120.0,
) -> None:
    """Checks a method, or a registration, against the contract that all of them keep; exit code 1 where it does not.

    It runs on tiny made-up images in a process of its own. The same checks are a function, dlfbench.check_plugin, for
    tests of your own.
    """
    verdict = check_plugin(plugin, registration=registration, limit_s=limit_s)
    print_table("", ["check", "result", "what was found"], [_row(result, verdict) for result in verdict.results])
    _advise(verdict)
    raise typer.Exit(0 if verdict.passed else 1)


def new_method(
    name: Annotated[str, typer.Argument(help="Of the method, such as my_fusion.")],
    trains: Annotated[bool, typer.Option("--trains", help="A method that learns from training cases.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the project's folder is made.")] = Path(),
) -> None:
    """Writes a small installable project: a method, its test, README, entry point; it passes check-plugin as made."""
    project = write_project(name, folder, trains=trains)
    made = ", ".join(sorted(path.name for path in project.iterdir()))
    out.print(
        f"{project}: {made}\nnext:\n  pip install -e {project}\n  dlfbench check-plugin {name}\n"
        f"  dlfbench run --methods mv,{name}",
        soft_wrap=True,
    )


def _row(result: CheckResult, verdict: Verdict) -> tuple[str, str, str]:
    same = next((r for r in verdict.results if r.found == result.found and r.status == result.status), result)
    repeated = result.status == "failed" and same is not result
    return result.title, result.status, f"the same as: {same.title}" if repeated else result.found


def _advise(verdict: Verdict) -> None:
    name = verdict.name
    if verdict.passed:
        out.print(f"\n{name} keeps the contract.")
        return
    advice = dict.fromkeys(f"{result.title}: {result.mend}" for result in verdict.failures if result.mend)
    out.print(f"\n{name} does not keep the contract. To mend it:")
    for text in advice:
        out.print(f"- {text}", soft_wrap=True)
    if not verdict.failures:
        out.print("- every check that runs the method was skipped, so that nothing is known of it", soft_wrap=True)
