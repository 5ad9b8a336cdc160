"""Builds the frozen dataclass of a method, registration or any plugin from settings that a user wrote."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from math import isfinite
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from dlfbench.errors import InputError
from dlfbench.plugins import unknown

T = TypeVar("T")


def build(cls: type[T], settings: Mapping[str, Any], *, where: str) -> T:
    """Makes an instance from settings by parameter name.

    Values from a study file have their TOML type; text, as the command line gives it, is read as the parameter's type:
    "3" as an integer, "true" as a boolean, "2,2,1" as a tuple, "none" as None.

    Args:
        cls: A dataclass.
        settings: Values by parameter name; parameters that are left out keep their defaults.
        where: What is being set, for errors, such as `method 'jlf'`.

    Raises:
        InputError: One line for each unknown parameter, wrong type or refused value.
    """
    known: dict[str, Field[Any]] = {field.name: field for field in fields(cls) if field.init}  # type: ignore[arg-type]
    hints = get_type_hints(cls, include_extras=True)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in settings.items():
        if name not in known:
            problems.append(f"{where}: {unknown('parameter', name, known, show=lambda n: _signature(known[n]))}")
            continue
        try:
            values[name] = _read(value, hints[name])
            if isinstance(values[name], float) and not isfinite(values[name]):
                problems.append(f"{where}: parameter {name!r}: expected a finite number, found {value!r}")
        except ValidationError as error:
            first = error.errors()[0]
            problems.append(f"{where}: parameter {name!r}: {_lower(first['msg'])}, found {value!r}")
    if problems:
        raise InputError(problems)
    try:
        return cls(**values)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from None
    except (Exception, SystemExit) as error:  # a plugin may raise anything
        raise InputError(f"{where}: {type(error).__name__}: {error}") from error


def _read(value: Any, hint: Any) -> Any:
    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    if not isinstance(value, str):
        # TOML arrays stand for tuples; an integer may stand for a float, nothing else is converted
        return adapter.validate_python(tuple(value) if isinstance(value, list) else value, strict=True)
    if value.lower() == "none" and type(None) in get_args(hint):
        return None
    try:
        return adapter.validate_python(value, strict=True)
    except ValidationError:
        pass
    if "," in value:
        try:
            return adapter.validate_python(tuple(part.strip() for part in value.split(",")), strict=False)
        except ValidationError:
            pass
    try:
        return adapter.validate_python(value, strict=False)
    except ValidationError as error:
        try:
            return adapter.validate_python((value,), strict=False)  # a list of one
        except ValidationError:
            raise error from None


def _signature(field: Field[Any]) -> str:
    return field.name if field.default is MISSING else f"{field.name}={field.default!r}"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def described(cls: type) -> dict[str, str]:
    """What the docstring of a dataclass says of each of its attributes, on one line each."""
    _, _, section = (inspect.getdoc(cls) or "").partition("\nAttributes:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section.split("\n\n")[0], flags=re.M)
    return {name: " ".join(text.split()) for name, text in entries}
