"""Code of scripts and notebooks, which no source file stands for: told by its bytecode.

Two classes have the same code if their methods, and the functions, classes and plain values of the script that
those use, are the same; comments, positions and the rest of the script do not count.
"""

import dataclasses
import hashlib
import inspect
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_COUNTED = ("__post_init__", "__call__", "__init__", "__new__")


def is_of_script(thing: Any) -> bool:
    """Whether a class or function was defined in a script or notebook that is being run."""
    return getattr(thing, "__module__", None) == "__main__"


def script_code(kind: Any) -> tuple[list[str], set[str]]:
    """All code of a script that a class or function leads to.

    Returns:
        Lines of text that stand for the code, in an order of their own; names of the modules that it uses.
    """
    lines: set[str] = set()
    modules: set[str] = set()
    seen: dict[int, Any] = {}
    waiting: list[Any] = [kind]
    while waiting:
        thing = _unwrapped(waiting.pop())
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing  # kept, so that no other thing gets its id
        if isinstance(thing, ModuleType):
            modules.add(thing.__name__)
        elif isinstance(thing, type | FunctionType) and not is_of_script(thing):
            modules.add(thing.__module__)
        elif isinstance(thing, FunctionType):
            lines.add(f"{thing.__qualname__}: {_code(thing.__code__)}")
            waiting += _used_by(thing)
        elif isinstance(thing, type):
            waiting += [*thing.__bases__, *_members(thing)]
            lines |= {f"{thing.__qualname__}.{name} = {text}" for name, text in _values(vars(thing).items())}
        elif isinstance(thing, tuple | list):
            waiting += thing
        elif is_of_script(type(thing)):
            waiting.append(type(thing))
            lines |= {f"{type(thing).__qualname__}().{name} = {text}" for name, text in _values(vars(thing).items())}
    lines |= {f"{name} = {text}" for thing in seen.values() for name, text in _named_values(thing)}
    return sorted(lines), modules


def _unwrapped(thing: Any) -> Any:
    """The function inside of a compiled, cached or partial one."""
    if isinstance(thing, type | FunctionType | ModuleType):
        return thing
    inside = (getattr(thing, name, None) for name in ("py_func", "__wrapped__", "func"))
    return next((found for found in inside if isinstance(found, FunctionType)), thing)


def _members(kind: type) -> Iterator[Any]:
    """Functions of a class, less what @dataclass wrote."""
    for name, member in vars(kind).items():
        written = name == "__init__" and dataclasses.is_dataclass(kind)
        if (name.startswith("__") and name not in _COUNTED) or written:
            continue
        if isinstance(member, property):
            yield from (part for part in (member.fget, member.fset) if part)
        else:
            yield getattr(member, "__func__", member)


def _used_by(function: FunctionType) -> Iterator[Any]:
    used = inspect.getclosurevars(function)
    names = set(_names(function.__code__)) & set(function.__globals__)
    yield from (function.__globals__[name] for name in sorted(names))
    yield from used.nonlocals.values()
    yield from (function.__defaults__ or ())
    yield from (function.__kwdefaults__ or {}).values()


def _named_values(thing: Any) -> Iterator[tuple[str, str]]:
    if isinstance(thing, FunctionType) and is_of_script(thing):
        names = set(_names(thing.__code__)) & set(thing.__globals__)
        yield from _values((name, thing.__globals__[name]) for name in names)
        defaults = {"defaults": thing.__defaults__, "options": thing.__kwdefaults__}
        yield from ((f"{thing.__qualname__}.{name}", text) for name, text in _values(defaults.items()))


def _values(items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, value in items:
        text = None if name.startswith("__") else _text(value)
        if text is not None:
            yield name, text


def _text(value: Any) -> str | None:
    """Plain values, containers of them and arrays as text; None for anything else."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(str, map(_text, value)))}]"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(str(_text(item)) for item in value))}}}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(key)}: {_text(item)}' for key, item in value.items())}}}"
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):
        return f"{value.dtype}{value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    return None


def _code(code: CodeType) -> str:
    constants = [_code(c) if isinstance(c, CodeType) else str(_text(c)) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {constants}"


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
