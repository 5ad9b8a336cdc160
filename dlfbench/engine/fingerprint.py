"""What a method's code is: source files, followed through their imports; of scripts and notebooks, their code."""

import ast
import csv
import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

from dlfbench.datasets.digests import digest
from dlfbench.engine.script_code import home_of, is_of_script, script_code
from dlfbench.plugin_files import loaded_files
from dlfbench.plugin_imports import full_name, imported_names, statements
from dlfbench.segmenters.interface import Segmenter

# Parts of dlfbench that compute what a method returns; a change in the rest does not change a method's result.
_INTERFACE = Segmenter.__module__
_KERNELS = ("dlfbench.fusion", "dlfbench.metrics", "dlfbench.networks", "dlfbench.dlf", _INTERFACE)


@dataclass(frozen=True)
class Fingerprint:
    """What a method's code is.

    Attributes:
        sources: SHA-256 over the code of the source files that it is made of, less docstrings and comments.
        libraries: Version by distribution, for each library that those files import.
    """

    sources: str
    libraries: dict[str, str]


class _Code(NamedTuple):
    """Digest of each source file, by module; top modules that are libraries; the files, each as it was when read."""

    sources: list[tuple[str, str]]
    libraries: frozenset[str]
    files: frozenset[tuple[Path, tuple[int, int]]]


_known: dict[tuple[str, ...], tuple[_Code, Fingerprint]] = {}


def fingerprint_of(kind: Callable[..., Any]) -> Fingerprint:
    """The code of a class or function: its module and what that imports of its own, followed to the end.

    Its own are modules of its package, and modules that no distribution installed, such as those beside a file, or
    that one installed for its development. What a method inherits of dlfbench counts, wherever it imports it from.
    A class of a script or notebook counts by itself, with the functions and values there that it uses; so does what is
    neither class nor function and has no module of its own, such as a `functools.partial`.
    """
    if not is_of_script(kind) and (
        isinstance(kind, type | FunctionType) or "__module__" in getattr(kind, "__dict__", ())
    ):
        is_method = isinstance(kind, type) and issubclass(kind, Segmenter)
        return _code_of_modules((kind.__module__, *([_INTERFACE] if is_method else [])))
    lines, modules = script_code(kind)
    package = home_of(kind).partition(".")[0]
    code = _follow(sorted(module for module in modules if is_own(module, package)), package)
    tops = {module.partition(".")[0] for module in modules}
    return Fingerprint(digest(lines, code.sources), _versions(code.libraries | tops))


def _code_of_modules(modules: tuple[str, ...]) -> Fingerprint:
    """The code of modules, of which the first says what package is theirs."""
    if modules not in _known or any(_stamp(path) != stamp for path, stamp in _known[modules][0].files):
        code = _follow(modules, modules[0].partition(".")[0])
        _known[modules] = code, Fingerprint(digest(code.sources), _versions(code.libraries))
    return _known[modules][1]


def _follow(modules: Iterable[str], package: str) -> _Code:
    """The source files that the modules lead to."""
    sources: dict[str, str] = {}
    libraries: set[str] = set()
    files: set[tuple[Path, tuple[int, int]]] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = None if module in sources else _source_of(module)
        if path is None:
            continue
        stamp = _stamp(path)
        files.add((path, stamp))
        sources[module], names = _read(module, path, stamp)
        waiting += [name for name in names if is_own(name, package)]
        libraries |= {name.partition(".")[0] for name in names if not is_own(name, package)}
    return _Code(sorted(sources.items()), frozenset(libraries), frozenset(files))


@lru_cache(maxsize=1024)
def _read(module: str, path: Path, stamp: tuple[int, int]) -> tuple[str, frozenset[str]]:
    """Digest of a source file, and the modules that it imports."""
    _, text = loaded_files().get(module, ("", None))
    tree = ast.parse(path.read_bytes() if text is None else text)
    names = _imports(tree, module, is_package=path.name == "__init__.py" or text is not None)
    return _digest_of(tree), frozenset(names)


def _imports(tree: ast.Module, module: str, *, is_package: bool) -> set[str]:
    """Modules that a file imports; those beside a plugin file, by the name that they have as a part of it."""
    return {full_name(name, module) for name in imported_names(tree, module, is_package=is_package)}


def _stamp(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except FileNotFoundError:  # a plugin file that was loaded
        return 0, 0
    return state.st_mtime_ns, state.st_size


def is_own(module: str, package: str) -> bool:
    """Whether a module counts by its code: of the package, of what computes here, or of no installed distribution."""
    top = module.partition(".")[0]
    if top == "dlfbench":
        return module.startswith(_KERNELS)
    return top in (package, "dlfbench_baselines") or not (top in sys.stdlib_module_names or _is_installed(top))


@cache
def _is_installed(top: str) -> bool:
    """Whether a distribution holds the top module, other than one in development, whose version says little."""
    those = _distributions().get(top, [])
    return bool(those) and not any(_is_editable(one) for one in those)


def _is_editable(distribution: metadata.Distribution) -> bool:
    said = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(said.get("dir_info", {}).get("editable"))


def _digest_of(tree: ast.Module) -> str:
    """SHA-256 of the code: docstrings, comments and layout do not count. The tree loses its docstrings."""
    for node in statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = node.body[0] if node.body else None
            if (
                isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def _source_of(module: str) -> Path | None:
    if module in loaded_files():
        return Path(loaded_files()[module][0])
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
