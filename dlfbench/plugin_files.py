"""Plugins in a single file, without any packaging: `./my_fusion.py:MyFusion`."""

import hashlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from dlfbench.errors import InputError

_REFERENCE = re.compile(r"(?P<path>.+\.py)(?::(?P<name>\w+))?")
_PREFIX = "dlfbench_file_"

_sources: dict[str, tuple[str, bytes]] = {}


def is_file(use: str) -> bool:
    """Whether the text names a file: `FILE.py:NAME`, or `FILE.py` where the file defines one plugin."""
    return _REFERENCE.fullmatch(use) is not None


def absolute(use: str, folder: Path) -> str:
    """The same reference with an absolute path; relative paths start at `folder`. Other text is left as it is."""
    match = _REFERENCE.fullmatch(use)
    return f"{(folder / match['path']).resolve()}{use[len(match['path']) :]}" if match else use


def without_folder(use: str) -> str:
    """The same reference without the folder, so that a key stays when the file moves."""
    return Path(use).name if is_file(use) else use


def load_file(use: str) -> Any:
    """The object that a file defines.

    The file becomes a module of its own name and content, so that two files of one name, or two versions of one file,
    never mix. Modules beside the file can be imported by it.

    Raises:
        InputError: No such file, it cannot be imported, or it defines no such object.
    """
    match = _REFERENCE.fullmatch(use)
    assert match is not None
    path = Path(match["path"]).resolve()
    module = _module(path)
    if match["name"] is None:
        return _only_plugin(module, path)
    if not hasattr(module, match["name"]):
        raise InputError(f"{path}: defines no {match['name']!r}; it defines {_listed(_defined(module))}")
    return getattr(module, match["name"])


def folder_of(module: str) -> Path | None:
    """The folder of a module that was loaded from a single file; None for any other module."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file).parent if module.startswith(_PREFIX) and file else None


def loaded_files() -> dict[str, tuple[str, bytes]]:
    """Path and source of every file that was loaded, by module: what another process needs to have the same modules."""
    return dict(_sources)


def adopt_files(files: dict[str, tuple[str, bytes]]) -> None:
    """Makes the modules of another process, so that what it pickled can be opened."""
    for name, (path, source) in files.items():
        if name not in sys.modules:
            _execute(name, Path(path), source)


def _module(path: Path) -> ModuleType:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: the plugin file cannot be read: {error.strerror}") from None
    name = f"{_PREFIX}{re.sub(r'[^A-Za-z0-9]', '_', path.stem)}_{hashlib.sha256(source).hexdigest()[:8]}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return known
    try:
        return _execute(name, path, source)
    except (Exception, SystemExit) as error:  # anything may go wrong in a stranger's file
        raise InputError(f"{path}: cannot be imported: {_explain(error, path)}") from error


def _execute(name: str, path: Path, source: bytes) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses look their module up
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that no file beside it hides an installed package
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    _sources[name] = (str(path), source)
    return module


def _explain(error: BaseException, path: Path) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed; run: pip install {(error.name or '').partition('.')[0]}"
    lines = [frame.tb_lineno for frame in _frames(error) if frame.tb_frame.f_code.co_filename == str(path)]
    line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
    return f"{type(error).__name__}: {error}{f' (line {line})' if line else ''}"


def _frames(error: BaseException) -> list[Any]:
    frames, frame = [], error.__traceback__
    while frame is not None:
        frames.append(frame)
        frame = frame.tb_next
    return frames


def _only_plugin(module: ModuleType, path: Path) -> Any:
    found = _defined(module)
    if len(found) != 1:
        raise InputError(f"{path}: write {path.name}:NAME to say which; it defines {_listed(found)}")
    return found[0]


def _defined(module: ModuleType) -> list[Any]:
    """Public classes and functions that the file itself defines."""
    return [
        value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]


def _listed(found: list[Any]) -> str:
    return ", ".join(value.__name__ for value in found) or "no class and no function"
