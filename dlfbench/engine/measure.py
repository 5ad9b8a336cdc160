"""Time and memory of a piece of work inside one process."""

import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass
class Cost:
    """What a task took.

    Attributes:
        wall_s: Elapsed time.
        cpu_s: Processor time of the process and of the children that it waited for.
        peak_bytes: Peak resident memory of the process during the task (Linux; elsewhere since the process began).
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0


@contextmanager
def measured() -> Iterator[Cost]:
    """Measures the body; the cost is complete when the body ends, also by an exception."""
    cost = Cost()
    _forget_peak()
    wall, cpu = time.perf_counter(), _cpu_s()
    try:
        yield cost
    finally:
        cost.wall_s, cost.cpu_s, cost.peak_bytes = time.perf_counter() - wall, _cpu_s() - cpu, _peak_bytes()


def _cpu_s() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _forget_peak() -> None:
    try:
        _CLEAR.write_text("5")  # resets VmHWM, see proc(5)
    except OSError:
        return


def _peak_bytes() -> int:
    try:
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        unit = 1 if platform.system() == "Darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
