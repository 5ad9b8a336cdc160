"""What a method's code is: source files, followed through their imports; of scripts and notebooks, their code."""

import ast
import csv
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from dlfbench.datasets.digests import digest
from dlfbench.engine.script_code import is_of_script, script_code
from dlfbench.plugin_files import folder_of

# Parts of dlfbench that compute what a method returns; a change in the rest does not change a method's result.
_KERNELS = ("dlfbench.fusion", "dlfbench.metrics", "dlfbench.networks", "dlfbench.dlf", "dlfbench.segmenters.interface")


@dataclass(frozen=True)
class Fingerprint:
    """What a method's code is.

    Attributes:
        sources: SHA-256 over the code of the source files that it is made of, less docstrings and comments.
        libraries: Version by distribution, for each library that those files import.
    """

    sources: str
    libraries: dict[str, str]


def fingerprint_of(kind: Any) -> Fingerprint:
    """The code of a class or function: its module and what that imports of its own, followed to the end.

    Its own are modules of its package, and modules that no distribution installed, such as those beside a file.
    A class of a script or notebook counts by itself, with the functions and values there that it uses.
    """
    if not is_of_script(kind):
        return _code_of_module(kind.__module__)
    lines, modules = script_code(kind)
    own = sorted(module for module in modules if _is_own(module, ""))
    sources, libraries = _follow(own, "")
    tops = {module.partition(".")[0] for module in modules}
    return Fingerprint(digest(lines, sources), _versions(frozenset(tops | libraries)))


@cache
def _code_of_module(module: str) -> Fingerprint:
    sources, libraries = _follow([module], module.partition(".")[0])
    return Fingerprint(digest(sources), _versions(frozenset(libraries)))


def _follow(modules: Iterable[str], package: str) -> tuple[list[tuple[str, str]], set[str]]:
    """Digest of each source file that the modules lead to, by module; and the libraries that those import."""
    sources: dict[str, str] = {}
    libraries: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = None if module in sources else _source_of(module)
        if path is None:
            continue
        tree = ast.parse(path.read_bytes())
        names = _imports(tree, module, is_package=path.name == "__init__.py")
        sources[module] = _digest_of(tree)
        waiting += [name for name in names if _is_own(name, package)]
        libraries |= {name.partition(".")[0] for name in names if not _is_own(name, package)}
    return sorted(sources.items()), libraries


def _is_own(module: str, package: str) -> bool:
    top = module.partition(".")[0]
    if top == "dlfbench":
        return module.startswith(_KERNELS)
    return top == package or not (top in sys.stdlib_module_names or top in _distributions())


def _digest_of(tree: ast.Module) -> str:
    """SHA-256 of the code: docstrings, comments and layout do not count. The tree loses its docstrings."""
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = node.body[0] if node.body else None
            if (
                isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def _imports(tree: ast.Module, module: str, *, is_package: bool) -> set[str]:
    """Modules that a file imports, by absolute name; `from a import b` counts as `a` and `a.b`."""
    package = module if is_package else module.rpartition(".")[0]
    names: set[str] = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
    return names


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """The tree and its statements, also those in others; what they are made of is many times as much."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, block, ())


def _source_of(module: str) -> Path | None:
    if folder_of(module) is not None:
        return Path(str(sys.modules[module].__file__))
    parent = module.rpartition(".")[0]
    try:
        above = importlib.util.find_spec(parent) if parent else None
        if above is not None and above.submodule_search_locations is None:
            return None  # `a.b` where b is a function; asking for it would import a, and all that a imports
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # `a.b` where b is a function, or __main__
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def _distributions() -> dict[str, list[metadata.Distribution]]:
    """As `importlib.metadata.packages_distributions`, whose paths as objects take a second of every command."""
    found: dict[str, list[metadata.Distribution]] = {}
    for one in metadata.distributions():
        for module in (one.read_text("top_level.txt") or "").split() or _top_modules(one):
            found.setdefault(module, []).append(one)
    return found


def _top_modules(distribution: metadata.Distribution) -> set[str]:
    """What can be imported of a distribution that does not say it: its Python files, as they were recorded."""
    record = (distribution.read_text("RECORD") or "").splitlines()
    paths = [path for path, *_ in csv.reader(record)] or [str(path) for path in distribution.files or ()]
    return {path.partition("/")[0].removesuffix(".py") for path in paths if path.endswith(".py")}


def _versions(modules: frozenset[str]) -> dict[str, str]:
    names = {one.metadata["Name"] for module in modules for one in _distributions().get(module, [])} - {"dlfbench"}
    return {name: metadata.version(name) for name in sorted(names)}
