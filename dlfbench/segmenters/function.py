"""A function as a method: `fuse(target, atlases)`, its keyword-only arguments being the method's parameters."""

import inspect
from collections.abc import Callable
from dataclasses import field, make_dataclass
from functools import cache
from typing import Any, get_type_hints

from dlfbench.errors import InputError
from dlfbench.segmenters.interface import Context, FusionMethod, takes_context
from dlfbench.volumes import AtlasSet, Target


@cache
def method_from_function(function: Callable[..., Any]) -> type[FusionMethod]:
    """A method class made of `fuse(target, atlases)` or `fuse(target, atlases, context)`.

    Args:
        function: Returns a posterior (class, x, y, z) or a label map (x, y, z). Keyword-only arguments, each with a
            type and a default, become parameters.

    Raises:
        InputError: The function takes other arguments.
    """
    signature = inspect.signature(function)
    options = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    lacking = any(option.default is option.empty for option in options)
    if lacking or len(_positional(signature)) < 2 or _misplaced(signature):
        raise InputError(
            f"{function.__code__.co_filename}: {function.__name__}{signature}: a method is a function of (target, "
            "atlases) or (target, atlases, context); its parameters come after *, each with a default"
            + _instead(function.__name__, signature)
        )
    hints = get_type_hints(function)
    return make_dataclass(
        function.__name__,
        [(p.name, hints.get(p.name, type(p.default)), field(default=p.default)) for p in options],
        bases=(FusionMethod,),
        namespace={
            "__doc__": function.__doc__,
            "__module__": function.__module__,
            "function": staticmethod(function),
            "fuse": _call,
        },
        frozen=True,
    )


def _positional(signature: inspect.Signature) -> list[inspect.Parameter]:
    return [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _misplaced(signature: inspect.Signature) -> list[inspect.Parameter]:
    """Arguments that would be given the context, or nothing, though they are something else."""
    return [p for p in _positional(signature)[2:] if p.name != "context" or p.default is not p.empty]


def _instead(name: str, signature: inspect.Signature) -> str:
    """What to write for a function whose parameters do not come after *; empty where that cannot be told."""
    misplaced = _misplaced(signature)
    if len(_positional(signature)) < 2 or not misplaced:
        return ""
    unknown = [p.name for p in misplaced if p.name != "context" and p.default is p.empty]
    if unknown:
        return f"; call {unknown[0]} context where it is that, and write *, {unknown[0]}=... where it is a parameter"
    moved = [_moved(p, misplaced) for p in signature.parameters.values()]
    return f"; write def {name}{signature.replace(parameters=sorted(moved, key=lambda p: p.kind))}"


def _moved(parameter: inspect.Parameter, misplaced: list[inspect.Parameter]) -> inspect.Parameter:
    if parameter in misplaced and parameter.name != "context":
        return parameter.replace(kind=parameter.KEYWORD_ONLY)
    given = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    return parameter.replace(default=parameter.empty) if given else parameter


def _call(self: Any, target: Target, atlases: AtlasSet, context: Context) -> Any:
    own, asked = type(self).__dataclass_fields__, inspect.signature(self.function).parameters
    settings = {name: getattr(self, name) for name in asked if name in own}
    given = (target, atlases, context) if takes_context(self.function) else (target, atlases)
    return self.function(*given, **settings)
