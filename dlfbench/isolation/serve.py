"""The inside of a process of our own: `python -m dlfbench.isolation.serve REQUESTS REPLIES`, two pipes that it got.

Standard input is empty. What is printed, from C++ too, goes to the log of the call. The process ends with its parent:
a small process beside it waits for that, because compiled code may hold the interpreter's lock for minutes.
"""

import contextlib
import logging
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dlfbench.isolation.frames import receive, send
from dlfbench.isolation.state import was_disturbed

if TYPE_CHECKING:
    from dlfbench.isolation.process import Call

_TRIES, _PAUSE_S = 20, 0.1


def main(requests: int, replies: int) -> None:
    """Does what it is asked until the parent is gone."""
    _end_with_parent(requests, replies)
    _keep_nice()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked, answers = os.fdopen(requests, "rb", 0), os.fdopen(replies, "wb", 0)
    os.register_at_fork(after_in_child=lambda: _let_go(asked, answers))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    sys.stdout = sys.stderr
    line = _Line(answers)
    while True:
        try:
            call: Call = receive(asked)
        except EOFError:
            _end()
        _print_into(call.log)
        answer = call.function(*call.arguments, lambda *words: line.send("said", *words))
        line.send("answer", answer, was_disturbed())


class _Line:
    """To the parent, for any thread. Where nobody listens any more, this process ends: nothing comes of its work."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._lock = pipe, threading.Lock()

    def send(self, *message: Any) -> None:
        try:
            with self._lock:
                send(self._pipe, message)
        except OSError:
            _end()


def _end() -> None:
    """Ends this process and all that it started; nothing is caught or cleaned up on the way."""
    os.killpg(0, signal.SIGKILL)


def _end_with_parent(requests: int, replies: int) -> None:
    for pipe in (requests, replies):
        os.set_inheritable(pipe, False)
    if os.fork():
        return
    os.close(replies)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    gone = select.poll()
    gone.register(requests, 0)  # hearing of nothing but that the other end was closed
    while not gone.poll():
        continue
    _end()


def _keep_nice() -> None:
    """Tells Linux, which may share processors among sessions whatever `nice` says in each, how nice this one is."""
    nice = os.nice(0)
    for _ in range(_TRIES if nice else 0):
        try:
            Path("/proc/self/autogroup").write_text(str(nice))
        except BlockingIOError:  # another one was told of just now
            time.sleep(_PAUSE_S)
        except OSError:  # no such sharing here, or no right to go first
            return
        else:
            return


def _let_go(*pipes: IO[bytes]) -> None:
    """In a process that a library forked: held there, the pipes would hide from the parent that this process died."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for pipe in pipes:
        os.dup2(nothing, pipe.fileno())
    os.close(nothing)


def _print_into(path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(int(sys.argv[1]), int(sys.argv[2]))
