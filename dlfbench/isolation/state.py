"""What a process shares among all that runs in it, and what a method may have changed of it."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

_disturbed: set[str] = set()


@dataclass(frozen=True)
class Shared:
    """What others in the process see.

    Attributes:
        umask: Which rights new files lack.
        folder: The current one.
        alarms: Seconds left of each timer.
        handlers: Of signals.
        numpy_errors: What NumPy does about overflow and the like.
        torch: Default type and device, whether gradients are kept, precision of products; empty without PyTorch.
    """

    umask: int
    folder: str
    alarms: tuple[bool, ...]
    handlers: tuple[Any, ...]
    numpy_errors: tuple[Any, ...]
    torch: tuple[Any, ...]


_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD, signal.SIGPIPE)


@contextmanager
def put_back() -> Iterator[None]:
    """After the body, files, timers and signals are as before; whatever else it changed, `was_disturbed` tells."""
    before = _look()
    try:
        yield
    finally:
        after = _look()
        os.umask(before.umask)
        with suppress(OSError):
            os.chdir(before.folder)
        for timer in _TIMERS:
            signal.setitimer(timer, 0)
        _disturbed.update(f.name for f in fields(Shared) if not _same(f.name, before, after))


def was_disturbed() -> tuple[str, ...]:
    """What was changed since the last time that this was asked."""
    disturbed = tuple(sorted(_disturbed))
    _disturbed.clear()
    return disturbed


def _same(name: str, before: Shared, after: Shared) -> bool:
    was, now = getattr(before, name), getattr(after, name)
    if name == "torch" and not was:  # imported by the body
        return now in ((), _TORCH_FROM_NEW)
    return bool(was == now)


def _look() -> Shared:
    umask = os.umask(0)
    os.umask(umask)
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        folder = ""
    alarms = tuple(signal.getitimer(timer)[0] > 0 for timer in _TIMERS)
    handlers = tuple(signal.getsignal(number) for number in _SIGNALS)
    return Shared(umask, folder, alarms, handlers, tuple(sorted(np.geterr().items())), _torch())


_TORCH_FROM_NEW = ("torch.float32", True, "cpu", "highest", False)


def _torch() -> tuple[Any, ...]:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "get_default_device"):
        return ()
    return (
        str(torch.get_default_dtype()),
        torch.is_grad_enabled(),
        str(torch.get_default_device()),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
    )
