"""A child process of a worker that runs its tasks.

Greedy holds the interpreter's lock for minutes, libraries fork, crash and print, methods hang. All of that happens in
here: the worker goes on answering the scheduler, and a crash or a time-out is one failed task. The child ends with its
worker, however that ends. Run as `python -m dlfbench.engine.child`; pickled frames go through stdin and stdout.
"""

import contextlib
import logging
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from dlfbench.engine.measure import Cost, measured
from dlfbench.records.folder import Product, Status

_PARENT_CHECK_S = 0.5
_ERRORS_THAT_STOP_A_RUN = (28, 122)  # ENOSPC, EDQUOT: a full disk is no method's fault


class RunStopped(Exception):
    """The run cannot go on (the disk is full, say), or was interrupted. Nobody's result."""


class Child:
    """One child process, started when first needed and again after a crash."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, task: Any, place: Any, *, limit_s: float | None, progress: Callable[[float, str], None]) -> Product:
        """Runs a packed task to its product; a crash, a time-out and an exception become a failed product.

        Raises:
            RunStopped: The child was stopped from outside, or the disk is full.
        """
        process = self._ensure()
        assert process.stdin is not None
        assert process.stdout is not None
        started = time.perf_counter()
        try:
            _send(process.stdin, (task, place))
            limited = False  # starting Python and importing the method's libraries is no method's fault
            while True:
                left_s = limit_s - (time.perf_counter() - started) if limit_s is not None and limited else None
                if not _ready(process.stdout, left_s):
                    self.kill()
                    return _failed(task, f"time limit of {limit_s:g} s reached", time.perf_counter() - started)
                kind, *content = _receive(process.stdout)
                if kind == "started":
                    started, limited = time.perf_counter(), True
                elif kind == "progress":
                    progress(*content)
                elif kind == "stop":
                    raise RunStopped(content[0])
                else:
                    return Product(**content[0])
        except (EOFError, BrokenPipeError):
            if self._stopped:
                raise RunStopped("interrupted") from None
            reason = f"process died ({_how_it_died(process)}); {_last_line(place, task)}"
            self.kill()
            return _failed(task, reason, time.perf_counter() - started)

    def stop(self) -> None:
        """Ends the child for good, at once."""
        self._stopped = True
        self.kill()

    def kill(self) -> None:
        """Ends the child and everything that it started."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()

    def _ensure(self) -> subprocess.Popen[bytes]:
        if self._stopped:
            raise RunStopped("interrupted")
        if self._process is None or self._process.poll() is not None:
            self.kill()
            threads = str(self.threads)
            settings = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
            settings |= {"OMP_WAIT_POLICY": "PASSIVE"}  # tasks share processors: threads that spin slow each other down
            settings |= {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": threads, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "dlfbench.engine.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                env=os.environ | settings | {"PYTHONHASHSEED": "0"},
            )
        return self._process


def _failed(task: Any, reason: str, wall_s: float) -> Product:
    return Product(task.key, task.kind, "failed", reason, task.names, {"wall_s": wall_s})


def _how_it_died(process: subprocess.Popen[bytes]) -> str:
    code = process.wait()
    if code == -signal.SIGKILL:
        return "killed, perhaps out of memory"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _last_line(place: Any, task: Any) -> str:
    path = place.folder.log_path(task.kind, task.key)
    lines = path.read_text(errors="replace").strip().splitlines() if path.is_file() else []
    return f"its last words: {lines[-1][:200]}" if lines else "it printed nothing"


def _send(stream: IO[bytes], message: Any) -> None:
    data = pickle.dumps(message)
    stream.write(struct.pack("!Q", len(data)) + data)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    return pickle.loads(_read_exactly(stream, struct.unpack("!Q", _read_exactly(stream, 8))[0]))


def _read_exactly(stream: IO[bytes], size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _ready(stream: IO[bytes], left_s: float | None) -> bool:
    return bool(select.select([stream], [], [], None if left_s is None else max(0.0, left_s))[0])


def _perform(task: Any, place: Any, say: Callable[..., None]) -> Product:
    cost, status, reason, rows = Cost(), "ok", "", []
    try:
        opened = task.open()  # imports what it needs, on nobody's time
        say("started")
        with measured() as cost:
            rows = opened.run(place, lambda share, text: say("progress", share, text))
    except OSError as error:
        if error.errno in _ERRORS_THAT_STOP_A_RUN:
            raise
        status, reason = "failed", _explain(error)
    except (Exception, SystemExit) as error:  # a method may raise anything
        status, reason = "failed", _explain(error)
    device = place.device if task.uses_gpu else "cpu"
    spent = {**asdict(cost), "device": device, "threads": place.threads}
    return Product(task.key, task.kind, _status(status), reason, task.names, spent, rows)


def _status(text: str) -> Status:
    return "ok" if text == "ok" else "failed"


def _explain(error: BaseException) -> str:
    traceback.print_exc()
    return f"{type(error).__name__}: {error}"


def _print_into(path: Path) -> None:
    """Sends everything that the process prints, from C++ too, into a task's log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    os.killpg(0, signal.SIGKILL)


def _let_go(*pipes: IO[bytes]) -> None:
    """In a process that a library forked: held there, the pipes would hide from the worker that this process died."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for pipe in pipes:
        os.dup2(nothing, pipe.fileno())
    os.close(nothing)


def main() -> None:
    """Runs tasks from stdin until it closes."""
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.register_at_fork(after_in_child=lambda: _let_go(requests, replies))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    sys.stdout = sys.stderr
    while True:
        try:
            task, place = _receive(requests)
        except EOFError:
            return
        log = place.folder.log_path(task.kind, task.key)
        _print_into(log)
        try:
            product = _perform(task, place, lambda *message: _send(replies, message))
            place.folder.write_product(product)
        except OSError as error:
            _send(replies, ("stop", f"{type(error).__name__}: {error}"))
            continue
        if product.ok and (log.stat().st_size == 0 or task.kind in ("registration", "score", "bounds")):
            log.unlink(missing_ok=True)
        _send(replies, ("product", asdict(product)))


if __name__ == "__main__":
    main()
