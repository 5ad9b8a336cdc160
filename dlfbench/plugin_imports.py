"""What a file imports, and modules beside a plugin file.

A module beside a plugin file is imported as a part of that file's module, under a name that no other file shares: two
folders may hold modules of one name, and such a module may have the name of an installed one.
"""

import ast
import builtins
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

PREFIX = "dlfbench_file_"
"""How the names of modules begin that were made of plugin files."""

_NEVER = ("dlfbench", "dlfbench_baselines")
_FILE = "_"  # stands for the module of the plugin file, whose name is made of what it imports


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """The tree and its statements, also those in others; what they are made of is many times as much."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, block, ())


def imported_names(tree: ast.Module, module: str, *, is_package: bool) -> set[str]:
    """Modules that a file imports, by absolute name; `from a import b` counts as `a` and `a.b`."""
    package = module if is_package else module.rpartition(".")[0]
    names: set[str] = set()
    for node in statements(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
    return names


def modules_beside(file: Path, source: bytes) -> dict[str, bytes]:
    """Name and text of each module beside a plugin file that it leads to; of a compiled one, nothing."""
    found: dict[str, bytes] = {}
    waiting = [*_names_beside(source, _FILE, file, is_package=True)]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = file.parent.joinpath(*name.split("."))
        inside = path / "__init__.py"
        text = next((one.read_bytes() for one in (inside, path.with_suffix(".py")) if one.is_file()), None)
        if text is not None or "." not in name:  # else a function of a module
            found[name] = text or b""
            waiting += _names_beside(found[name], f"{_FILE}.{name}", file, is_package=inside.is_file())
    return found


def _names_beside(source: bytes, module: str, file: Path, *, is_package: bool) -> set[str]:
    """What a source file imports of the plugin file's folder, with the packages that it is in."""
    names: set[str] = set()
    for name in _imported_names(source, module, is_package):
        own = name.removeprefix(f"{_FILE}.")
        if own != name or (name != _FILE and _is_beside(name.partition(".")[0], file)):
            parts = own.split(".")
            names |= {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return names


@lru_cache(maxsize=1024)
def _imported_names(source: bytes, module: str, is_package: bool) -> frozenset[str]:
    try:
        return frozenset(imported_names(ast.parse(source), module, is_package=is_package))
    except (SyntaxError, ValueError, ImportError):  # whoever imports it is told
        return frozenset()


def _is_beside(name: str, file: Path) -> bool:
    """Whether a top module is one beside the file: not the file itself, nor one that is installed from there."""
    here = PathFinder.find_spec(name, [str(file.parent)])
    if here is None or name in _NEVER:
        return False
    there = _found_elsewhere(name, file.parent)
    if there is None:
        return True
    if here.origin is None:  # a folder without __init__.py, behind any other module as everywhere in Python
        return there.origin is None
    return here.origin not in (str(file), there.origin)


def _found_elsewhere(name: str, folder: Path) -> ModuleSpec | None:
    """The module of this name that others get; processes differ in whether the folder is on the path of all."""
    others = [entry for entry in sys.path if Path(entry).resolve() != folder]
    specs = (finder.find_spec(name, others if finder is PathFinder else None) for finder in sys.meta_path)
    return next(filter(None, specs), None)


def prepare(module: ModuleType, file: Path, beside: Sequence[str]) -> None:
    """Lets a plugin file's module, not yet executed, import modules beside it."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    module.__file__ = str(file)
    module.__path__ = [str(file.parent)]
    module.__spec__ = ModuleSpec(module.__name__, None, is_package=True)
    module.__spec__.submodule_search_locations = module.__path__
    tops = frozenset(name for name in beside if "." not in name)
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _Import(module.__name__, tops)}


def full_name(name: str, importer: str) -> str:
    """The name under which a module gets what it imports by this name."""
    root = importer.partition(".")[0]
    tops = vars(sys.modules[root])["__builtins__"]["__import__"].tops if root.startswith(PREFIX) else ()
    return f"{root}.{name}" if name.partition(".")[0] in tops else name


class _Import:
    """`__import__` of a plugin file and of the modules beside it."""

    def __init__(self, root: str, tops: frozenset[str]) -> None:
        self.root = root
        self.tops = tops

    def __call__(
        self, name: str, scope: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or top not in self.tops:
            return builtins.__import__(name, scope, locals, fromlist, level)
        found = builtins.__import__(f"{self.root}.{name}", scope, locals, fromlist, 0)
        return found if fromlist else sys.modules[f"{self.root}.{top}"]


class _Finder(MetaPathFinder):
    """Finds modules beside plugin files."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module as it is found in the folder, to be loaded as a part of the plugin file."""
        if path is None or not fullname.startswith(PREFIX):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, str(spec.loader.path))
        return spec


class _Loader(SourceFileLoader):
    """Loads a module beside a plugin file."""

    def exec_module(self, module: ModuleType) -> None:
        """Executes the module, with the imports of the plugin file."""
        root = sys.modules[module.__name__.partition(".")[0]]
        module.__dict__["__builtins__"] = vars(root)["__builtins__"]
        super().exec_module(module)

    def get_code(self, fullname: str) -> CodeType:
        """The code of the file as it is now: compiled files miss a change within a second."""
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code
