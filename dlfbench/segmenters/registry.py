"""Methods by name: entry points in the group `dlfbench.segmenters`, and variants of them.

A variant is written `jlf[patch_radius=3]` on the command line and as a table with `use = "jlf"` in a study file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dlfbench import plugins
from dlfbench.errors import InputError
from dlfbench.parameters import build
from dlfbench.segmenters.interface import Segmenter

_SPEC = re.compile(r"\s*([^\[\]=]+?)\s*(?:\[(.*)\])?\s*")
_OUTER_COMMA = re.compile(r",(?![^\[]*\])")


@dataclass(frozen=True)
class Method:
    """A method as a study runs it.

    Attributes:
        name: Unique within the study; stands in results and reports.
        use: The registered name.
        segmenter: The method with its parameters.
    """

    name: str
    use: str
    segmenter: Segmenter


def make_method(name: str, use: str, settings: Mapping[str, Any], *, preset: str | None = None) -> Method:
    """Builds a method from a registered name and settings.

    Args:
        name: What the study calls it.
        use: The registered name.
        settings: Its parameters, others keep their defaults.
        preset: The study's training budget, for methods that have a parameter `preset` which the settings leave open.

    Raises:
        InputError: Unknown method, unknown parameter, wrong type or value.
    """
    kind = plugins.load(plugins.SEGMENTERS, use)
    if not (isinstance(kind, type) and issubclass(kind, Segmenter)):
        raise InputError(f"method {use!r}: expected a subclass of dlfbench.Segmenter, found {kind!r}")
    if preset and "preset" in {field.name for field in fields(kind)} - set(settings):  # type: ignore[arg-type]
        settings = {**settings, "preset": preset}
    return Method(name, use, build(kind, settings, where=f"method {name!r}"))


def parse_methods(text: str) -> dict[str, dict[str, Any]]:
    """Reads `mv,jlf[patch_radius=3,alpha=0.2]` into study-file tables by name.

    Values stay text; they get their type when the method is built.

    Raises:
        InputError: Brackets that do not close, a parameter without `=`, a name twice.
    """
    tables: dict[str, dict[str, Any]] = {}
    for spec in filter(None, (part.strip() for part in _OUTER_COMMA.split(text))):
        match = _SPEC.fullmatch(spec)
        if match is None:
            raise InputError(f"--methods: cannot read {spec!r}; write NAME or NAME[parameter=value,...]")
        if spec in tables:
            raise InputError(f"--methods: {spec!r} stands twice; give each variant once")
        tables[spec] = {"use": match[1], **_settings(match[2] or "", spec)}
    if not tables:
        raise InputError("--methods: expected at least one method, found none; `dlfbench list methods` shows them")
    return tables


def _settings(text: str, spec: str) -> dict[str, str]:
    settings: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        # "radius=2,2,1" means one tuple: a part without "=" goes on with the value before it
        key, equals, value = part.partition("=")
        if equals:
            settings[key.strip()] = value.strip()
        elif settings:
            settings[next(reversed(settings))] += f",{part}"
        else:
            raise InputError(f"--methods: {spec!r}: expected parameter=value, found {part!r}")
    return settings
