"""Flags that commands share: a dataclass of flags is one parameter of a command, and one flag a field of it."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

RESOURCES = "How it is run (changes no result)"


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command whose parameters of a dataclass's type are given as that dataclass's fields.

    Of a field `train_on: Annotated[str | None, typer.Option(help="..")] = None` the flag is `--train-on`; whoever reads
    the signature finds it there.
    """
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type] = {}
    for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
        if not is_dataclass(parameter.annotation):
            parameters.append(parameter)
            continue
        groups[name] = parameter.annotation  # type: ignore[assignment]
        parameters += _parameters(groups[name])

    @wraps(command)
    def called(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{one.name: values.pop(one.name) for one in fields(kind)})
        command(**values)

    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    called.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword}
    return called


def _parameters(kind: type) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
            annotation=hints[one.name],
        )
        for one in fields(kind)
    ]


def option(help_: str, *names: str, **more: Any) -> Any:
    """A flag of the panel "how it is run"."""
    return typer.Option(*names, help=help_, rich_help_panel=RESOURCES, **more)


Workers = Annotated[int | None, option("Tasks at a time. Default: one per processor.", min=1)]
Device = Annotated[Literal["auto", "cpu", "cuda"], option("Where networks run.")]
Cache = Annotated[
    Path | None, option("Store of warped atlases, shared by all runs.", "--cache", envvar="DLFBENCH_CACHE")
]
Trust = Annotated[bool, option("Run plugin files and commands that the study names; remembered for these.", "--trust")]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metrics",
        metavar="FILE.py:NAME",
        help="A metric of your own; give it again for more, and to the report of the run too.",
    ),
]
RunOf = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)]
MethodOf = Annotated[str, typer.Argument(help="One of its methods.", show_default=False)]
LabelMap = Annotated[
    Path | None,
    typer.Option(
        "--map", help="Table (from, to), or another tool's table of label names: whose values the label maps have."
    ),
]
