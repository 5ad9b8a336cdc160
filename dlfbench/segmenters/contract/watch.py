"""What a method does beside answering: files, processes, global random numbers."""

import ctypes
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_HARMLESS = ("__pycache__", ".nbi", ".nbc", "/dev/", "/proc/")  # what Python, numba and the system keep
_HELPERS = ("resource_tracker", "forkserver")  # of multiprocessing: end with the process
_SUBREAPER = 36
_GRACE_S = 1.0


@dataclass
class Seen:
    """Files that Python code opened.

    Attributes:
        read: To read.
        written: To write; folders made and files renamed as well.
    """

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)


_watching: list[Seen] = []


@contextmanager
def files_seen() -> Iterator[Seen]:
    """Notes the files that the body opens."""
    if not _watching:
        sys.addaudithook(_note)  # for good: a hook cannot be taken out
        _watching.append(Seen())
    _watching.append(Seen())
    try:
        yield _watching[-1]
    finally:
        _watching.pop()


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("open", "os.mkdir", "os.rename"):
        return
    path = arguments[1 if event == "os.rename" else 0]
    if not isinstance(path, str | bytes | os.PathLike):  # a file that is open already
        return
    path = os.path.realpath(os.fsdecode(path))
    if event == "open" and not (arguments[2] or 0) & _WRITES:
        _watching[-1].read.add(path)
    elif not any(part in path for part in _HARMLESS):
        _watching[-1].written.add(path)


def outside(paths: set[str], folders: Sequence[Path]) -> list[str]:
    """The paths that lie in none of the folders."""
    allowed = [str(folder.resolve()) for folder in folders]
    return sorted(path for path in paths if not any(path == a or path.startswith(f"{a}{os.sep}") for a in allowed))


def files_in(folder: Path, *, less: Sequence[Path] = ()) -> dict[str, tuple[int, int]]:
    """Size and time of every file in a folder, those in the folders `less` left out."""
    found = {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.resolve().rglob("*") if p.is_file()}
    return {path: found[path] for path in outside(set(found), less)}


def seed_global(seed: int) -> None:
    """Seeds the random numbers that all code of a process shares."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  it is the shared state that is meant
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def global_states() -> dict[str, bytes]:
    """The state of the random numbers that all code of a process shares."""
    states = {"random": repr(random.getstate()).encode(), "numpy": repr(np.random.get_state(legacy=False)).encode()}  # noqa: NPY002
    if "torch" in sys.modules:
        states["torch"] = sys.modules["torch"].get_rng_state().numpy().tobytes()
    return states


def adopt_orphans() -> None:
    """Makes processes whose parent ended children of this one, so that they can be seen (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def processes() -> dict[int, str]:
    """The processes that this one started and that still run: number and command."""
    found = {}
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            command = " ".join(child.cmdline())
            if child.status() != psutil.STATUS_ZOMBIE and not any(helper in command for helper in _HELPERS):
                found[child.pid] = command[:100]
    return found


def processes_left(before: dict[int, str]) -> dict[int, str]:
    """Processes that were not there before and do not end within a second."""
    deadline = time.monotonic() + _GRACE_S
    while True:
        left = {pid: command for pid, command in processes().items() if pid not in before}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)
