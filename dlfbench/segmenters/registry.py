"""Methods by name: entry points in the group `dlfbench.segmenters`, objects of a file or a script, variants of them.

A variant is written `jlf[patch_radius=3]` on the command line and as a table with `use = "jlf"` in a study file.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from dlfbench import plugins
from dlfbench.datasets.cases import Dataset
from dlfbench.errors import InputError
from dlfbench.parameters import build
from dlfbench.segmenters.function import method_from_function
from dlfbench.segmenters.interface import FusionMethod, Segmenter


@dataclass(frozen=True)
class Method:
    """A method as a study runs it.

    Attributes:
        name: Unique within the study; stands in results and reports.
        use: The registered name, or the file and its object.
        segmenter: The method with its parameters.
    """

    name: str
    use: str
    segmenter: Segmenter


def make_method(name: str, use: str, settings: Mapping[str, Any], *, preset: str | None = None) -> Method:
    """Builds a method from a registered name and settings.

    Args:
        name: What the study calls it.
        use: The registered name, or `FILE.py:OBJECT`.
        settings: Its parameters, others keep their defaults.
        preset: The study's training budget, for methods that have a parameter `preset` which the settings leave open.

    Raises:
        InputError: Unknown method, unknown parameter, wrong type or value.
    """
    kind = method_class(plugins.load(plugins.SEGMENTERS, use), use)
    if preset and "preset" in {field.name for field in fields(kind)} - set(settings):  # type: ignore[arg-type]
        settings = {**settings, "preset": preset}
    return Method(name, use, build(kind, settings, where=f"method {name!r}"))


def check_learning(methods: Sequence[Method], dataset: Dataset) -> None:
    """Checks that every method that learns can leave out what is not known of a reference, where something is not.

    Raises:
        InputError: One line for each that cannot.
    """
    case = next((case for case in dataset.cases if case.partly_known), None)
    if case is None:
        return
    problems = [
        f"method {method.name!r}: learns from whole label maps only, and that of case {case.name} is known in part "
        f"({case.partly_known}); leave the method out, or complete the labels"
        for method in methods
        if method.segmenter.needs_training and not method.segmenter.learns_from_partial
    ]
    if problems:
        raise InputError(problems)


def method_class(loaded: Any, use: str) -> type[Segmenter]:
    """The class of a method from what a plugin offers: a class, or a function `fuse(target, atlases)`.

    Raises:
        InputError: It is neither, or a class that is no frozen dataclass.
    """
    if inspect.isfunction(loaded):
        return method_from_function(loaded)
    if not (isinstance(loaded, type) and issubclass(loaded, Segmenter)):
        raise InputError(
            f"method {use!r}: expected a function fuse(target, atlases) or a subclass of dlfbench.FusionMethod or "
            f"dlfbench.Segmenter, found {loaded!r}"
        )
    own = vars(loaded)
    if "__dataclass_fields__" not in own or not own["__dataclass_params__"].frozen:
        raise InputError(
            f"method {use!r}: {loaded.__name__} must be a frozen dataclass, its fields are its parameters; "
            "write @dataclass(frozen=True) above the class"
        )
    if inspect.isabstract(loaded):
        lacking = ", ".join(sorted(loaded.__abstractmethods__))
        raise InputError(f"method {use!r}: {loaded.__name__} lacks {lacking}; write it")
    if issubclass(loaded, FusionMethod):
        _check_fuse(loaded, use)
    return loaded


def _check_fuse(kind: type[FusionMethod], use: str) -> None:
    """Checks that `fuse` has no parameters of its own: the first would be given the context."""
    arguments = [p for p in inspect.signature(kind.fuse).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    odd = [p for p in arguments[3:] if p.default is not p.empty]
    if odd:
        raise InputError(
            f"method {use!r}: {kind.__name__}.fuse is of (self, target, atlases) or (self, target, atlases, context), "
            f"found {', '.join(map(str, odd))}; parameters are fields of the class"
        )


def known_methods() -> list[plugins.Plugin]:
    """Every registered method, with the reason where it cannot be used."""
    return [_checked(plugin) for plugin in plugins.plugins(plugins.SEGMENTERS).values()]


def _checked(plugin: plugins.Plugin) -> plugins.Plugin:
    if plugin.reason:
        return plugin
    try:
        return replace(plugin, loaded=method_class(plugin.loaded, plugin.name))
    except InputError as error:
        return replace(plugin, loaded=None, reason=str(error))
