"""A process that has imported what is needed, and forks others from itself: they start in a hundredth of the time.

It has one thread and does nothing else, so that a fork of it is sound. Run as
`python -m dlfbench.isolation.nursery SOCKET MODULE...`; it ends when its parent closes the socket.
"""

import atexit
import contextlib
import importlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MESSAGE_BYTES = 2**20
_POLL_S = 0.01
_GRACE_S = 10.0

_nurseries: dict[Any, "Nursery"] = {}
_making = threading.Lock()


class Forked:
    """A forked process, in as much of the manner of `subprocess.Popen` as is needed."""

    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self.pid, self._nursery = pid, nursery
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self._code is None:
            try:
                self._code = self._nursery.ask("poll", self.pid)
            except OSError:  # nobody knows any more
                self._code = -signal.SIGKILL
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("forked process", timeout or 0.0)
            time.sleep(_POLL_S)
        return code


class Nursery:
    """The parent's side.

    Args:
        modules: To import beforehand.
        settings: Environment variables that libraries read when they are imported.
    """

    def __init__(self, modules: tuple[str, ...], settings: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "dlfbench.isolation.nursery", str(theirs.fileno()), *modules],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env=os.environ | dict(settings),
            )
        self._socket, self._lock = ours, threading.Lock()

    def fork(self, settings: Mapping[str, str], folder: Path | None, pipes: tuple[int, int]) -> Forked:
        """A process that serves the two pipes (see `serve`)."""
        environment = os.environ | dict(settings)
        return Forked(self, self.ask("fork", (environment, str(folder or Path.cwd())), pipes))

    def ask(self, what: str, content: Any, pipes: tuple[int, ...] = ()) -> Any:
        """Sends a request; `OSError` where the nursery is gone."""
        with self._lock:
            socket.send_fds(self._socket, [pickle.dumps((what, content))], pipes)
            answer = self._socket.recv(_MESSAGE_BYTES)
        if not answer:
            raise ConnectionError("the nursery is gone")
        return pickle.loads(answer)

    def end(self) -> None:
        """Ends the process; those that it forked go on."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=_GRACE_S)


def nursery(modules: tuple[str, ...], settings: Mapping[str, str]) -> Nursery:
    """The nursery of these modules and settings, made when first asked for and where it has ended."""
    key = (modules, tuple(sorted(settings.items())), os.environ.get("PYTHONPATH"), os.getpid())
    with _making:
        if key in _nurseries and _nurseries[key].process.poll() is not None:
            _nurseries.pop(key).end()
        if key not in _nurseries:
            _nurseries[key] = Nursery(modules, settings)
        return _nurseries[key]


@atexit.register
def _end_all() -> None:
    """They would end by themselves; waited for, none is left when this process is gone."""
    for made in [made for key, made in _nurseries.items() if key[-1] == os.getpid()]:
        made.end()


def main(number: int, modules: list[str]) -> None:
    """Imports, then forks as it is asked to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in modules:
        importlib.import_module(module)
    asked = socket.socket(fileno=number)
    asked.set_inheritable(False)
    while True:
        message, pipes, _, _ = socket.recv_fds(asked, _MESSAGE_BYTES, 2)
        if not message:
            return
        what, content = pickle.loads(message)
        asked.sendall(pickle.dumps(_exit_code(content) if what == "poll" else _fork(asked, content, pipes)))


def _exit_code(pid: int) -> int | None:
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return -signal.SIGKILL
    return os.waitstatus_to_exitcode(status) if ended else None


def _fork(asked: socket.socket, content: tuple[dict[str, str], str], pipes: list[int]) -> int:
    environment, folder = content
    pid = os.fork()
    if pid:
        for pipe in pipes:
            os.close(pipe)
        return pid
    from dlfbench.isolation.serve import main as serve

    code = 1
    try:
        os.setsid()
        asked.close()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None  # as the environment says
        os.chdir(folder)
        serve(*pipes)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
