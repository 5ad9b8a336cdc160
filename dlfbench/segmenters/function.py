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
    parameters = inspect.signature(function).parameters.values()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    options = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    if len(positional) not in (2, 3) or any(option.default is option.empty for option in options):
        raise InputError(
            f"{function.__code__.co_filename}: {function.__name__}{inspect.signature(function)}: a method is a "
            "function of (target, atlases) or (target, atlases, context); its parameters come after *, each with a "
            "default"
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


def _call(self: Any, target: Target, atlases: AtlasSet, context: Context) -> Any:
    own, asked = type(self).__dataclass_fields__, inspect.signature(self.function).parameters
    settings = {name: getattr(self, name) for name in asked if name in own}
    given = (target, atlases, context) if takes_context(self.function) else (target, atlases)
    return self.function(*given, **settings)
