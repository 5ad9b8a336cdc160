"""Methods as they are written on the command line: `mv,jlf[patch_radius=3],sharp=./my.py:Mine[power=8]`."""

import re
from collections.abc import Callable, Collection
from typing import Any

from dlfbench.errors import InputError
from dlfbench.files import LONGEST_NAME
from dlfbench.plugin_files import is_file

_SPEC = re.compile(r"(?:(?P<name>[\w.-]+)\s*=)?\s*(?P<use>[^\[\]=]+?)\s*(?:\[(?P<settings>.*)\])?", re.S)


def parse_methods(text: str) -> dict[str, dict[str, Any]]:
    """Reads `mv,jlf[patch_radius=3,alpha=0.2]` into study-file tables by name.

    `NAME=` before a method names it; without it a method is called as it is written, one of a file by its object.
    Values stay text, and get their type when the method is built; quotes keep commas and brackets inside of a value.

    >>> parse_methods("mv,wide=jlf[patch_radius=3]")
    {'mv': {'use': 'mv'}, 'wide': {'use': 'jlf', 'patch_radius': '3'}}

    Raises:
        InputError: Brackets that do not close, a parameter without `=`, a name twice.
    """
    tables: dict[str, dict[str, Any]] = {}
    for spec in _parts(text):
        name, table = parse_method(spec)
        if name in tables:
            raise InputError(f"--methods: {name!r} stands twice; name one of them: OTHER_NAME={spec}")
        tables[name] = table
    if not tables:
        raise InputError("--methods: expected at least one method, found none; `dlfbench list methods` shows them")
    return tables


def parse_method(spec: str) -> tuple[str, dict[str, Any]]:
    """Name and study-file table of one method; `InputError` where it cannot be read."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise InputError(f"--methods: cannot read {spec!r}; write METHOD, METHOD[parameter=value,...] or NAME=METHOD")
    use, settings = match["use"], match["settings"]
    written = _object_name(use) + (f"[{settings}]" if settings else "") if is_file(use) else spec
    name = match["name"] or written
    if len(name.encode()) > LONGEST_NAME:
        raise InputError(f"--methods: {name[:40]!r}... is too long for a name; name it: NAME={use}[...]")
    return name, {"use": use, **_settings(settings or "", spec)}


def with_changed(spec: str, names: Collection[str], change: Callable[[str], str]) -> str:
    """The same text of a method or reader, with these of its parameters changed.

    >>> with_changed("folder[labels={case}.nii,names='my.tsv']", ("names",), lambda path: f"/data/{path}")
    "folder[labels={case}.nii,names='/data/my.tsv']"

    Args:
        spec: As `parse_method` reads it.
        names: Of the parameters.
        change: From what is there to what it becomes, both without quotes.
    """
    match = _SPEC.fullmatch(spec)
    if match is None or not match["settings"] or not names:
        return spec
    parts = []
    for part in _parts(match["settings"]):
        key, equals, value = part.partition("=")
        old = _unquoted(value.strip())
        parts.append(f"{key}={value.replace(old, change(old), 1)}" if equals and old and key.strip() in names else part)
    return f"{spec[: match.start('settings')]}{','.join(parts)}]"


def _object_name(use: str) -> str:
    path, _, name = use.rpartition(":") if not use.endswith(".py") else (use, "", "")
    return name or re.split(r"[\\/]", path)[-1].removesuffix(".py")


def _parts(text: str) -> list[str]:
    """What stands between commas, those inside of brackets and quotes left out."""
    parts, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        else:
            depth += (char == "[") - (char == "]")
        if char == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


def _settings(text: str, spec: str) -> dict[str, str]:
    settings: dict[str, str] = {}
    for part in _parts(text):
        # "radius=2,2,1" means one tuple: a part without "=" goes on with the value before it
        key, equals, value = part.partition("=")
        if equals:
            settings[key.strip()] = _unquoted(value.strip())
        elif settings:
            settings[next(reversed(settings))] += f",{part}"
        else:
            raise InputError(f"--methods: {spec!r}: expected parameter=value, found {part!r}")
    return settings


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
