"""Fair timing: contenders take turns on every problem, and medians over problems are compared."""

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any

Work = Callable[[Any], Any]


@dataclass(frozen=True)
class Spent:
    """Median wall and processor time of one contender, s; NaN where it could not run."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Row:
    """One line of the table: our time against a rival's for the same work.

    Attributes:
        what: The work.
        ours: What of dlfbench did it.
        rival: What else did it.
        mine: Our time.
        theirs: The rival's.
        count: How many problems the medians are over.
        note: What a reader must know; the reason where the rival could not run.
    """

    what: str
    ours: str
    rival: str
    mine: Spent
    theirs: Spent
    count: int
    note: str = ""

    @property
    def cells(self) -> dict[str, str]:
        """As a line of the table. Other work on the machine disturbs processor time less than wall time."""
        return {
            "work": self.what,
            "dlfbench": self.ours,
            "rival": self.rival,
            "n": str(self.count),
            "dlfbench, s": f"{self.mine.wall_s:.4g}",
            "rival, s": f"{self.theirs.wall_s:.4g}",
            "times faster": f"{self.theirs.wall_s / self.mine.wall_s:.3g}",
            "dlfbench, CPU s": f"{self.mine.cpu_s:.4g}",
            "rival, CPU s": f"{self.theirs.cpu_s:.4g}",
            "times less CPU": f"{self.theirs.cpu_s / self.mine.cpu_s:.3g}",
            "note": self.note,
        }


def take_turns(
    problems: Iterable[Any], contenders: Mapping[str, Work], answers: dict[str, list[Any]] | None = None
) -> dict[str, Spent]:
    """Times contenders on each problem, one after another, so that all meet the same load of the machine.

    Each runs once untimed on the first problem: compilation and first reads are nobody's speed. Every other problem
    the order is reversed. What they return is kept in `answers`. One that works in a process of its own tells that
    one's processor time by a method `process_time`.
    """
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    for number, problem in enumerate(problems):
        if number == 0:
            for work in contenders.values():
                work(problem)
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            clock = getattr(contenders[name], "process_time", time.process_time)
            used, started = clock(), time.perf_counter()
            answer = contenders[name](problem)
            wall[name].append(time.perf_counter() - started)
            cpu[name].append(clock() - used)
            if answers is not None:
                answers.setdefault(name, []).append(answer)
    return {name: Spent(statistics.median(wall[name]), statistics.median(cpu[name])) for name in contenders}


def compare(what: str, problems: Iterable[Any], ours: tuple[str, Work], rival: tuple[str, Work], note: str = "") -> Row:
    """One row: ours against one rival."""
    counted = list(problems)
    spent = take_turns(counted, dict([ours, rival]))
    return Row(what, ours[0], rival[0], spent[ours[0]], spent[rival[0]], len(counted), note)


def peak_mib(work: Callable[..., Any], *arguments: Any) -> float:
    """What a function takes at its peak beyond what it began with, MiB; see `spent_alone`."""
    return spent_alone(work, *arguments)[1]


def spent_alone(work: Callable[..., Any], *arguments: Any) -> tuple[Spent, float]:
    """Time, and memory at the peak beyond what it began with, MiB, of a function in a fresh process.

    The function prepares what is not to be counted, and returns the work to measure. NaN where memory is not told.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_spent_alone, work, arguments).result()


def _spent_alone(work: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Spent, float]:
    prepared, told = work(*arguments), Path("/proc/self/clear_refs").exists()
    if told:
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = _status_kib("VmRSS") if told else 0
    started, used = time.perf_counter(), time.process_time()
    prepared()
    spent = Spent(time.perf_counter() - started, time.process_time() - used)
    return spent, (_status_kib("VmHWM") - before) / 1024 if told else math.nan


def _status_kib(name: str) -> int:
    return next(int(line.split()[1]) for line in _lines("/proc/self/status") if line.startswith(name))


def markdown_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a table in Markdown."""
    names = list(head)
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def machine() -> dict[str, str]:
    """What a timing depends on besides the code."""
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    versions = {
        name: _version(name) for name in ("numba", "numpy", "SimpleITK", "antspyx", "MedPy", "surface-distance")
    }
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, {cpu}",
        "load average at the start": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
        **versions,
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).is_file() else []


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
