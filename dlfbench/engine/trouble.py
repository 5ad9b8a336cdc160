"""Trouble of the machine: it stops a run, and is never the result of a method."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dlfbench.errors import InputError

_ROOM_BYTES = 16 * 2**20
_ADVICE = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EACCES: "make it readable and writable for you",
    errno.EPERM: "make it readable and writable for you",
    errno.EROFS: "make it writable",
    errno.ENOENT: "see that it is there again: was it moved, or is a disk away?",
    errno.EEXIST: "give a path where nothing is, or a folder",
    errno.ENOTDIR: "give a folder, or a path in one",
    errno.EISDIR: "give a file",
    errno.EIO: "see to the disk",
    errno.ESTALE: "see to the disk",
}

_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class RunStopped(Exception):
    """The run cannot go on, or was interrupted. Nobody's result."""


class Trouble(Exception):
    """Files of the run, the store or the dataset could not be read or written."""


_met: list[Trouble] = []


@contextmanager
def our_files(*more: type[BaseException]) -> Iterator[None]:
    """In the body, errors of reading and writing are trouble of the machine, also where a method catches them.

    Args:
        more: Further kinds of exception that count.
    """
    try:
        yield
    except Trouble:
        raise
    except (OSError, InputError, *more) as error:  # type: ignore[misc]
        _met.append(Trouble(explain(error)))
        raise _met[-1] from error


def met() -> Trouble | None:
    """The first trouble since this was last asked."""
    first = _met[0] if _met else None
    _met.clear()
    return first


def explain(error: BaseException) -> str:
    """What happened and what to do."""
    if isinstance(error, OSError) and error.errno is not None:
        advice = _ADVICE.get(error.errno, "mend it")
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        name = (error.filename2 if full else None) or error.filename  # of a copy, where it goes
        where = f"{name}: " if name else ""
        return f"{where}{error.strerror or os.strerror(error.errno)}; {advice}"
    return str(error) if isinstance(error, InputError | Trouble) else f"{type(error).__name__}: {error}"


def disk_trouble(error: BaseException) -> str:
    """What a disk did behind an error, wherever it is; empty where none did."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or one in seen:
            continue
        if isinstance(one, OSError) and one.errno in _OF_DISKS:
            return explain(one)
        seen.append(one)
        waiting += [one.__context__, one.__cause__]
    return ""


def lacks_room(folder: Path) -> str:
    """Why nothing can be written to a folder; empty where there is no such reason."""
    probe = folder / f".room-{os.getpid()}"
    try:
        with probe.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _ROOM_BYTES) if hasattr(os, "posix_fallocate") else file.write(b"0")
    except OSError as error:
        return explain(error)
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return ""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for temporary files, removed after the body; that it has no more room where the body fails is trouble.

    Tools say that otherwise, or not at all, and with the folder the room for it comes back.
    """
    with ExitStack() as stack:
        with our_files():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dlfbench-")))
        try:
            yield folder
        except Exception as error:
            if why := lacks_room(folder):
                _met.append(Trouble(why))
                raise _met[-1] from error
            raise


def lacks_scratch() -> str:
    """Why no temporary file can be written; empty where there is no such reason."""
    try:
        return lacks_room(Path(tempfile.gettempdir()))
    except OSError as error:  # none is usable
        return explain(error)


def unreadable(paths: list[Path]) -> str:
    """Which of some files cannot be read any more, and why; empty where all can."""
    for path in paths:
        try:
            with path.open("rb") as file:
                file.read(1)
        except OSError as error:
            return explain(error)
    return ""
