"""Code of scripts and notebooks, which no source file stands for: told by its bytecode.

Two classes have the same code if their methods, and the functions, classes and values of the script that those use,
are the same; comments, positions and the rest of the script do not count. A value is told by what it is pickled as,
so that equal values are the same in every process.
"""

import copyreg
import dataclasses
import dis
import enum
import functools
import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

_MAIN = "__main__"
_PLAIN = (bool, int, float, complex, str, bytes, bytearray, range, type(None), type(...), type(NotImplemented))
_WRITTEN = ("_abc_impl",)  # what Python writes into a class, besides names with two underscores


def is_of_script(thing: Any) -> bool:
    """Whether a class or function was defined in a script or notebook that is being run."""
    return getattr(thing, "__module__", None) == _MAIN


def home_of(thing: Any) -> str:
    """The module of a class, a function, or what is called in the end; empty for one of a script."""
    while not isinstance(thing, type | FunctionType) and (inside := _inside(thing)) is not None:
        thing = inside
    home = thing if isinstance(thing, type | FunctionType) else type(thing)
    return "" if is_of_script(home) else home.__module__


def script_code(thing: Any) -> tuple[list[str], set[str]]:
    """All code and values of a script that a class, a function or a value leads to.

    Returns:
        Lines of text that stand for them, in an order of their own; names of the modules that they use.
    """
    walk = _Walk()
    walk.lines.add(walk.text(thing))
    while walk.waiting:
        one = walk.waiting.pop()
        if isinstance(one, type):
            walk.add_class(one)
        else:
            walk.add_function(one)
    return sorted(walk.lines), walk.modules - {_MAIN}


class _Walk:
    """What was found so far, and classes and functions of the script that are still to be looked into."""

    def __init__(self) -> None:
        self.lines: set[str] = set()
        self.modules: set[str] = set()
        self.waiting: list[Any] = []
        self._texts: dict[int, tuple[Any, str]] = {}

    def add_class(self, kind: type) -> None:
        """The members of a class, less what Python wrote."""
        for base in kind.__bases__:
            self.text(base)
        made = dataclasses.is_dataclass(kind)
        for name, member in vars(kind).items():
            inner = _inside(member) or member
            is_special = name.startswith("__") and name.endswith("__")
            if name in _WRITTEN or (is_special and not isinstance(inner, FunctionType)):
                continue
            if type(member).__name__ not in ("member_descriptor", "getset_descriptor") and not (
                name == "__init__" and made
            ):
                self.lines.add(f"{kind.__qualname__}.{name} = {self.text(member)}")
        for field in dataclasses.fields(kind) if made else ():
            if field.default_factory is not dataclasses.MISSING:
                self.lines.add(f"{kind.__qualname__}.{field.name}() = {self.text(field.default_factory)}")

    def add_function(self, function: FunctionType) -> None:
        """The values and modules of the script that a function uses."""
        for code in _codes(function.__code__):
            self.modules |= set(_imports(code))
            for name, *attributes in _globals(code):
                if name in function.__globals__:
                    value = function.__globals__[name]
                    self.lines.add(f"{name} = {self.text(value)}")
                    self._add_modules(value, attributes)

    def _add_modules(self, value: Any, attributes: list[str]) -> None:
        """Modules inside of one: `a.b.c(x)` uses `a.b` and the module of `c`."""
        for name in attributes:
            if not isinstance(value, ModuleType):
                return
            value = vars(value).get(name)
            if isinstance(value, ModuleType | type | FunctionType):
                self.text(value)

    def text(self, value: Any) -> str:
        """A text that is the same for equal values, in every process; what it leads to is looked into later."""
        if type(value) in _PLAIN:
            return repr(value)
        if id(value) not in self._texts:
            self._texts[id(value)] = value, f"the {type(value).__qualname__} that this is in"
            self._texts[id(value)] = value, self._text(value)
        return self._texts[id(value)][1]

    def _text(self, value: Any) -> str:
        kind = type(value)
        if kind in (tuple, list):
            return f"{kind.__name__}[{', '.join(map(self.text, value))}]"
        if isinstance(value, set | frozenset):
            return f"{kind.__name__}{{{', '.join(sorted(map(self.text, value)))}}}"
        if kind in (dict, MappingProxyType):
            return f"{{{', '.join(f'{self.text(key)}: {self.text(item)}' for key, item in value.items())}}}"
        if kind is slice:
            return f"slice{self.text((value.start, value.stop, value.step))}"
        if kind is re.Pattern:
            return f"pattern {value.pattern!r} {value.flags}"
        if kind is CodeType:
            return self._code(value)
        if isinstance(value, ModuleType):
            self.modules.add(value.__name__)
            return f"module {value.__name__}"
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, enum.Enum):
            return f"{self.text(kind)}.{value.name}"
        if isinstance(value, functools.partial):
            return f"partial{self.text((value.func, value.args, value.keywords))}"
        if isinstance(value, property):
            return f"property{self.text((value.fget, value.fset, value.fdel))}"
        if isinstance(value, MethodType):
            return f"{self.text(value.__func__)} of {self.text(value.__self__)}"
        inside = _inside(value)
        if inside is not None:
            return f"{kind.__name__} of {self.text(inside)}"
        numbers = _numbers(value)
        return self._pickled(value) if numbers is None else numbers

    def _function(self, function: FunctionType) -> str:
        home = function.__globals__.get("__name__", _MAIN)
        name = f"{home} {function.__qualname__}"
        if home != _MAIN:
            self.modules.add(home)
            if _is_there(function, home):
                return name
        else:
            self.waiting.append(function)
        held = [self.text(_held(cell)) for cell in function.__closure__ or ()]
        defaults = [self.text(function.__defaults__), self.text(function.__kwdefaults__)]
        return f"{name} {self._code(function.__code__)} {held} {defaults}"

    def _class(self, kind: type) -> str:
        if is_of_script(kind):
            self.waiting.append(kind)
        else:
            self.modules.add(kind.__module__)
        return f"{kind.__module__} {kind.__qualname__}"

    def _code(self, code: CodeType) -> str:
        constants = [self.text(constant) for constant in code.co_consts]
        return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {code.co_freevars} {constants}"

    def _pickled(self, value: Any) -> str:
        """A value as it is pickled: what makes it, of what, and its state.

        What cannot be pickled is told by its type: no worker process can get it, and it is refused there.
        """
        kind = self.text(type(value))
        self.modules |= {module for module in [getattr(value, "__module__", None)] if isinstance(module, str)}
        reduce = copyreg.dispatch_table.get(type(value))
        try:
            parts = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception:  # whatever a stranger's class raises
            return f"{kind} {_digest(value)}"
        if isinstance(parts, str):
            return f"{kind} {parts}"
        made_by, of, state, *items = (*parts, None, None, None)[:5]
        rest = [self.text(list(item)) for item in items if item is not None]
        return f"{kind} {self.text(made_by)} {self.text(of)} {self.text(state)} {rest}"


