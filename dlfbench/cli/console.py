"""What the command line prints: messages, tables, and the progress of a run."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from dlfbench.engine.execute import Watcher
from dlfbench.engine.tasks import Task
from dlfbench.engine.worker import Outcome

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_ANY_WIDTH = 10_000
_PLAIN_EVERY_S = 15.0
_TITLES = {
    "registration": "registrations",
    "fit": "fits",
    "segmentation": "segmentations",
    "score": "scores",
    "bounds": "bounds",
}


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()
) -> None:
    """Prints a table; columns named in `right` are aligned to the right.

    Where it is too wide for the terminal, their headings take two lines and other cells are folded.
    """
    cells = [[escape(str(value)) for value in row] for row in rows]
    table = _table(title, columns, cells, right)
    if Measurement.get(out, out.options.update(width=_ANY_WIDTH), table).maximum > out.width:
        broken = {name: "\n".join(name.rsplit(" ", 1)) for name in right}
        table = _table(title, [broken.get(name, name) for name in columns], cells, list(broken.values()))
    out.print(table)


def _table(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[str]) -> Table:
    table = Table(title=escape(title) or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    table.collapse_padding = True
    for column in columns:
        if column in right:  # numbers stay whole; names give way
            table.add_column(column, justify="right", no_wrap=True, vertical="bottom")
        else:
            table.add_column(column, overflow="fold", vertical="bottom" if right else "top")
    for row in cells:
        table.add_row(*row)
    return table


def print_by_test_set(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Prints rows whose first column is the test set, a table per test set."""
    for test_set, group in groupby(rows, key=lambda row: str(row[0])):
        print_table(f"\ntest set {test_set}", columns[1:], [row[1:] for row in group], right=right)


class RunProgress:
    """Progress of a run: one bar overall, one per kind of task, one line per long task under way."""

    def __init__(self, todo: Mapping[str, Task], progress: Progress | None, workers: int = 1) -> None:
        self.total = Counter(task.kind for task in todo.values())
        self.done: Counter[str] = Counter()
        self.spent_s: defaultdict[str, float] = defaultdict(float)
        self.workers = workers
        self.failures = 0
        self.progress = progress
        self.said = time.monotonic()
        self.bars: dict[str, TaskID] = {}
        if progress is not None:
            self.overall = progress.add_task("all tasks", total=len(todo))
            self.bars = {kind: progress.add_task(f"  {_TITLES[kind]}", total=n) for kind, n in self.total.items()}
        self.long: dict[str, TaskID] = {}
        self.under_way: dict[str, str] = {}

    @property
    def watcher(self) -> Watcher:
        return Watcher(self._ended, self._progress)

    def _ended(self, task: Task, outcome: Outcome) -> None:
        self.done[task.kind] += 1
        self.spent_s[task.kind] += outcome.wall_s
        self.under_way.pop(_about(task.names), None)
        if outcome.status == "failed":
            self.failures += 1
            what = escape(f"{_TITLES[task.kind]} {_about(task.names)}: {_short(outcome.reason)}")
            err.print(f"[yellow]failed:[/] {what}", soft_wrap=True)
        if self.progress is None:
            self._say_plainly()
            return
        self.progress.update(self.overall, advance=1, description=f"all tasks, {self.left()}")
        self.progress.advance(self.bars[task.kind])
        bar = self.long.pop(_about(task.names), None)
        if bar is not None:
            self.progress.remove_task(bar)

    def _progress(self, event: dict[str, Any]) -> None:
        about = _about(event["names"])
        if self.progress is None:
            self.under_way[about] = f"  {event['kind']} {about}: {event['text']}"
            self._say_plainly()
            return
        if about not in self.long:
            self.long[about] = self.progress.add_task("", total=1.0)
        text = f"    {event['kind']} {escape(about)}: {escape(event['text'])}"
        self.progress.update(self.long[about], completed=event["share"], description=text)

    def left(self) -> str:
        """How long the rest will take, by the mean time of each kind of task so far."""
        rest = {kind: n - self.done[kind] for kind, n in self.total.items() if n > self.done[kind]}
        known_s = sum(n * self.spent_s[kind] / self.done[kind] for kind, n in rest.items() if self.done[kind])
        unknown = [_TITLES[kind] for kind in rest if not self.done[kind]]
        if unknown and len(unknown) == len(rest):
            return "time left not known yet"
        more = f" and {', '.join(unknown)}" if unknown else ""
        return f"about {duration(known_s / self.workers)}{more} left"

    def _say_plainly(self) -> None:
        now, total, done = time.monotonic(), self.total.total(), self.done.total()
        if done < total and now - self.said < _PLAIN_EVERY_S:
            return
        self.said = now
        kinds = ", ".join(f"{_TITLES[kind]} {self.done[kind]}/{n}" for kind, n in self.total.items())
        lines = [f"{done}/{total} tasks ({kinds}), {self.left()}", *self.under_way.values()]
        err.print("\n".join(map(escape, lines)), soft_wrap=True)


@contextmanager
def run_progress(todo: Mapping[str, Task], workers: int = 1) -> Iterator[RunProgress]:
    """Bars on a terminal, a plain line now and then elsewhere."""
    if not err.is_terminal:
        yield RunProgress(todo, None, workers)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err) as progress:
        yield RunProgress(todo, progress, workers)


@contextmanager
def file_progress(title: str) -> Iterator[Any]:
    """A callback for (done, total), drawn on a terminal only."""
    if not err.is_terminal:
        yield None
        return
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=err, transient=True
    ) as progress:
        bar = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def duration(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count_bytes: float) -> str:
    """`1.5 GB`."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = min(int(math.log(max(count_bytes, 1), 1000)), len(units) - 1)
    return f"{count_bytes / 1000**power:.{min(power, 1)}f} {units[power]}"


def _about(names: Mapping[str, Any]) -> str:
    return " ".join(str(value) if key != "fold" else f"fold {value}" for key, value in names.items())


def _short(reason: str) -> str:
    first = reason.splitlines()[0] if reason else "no reason given"
    return first if len(first) <= 300 else first[:300] + " ..."
