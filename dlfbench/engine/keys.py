"""Keys of tasks and seeds: what a result depends on, and nothing else.

A key covers a method's parameters, its code, the data, the atlases, the seed and the versions of the libraries that
the method imports. Paths, times, threads and the machine are left out, so that a run folder can move.
"""

import ast
import hashlib
import importlib.util
import json
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

# Parts of dlfbench that compute what a method returns; a change in the rest does not change a method's result.
_KERNELS = ("dlfbench.fusion", "dlfbench.networks", "dlfbench.dlf")


def digest(*parts: Any) -> str:
    """SHA-256 of anything that JSON can hold, as 32 hex digits; the same in every process."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def derive_seed(study_seed: int, *parts: str | int) -> int:
    """A seed for (study seed, method, fold, case): equal inputs give equal seeds, others unrelated ones."""
    return int(digest("seed", study_seed, *parts)[:8], 16)


@dataclass(frozen=True)
class Code:
    """What a method's code is.

    Attributes:
        sources: SHA-256 over the source files that it is made of.
        libraries: Version by distribution, for each library that those files import.
    """

    sources: str
    libraries: dict[str, str]


@cache
def code_of(kind: Any) -> Code:
    """The code of a class or function: its module and what that imports from its own package, followed to the end."""
    top = kind.__module__.partition(".")[0]
    own = (*_KERNELS, *(() if top == "dlfbench" else (top,)))
    sources: dict[str, str] = {}
    imported: set[str] = set()
    waiting = [kind.__module__]
    while waiting:
        module = waiting.pop()
        if module in sources:
            continue
        path = _source_of(module)
        if path is None:
            continue
        sources[module] = hashlib.sha256(path.read_bytes()).hexdigest()
        names = _imports(path)
        waiting += [name for name in names if name.startswith(own)]
        imported |= {name.partition(".")[0] for name in names if not name.startswith(own)}
    return Code(digest(sorted(sources.items())), _versions(frozenset(imported)))


def _imports(path: Path) -> set[str]:
    """Modules that a file imports by absolute name; `from a import b` counts as `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _source_of(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # `a.b` where b is a function, or __main__
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


def _versions(modules: frozenset[str]) -> dict[str, str]:
    names = {name for module in modules for name in _distributions().get(module, [])} - {"dlfbench"}
    return {name: metadata.version(name) for name in sorted(names)}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return value.name
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be part of a key")
