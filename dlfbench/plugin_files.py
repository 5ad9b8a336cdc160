"""Plugins in a single file, without any packaging: `./my_fusion.py:MyFusion`.

A file that only a study file names is somebody's code that nobody here may have looked at: it is run after somebody
agreed, and that is remembered for the file's path. A file that was named by hand needs no question. The same holds for
the command lines of methods (`command`).
"""

import hashlib
import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import platformdirs

from dlfbench.errors import InputError
from dlfbench.plugin_imports import PREFIX, modules_beside, prepare

_REFERENCE = re.compile(r"(?P<path>.+\.py)(?::(?P<name>\w+))?")
_COMMAND = "command line: "
_IN_COMMANDS = "{output}"  # each has it

_sources: dict[str, tuple[str, bytes]] = {}
_doubted: set[str] = set()
_agreed: set[str] = set()
_named_by_hand: set[str] = set()


def is_file(use: str) -> bool:
    """Whether the text names a file: `FILE.py:NAME`, or `FILE.py` where the file defines one plugin."""
    return not use.startswith(_COMMAND) and _REFERENCE.fullmatch(use) is not None


def absolute(use: str, folder: Path) -> str:
    """The same reference with an absolute path; relative paths start at `folder`. Other text is left as it is."""
    match = _REFERENCE.fullmatch(use)
    return f"{(folder / match['path']).resolve()}{use[len(match['path']) :]}" if match else use


def without_folder(use: str) -> str:
    """The same reference without the folder, so that a key stays when the file moves."""
    return Path(use).name if is_file(use) else use


def load_file(use: str) -> Any:
    """The object that a file defines.

    The file becomes a module whose name is made of its own, of its content and of the modules beside it that it
    imports, so that two files of one name, or two versions of one file or of what it imports, never mix.

    Raises:
        InputError: No such file, it cannot be imported, it defines no such object, or nobody agreed to run it.
    """
    match = _REFERENCE.fullmatch(use)
    assert match is not None
    if needs_consent(use):
        raise InputError(
            f"{Path(match['path']).resolve()}: a study file names this file, and its code would be run with your "
            "rights; read it, then give --trust (in Python: trust=True), which is remembered for this file"
        )
    path = Path(match["path"]).resolve()
    _named_by_hand.add(str(path))  # or agreed to: what has run here may go on, though a study file names it later
    module = _module(path)
    if match["name"] is None:
        return _only_plugin(module, path)
    if not hasattr(module, match["name"]):
        raise InputError(f"{path}: defines no {match['name']!r}; it defines {_listed(_defined(module))}")
    return getattr(module, match["name"])


def command_line(run: str) -> str:
    """A reference to a command line, as `needs_consent` and `consent` take it."""
    return _COMMAND + " ".join(run.split())


def foreign_code_of(table: Mapping[str, Any], name: str = "") -> tuple[str, ...]:
    """The reference to a file or a command line in a method's table of a study; none where it has neither."""
    use = str(table.get("use", name))
    if use == "command":
        return tuple(command_line(str(table[name])) for name in ("run", "train") if table.get(name))
    return (use,) if is_file(use) else ()


def check_command(run: str) -> None:
    """Refuses a command line that only a study file names, until somebody agreed; what has run here may go on.

    Raises:
        ValueError: Nobody agreed.
    """
    if needs_consent(command_line(run)):
        raise ValueError(
            f"run: a study file names this command, and it would be run with your rights: {run}; read it, then give "
            "--trust (in Python: trust=True), which is remembered for this command"
        )
    _named_by_hand.add(command_line(run))


def doubt(texts: Iterable[str]) -> None:
    """From here on, files and commands that these texts of a study file name are run only after `consent`."""
    _doubted.update(text for text in texts if ".py" in text or _IN_COMMANDS in text)


def needs_consent(use: str) -> bool:
    """Whether a reference is to code that only a study file names, and that nobody agreed to run."""
    code = _code(use)
    if code is None or not any(_mark(use) in text for text in _doubted):
        return False
    return code not in _agreed | _named_by_hand and code not in _remembered()


def _mark(use: str) -> str:
    """What a text of a study file has in it that names this code."""
    match = None if use.startswith(_COMMAND) else _REFERENCE.fullmatch(use)
    return Path(match["path"]).name if match else _IN_COMMANDS


def consent(*uses: str) -> None:
    """Lets the code of these references be run, now and later; what is none is left out."""
    for use in uses:
        code = _code(use)
        if code is None or code in _agreed:
            continue
        _agreed.add(code)
        if code not in _remembered():
            with suppress(OSError):  # it is asked again, then
                _memory().parent.mkdir(parents=True, exist_ok=True)
                with _memory().open("a", encoding="utf-8") as file:
                    file.write(f"{code}\n")


def _code(use: str) -> str | None:
    """What is agreed to: a command line as it is, a file by its path."""
    if use.startswith(_COMMAND):
        return use
    match = _REFERENCE.fullmatch(use)
    return str(Path(match["path"]).resolve()) if match else None


def _remembered() -> set[str]:
    try:
        return set(_memory().read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return set()


def _memory() -> Path:
    return platformdirs.user_config_path("dlfbench") / "trusted-files"


def loaded_files() -> dict[str, tuple[str, bytes]]:
    """Path and source of every file that was loaded, by module: what another process needs to have the same modules."""
    return dict(_sources)


def adopt_files(files: dict[str, tuple[str, bytes]]) -> None:
    """Makes the modules of another process, so that what it pickled can be opened."""
    for name, (path, source) in files.items():
        if name not in sys.modules:
            _execute(name, Path(path), source, modules_beside(Path(path), source))


def _module(path: Path) -> ModuleType:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: the plugin file cannot be read: {error.strerror}") from None
    content = hashlib.sha256(source)
    beside = modules_beside(path, source)
    for module, text in sorted(beside.items()):
        content.update(f"\0{module}\0".encode() + text)
    name = f"{PREFIX}{re.sub(r'[^A-Za-z0-9]', '_', path.stem)}_{content.hexdigest()[:8]}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return known
    try:
        return _execute(name, path, source, beside)
    except (Exception, SystemExit) as error:  # anything may go wrong in a stranger's file
        raise InputError(f"{path}: cannot be imported: {_explain(error, path)}") from error


def _execute(name: str, path: Path, source: bytes, beside: Iterable[str]) -> ModuleType:
    module = ModuleType(name)
    prepare(module, path, tuple(beside))
    sys.modules[name] = module  # dataclasses look their module up
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    _sources[name] = (str(path), source)
    return module


def _explain(error: BaseException, path: Path) -> str:
    if isinstance(error, ModuleNotFoundError) and (path.parent / f"{error.name}.py").is_file():
        return f"{error.name} is beside the file, but is found by an `import` statement alone"
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith(PREFIX):
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
    defined = _defined(module)
    if len(defined) != 1:
        raise InputError(f"{path}: write {path.name}:NAME to say which; it defines {_listed(defined)}")
    return defined[0]


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