def _numbers(value: Any) -> str | None:
    """An array or tensor as text; None for anything else."""
    if hasattr(value, "detach") and hasattr(value, "numpy"):
        with suppress(Exception):  # of a kind that NumPy does not have
            value = value.detach().cpu().numpy()
    if not (hasattr(value, "tobytes") and hasattr(value, "dtype")) or getattr(value.dtype, "hasobject", False):
        return None
    return f"{value.dtype}{value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"


def _digest(value: Any) -> str:
    import cloudpickle

    try:
        return hashlib.sha256(cloudpickle.dumps(value)).hexdigest()
    except Exception:  # whatever a stranger's class raises
        return "cannot be pickled"


def _inside(thing: Any) -> Any:
    """The function inside of a compiled, cached, bound or partial one, or of a descriptor; None where there is none."""
    if isinstance(thing, type | FunctionType | ModuleType):
        return None
    inside = (getattr(thing, name, None) for name in ("py_func", "__wrapped__", "__func__", "func"))
    return next((found for found in inside if isinstance(found, FunctionType | functools.partial)), None)


def _is_there(function: FunctionType, home: str) -> bool:
    """Whether a module has the function under its name, and so stands for all of it."""
    found: Any = sys.modules.get(home)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return (_inside(found) or found) is function


def _held(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _globals(code: CodeType) -> Iterator[list[str]]:
    """Each global name that the code reads, with the attributes that it takes of it at once."""
    chain: list[str] = []
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            if chain:
                yield chain
            chain = [str(step.argval)]
        elif chain and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            chain.append(str(step.argval))
        elif chain:
            yield chain
            chain = []


def _imports(code: CodeType) -> Iterator[str]:
    """Modules that the code imports; `from a import b` counts as `a` and `a.b`."""
    source = ""
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            source = str(step.argval)
            yield source
        elif step.opname == "IMPORT_FROM":
            yield f"{source}.{step.argval}"
