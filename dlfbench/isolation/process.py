"""A process of our own that calls functions, as its parent sees it."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from dlfbench.isolation.frames import is_ready, receive, send
from dlfbench.isolation.nursery import Forked, nursery

_LAST_WORDS = 200
_LINGERS_S = 5.0
_LONGEST_LOG = 16 * 2**20
_KEPT_OF_A_LOG = 2**20
_LOOK_EVERY_S = 5.0
_ENDED_FROM_OUTSIDE = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)

Hear = Callable[..., None]


class Died(Exception):
    """The process ended before it answered.

    Attributes:
        signal: That ended it; None where it ended by itself.
    """

    def __init__(self, code: int, last_words: str) -> None:
        self.signal = signal.Signals(-code) if code < 0 else None
        how = self.signal.name if self.signal else f"exit code {code}"
        if self.out_of_memory:
            how = "killed, perhaps out of memory"
        super().__init__(f"process died ({how}); {last_words}")

    @property
    def by_somebody(self) -> bool:
        """Whether somebody asked it to end, rather than that it crashed or ran out of memory."""
        return self.signal in _ENDED_FROM_OUTSIDE

    @property
    def out_of_memory(self) -> bool:
        """Whether it may have been short of memory."""
        return self.signal == signal.SIGKILL

    @property
    def crashed(self) -> bool:
        """Whether compiled code crashed."""
        return self.signal in _CRASHES


class TookTooLong(Exception):
    """The process did not answer in time, and was ended."""


class Stopped(Exception):
    """The process was ended by `stop` and takes no more calls."""


@dataclass(frozen=True)
class Call:
    """What the process is to do.

    Attributes:
        function: Of a module; it gets the arguments and then `say`, whose arguments reach the parent's `hear`.
        arguments: Anything that pickle takes.
        log: File that everything printed is added to; what is between its beginning and its end is cut where it
            grows too long.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    log: Path


@dataclass(eq=False)
class Process:
    """One process, started when first called and again after its end. It ends with its parent, however that ends.

    Attributes:
        settings: Environment variables on top of the parent's.
        folder: Its current folder; the parent's by default.
        modules: It is forked from a process that has imported these already, where that is sound (Linux).
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    modules: tuple[str, ...] = ()
    _running: "subprocess.Popen[bytes] | Forked | None" = field(default=None, init=False)
    _stopped: bool = field(default=False, init=False)

    def call(self, call: Call, *, limit_s: float | None = None, hear: Hear | None = None, timed: bool = True) -> Any:
        """Has a function called and waits for what it returns.

        Args:
            call: Function and arguments.
            limit_s: Longest time to wait.
            hear: Told of what the function says; a word `started` sets the clock to 0.
            timed: Whether the clock runs from the beginning, or from `started` on.

        Raises:
            Died: The process ended.
            TookTooLong: The time was over; the process was ended.
            Stopped: By `stop`, from another thread.
        """
        running = self._ensure()
        started: float | None = time.monotonic() if timed else None
        try:
            send(self._requests, call)
            while True:
                left_s = limit_s - (time.monotonic() - started) if limit_s is not None and started else math.inf
                ready = is_ready(self._replies, min(left_s, _LOOK_EVERY_S))
                _shorten(call.log)
                if not ready and left_s > _LOOK_EVERY_S:
                    continue
                if not ready:
                    self.end()
                    raise TookTooLong
                kind, *content = receive(self._replies)
                if kind == "said":
                    started = time.monotonic() if content == ["started"] else started
                    if hear is not None and content != ["started"]:
                        hear(*content)
                    continue
                answer, disturbed = content
                if disturbed:  # the next call must find what this one found
                    self.end()
                return answer
        except (EOFError, OSError):
            if self._stopped:
                raise Stopped from None
            try:
                code = running.wait(timeout=_LINGERS_S)
            except subprocess.TimeoutExpired:  # it lives, but has closed its pipes
                self.end()
                code = -signal.SIGKILL
            died = Died(code, _last_words(call.log))
            self.end()
            raise died from None

    def stop(self) -> None:
        """Ends the process for good, at once; may be called from another thread."""
        self._stopped = True
        self.end()

    def end(self) -> None:
        """Ends the process and everything that it started, also what has left its group."""
        running, self._running = self._running, None
        if running is None:
            return
        _kill_with_offspring(running)
        running.wait()
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(OSError):
                pipe.close()

    def _ensure(self) -> "subprocess.Popen[bytes] | Forked":
        if self._stopped:
            raise Stopped
        if self._running is None or self._running.poll() is not None:
            self.end()
            self._running = self._start()
            if self._stopped:  # meanwhile, when there was nothing yet to end
                self.end()
                raise Stopped
        return self._running

    def _start(self) -> "subprocess.Popen[bytes] | Forked":
        asks, self_asks = os.pipe()
        self_hears, answers = os.pipe()
        try:
            running = self._made((asks, answers))
        except BaseException:
            os.close(self_asks)
            os.close(self_hears)
            raise
        finally:
            os.close(asks)
            os.close(answers)
        self._requests, self._replies = os.fdopen(self_asks, "wb", 0), os.fdopen(self_hears, "rb", 0)
        return running

    def _made(self, pipes: tuple[int, int]) -> "subprocess.Popen[bytes] | Forked":
        if self.modules and sys.platform == "linux":
            with contextlib.suppress(OSError):
                return nursery(self.modules, self.settings).fork(self.settings, self.folder, pipes)
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "dlfbench.isolation.serve", *map(str, pipes)],
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            pass_fds=pipes,
            start_new_session=True,
            env=os.environ | dict(self.settings),
        )


def _kill_with_offspring(running: "subprocess.Popen[bytes] | Forked") -> None:
    with contextlib.suppress(psutil.Error):
        for offspring in psutil.Process(running.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                offspring.kill()
    if running.poll() is None:  # one that was forked just now leads no group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(running.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(running.pid, signal.SIGKILL)


def _shorten(log: Path) -> None:
    """Keeps the beginning and the end of a log that has grown too long; who writes it goes on at its end."""
    with contextlib.suppress(OSError):
        size = log.stat().st_size
        if size <= _LONGEST_LOG:
            return
        with open(log, "rb") as file:
            file.seek(-_KEPT_OF_A_LOG, os.SEEK_END)
            end = file.read()
        os.truncate(log, _KEPT_OF_A_LOG)
        with open(log, "ab") as file:
            file.write(b"\n... cut here, too long: %d MB ...\n" % (size // 2**20) + end)


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return f"its last words: {lines[-1][:_LAST_WORDS]}" if lines else "it printed nothing"
