"""Files that a method must not open: it is refused, and told.

Python tells of every file that it opens. Compiled code that opens files by itself is not seen.
"""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PROCESSES = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system")

_refused: set[str] = set()
_tried: list[str] = []
_hooked: list[bool] = []


def sealed(paths: Iterable[Path]) -> frozenset[str]:
    """Digests of paths: enough to know one again, and no way to find one."""
    return frozenset(_seal(os.path.realpath(path)) for path in paths)


@contextmanager
def refusing(seals: frozenset[str]) -> Iterator[list[str]]:
    """In the body, opening a sealed file raises PermissionError. What was tried is in the list, also if caught."""
    if seals and not _hooked:
        sys.addaudithook(_hook)  # for good: a hook cannot be taken out
        _hooked.append(True)
    _refused.update(seals)
    _tried.clear()
    try:
        yield _tried
    finally:
        _refused.clear()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _refused:
        return
    if event == "open":
        _refuse(arguments[0])
    elif event in _PROCESSES:
        for argument in arguments[:2]:
            words = argument.split() if isinstance(argument, str) else argument
            for word in words if isinstance(words, list | tuple) else [words]:
                _refuse(word)


def _refuse(path: Any) -> None:
    if not isinstance(path, str | bytes | os.PathLike):  # a file that is open already
        return
    try:
        real = os.path.realpath(os.fsdecode(path))
    except ValueError:  # no path
        return
    if _seal(real) in _refused:
        _tried.append(real)
        raise PermissionError(f"{real}: the reference of a test case is out of a method's reach")


def _seal(path: str) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()
