"""Time and memory of a piece of work inside one process, and of earlier processes that were stopped before its end."""

import json
import platform
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
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

    def and_then(self, later: "Cost") -> "Cost":
        """Of two parts of the same work, one after the other."""
        peak = max(self.peak_bytes, later.peak_bytes)
        return Cost(self.wall_s + later.wall_s, self.cpu_s + later.cpu_s, peak)


@contextmanager
def measured() -> Iterator[Cost]:
    """Measures the body; the cost is complete when the body ends, also by an exception."""
    cost, so_far = Cost(), _started()
    try:
        yield cost
    finally:
        now = so_far()
        cost.wall_s, cost.cpu_s, cost.peak_bytes = now.wall_s, now.cpu_s, now.peak_bytes


def _started() -> Callable[[], Cost]:
    """Starts to measure; what is returned says what it took until now."""
    _forget_peak()
    wall, cpu = time.perf_counter(), _cpu_s()
    return lambda: Cost(time.perf_counter() - wall, _cpu_s() - cpu, _peak_bytes())


class Ledger:
    """What work that goes on after a stop took in all its starts: kept in a file while it is under way.

    Args:
        path: The file. One that cannot be read or written costs the figure, not the work.
        every_s: How often it is written.
    """

    def __init__(self, path: Path, *, every_s: float = 5.0) -> None:
        self._path, self._every_s, self._written = path, every_s, time.perf_counter()
        self._earlier, self._so_far = Cost(), _started()
        with suppress(OSError, ValueError, TypeError):
            self._earlier = Cost(**json.loads(path.read_text()))

    def note(self) -> None:
        """Keeps what was spent until now, if the last time is long ago."""
        if time.perf_counter() - self._written < self._every_s:
            return
        self._written = time.perf_counter()
        text = json.dumps(asdict(self._earlier.and_then(self._so_far())))
        part = self._path.with_suffix(".part")
        with suppress(OSError):  # also where the run folder has moved: it is not made again
            part.write_text(text)
            part.replace(self._path)

    def close(self, cost: Cost) -> Cost:
        """The cost of all starts, of which this is the last; the file has served."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        return self._earlier.and_then(cost)


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
