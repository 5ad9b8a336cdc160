"""What the command line prints: messages, tables, and the progress of a run."""

import math
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column, Table
from rich.text import Text

from dlfbench.engine.failures import Failures

if TYPE_CHECKING:
    from dlfbench.engine.execute import Watcher
    from dlfbench.engine.tasks.task import Task
    from dlfbench.engine.worker import Outcome

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Plain(Console):
    """A console that shows text as it is: no brackets are markup, and no character of it moves the cursor."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **more: Any) -> Text:
        return super().render_str(visible(text), **{**more, "markup": False, "emoji": False})


def visible(text: str) -> str:
    """Text in which control characters, and what is no character, are written out, as backslash x1b."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def styled(text: str, style: str) -> Text:
    """Text in a style such as bold or red."""
    return Text(visible(text), style)


out = Plain()
err = Plain(stderr=True)

_BAR_WIDTH = 12
_CLOCK_WIDTH = len("/ 0:00:00") + 3
_LEAST_WIDTH = 20
_FEW = 3
_ANY_WIDTH = 10_000
_PLAIN_EVERY_S = 15.0
_SOME_LOOK_WRONG, _TOO_MANY_LOOK_WRONG = 5, 0.1  # registrations: so many, and this share, are told at once
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
    cells = [[visible(str(value)) for value in row] for row in rows]
    table = _table(title, columns, cells, right)
    if Measurement.get(out, out.options.update(width=_ANY_WIDTH), table).maximum > out.width:
        broken = {name: "\n".join(name.rsplit(" ", 1)) for name in right}
        table = _table(title, [broken.get(name, name) for name in columns], cells, list(broken.values()))
    out.print(table)


def _table(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[str]) -> Table:
    table = Table(title=visible(title) or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
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


@dataclass
class Pace:
    """How fast a task under way goes, by the share done that it tells of.

    Attributes:
        since_s: When the share began to move.
        share: What it was then.
        now_s: When it was last told.
        done: What it was then.
    """

    since_s: float
    share: float
    now_s: float
    done: float

    def told(self, share: float, now_s: float) -> None:
        if share <= self.share:  # preparing, or begun anew
            self.since_s, self.share = now_s, share
        self.now_s, self.done = now_s, share

    def left_s(self, now_s: float) -> float | None:
        """What is left of the task; None while its share has not moved."""
        moved = self.done - self.share
        if moved <= 0:
            return None
        per_share = (self.now_s - self.since_s) / moved
        return max((1 - self.done) * per_share - (now_s - self.now_s), 0.0)

    def whole_s(self) -> float | None:
        """What all of the task would take; None while its share has not moved."""
        moved = self.done - self.share
        return (self.now_s - self.since_s) / moved if moved > 0 else None


Kind = tuple[str, str]


def _kind(kind: str, names: Mapping[str, Any]) -> Kind:
    """Tasks of one kind and method take about as long as each other."""
    return kind, str(names.get("method", ""))


def _waiting(kind: str, methods: Sequence[str]) -> str:
    """Tasks of which nothing is known yet: of fits, the long ones, also whose."""
    named = kind == "fit" and all(methods) and len(methods) <= _FEW
    return f"{_TITLES[kind]} of {', '.join(methods)}" if named else _TITLES[kind]


class RunProgress:
    """Progress of a run: one bar overall, one per kind of task, one line per long task under way."""

    def __init__(self, todo: Mapping[str, "Task"], progress: Progress | None, workers: int = 1) -> None:
        self.total = Counter(task.kind for task in todo.values())
        self.done: Counter[str] = Counter()
        self.planned = Counter(_kind(task.kind, task.names) for task in todo.values())
        self.ended: Counter[Kind] = Counter()
        self.spent_s: defaultdict[Kind, float] = defaultdict(float)
        self.paces: dict[str, tuple[Kind, Pace]] = {}
        self.dice: defaultdict[str, list[float]] = defaultdict(list)
        self.workers = workers
        self._failures = Failures()
        self.progress = progress
        self.said = time.monotonic()
        self.bars: dict[str, TaskID] = {}
        if progress is not None:
            self.overall = progress.add_task("all tasks", total=len(todo))
            self.bars = {kind: progress.add_task(f"  {_TITLES[kind]}", total=n) for kind, n in self.total.items()}
        self.long: dict[str, TaskID] = {}
        self.under_way: dict[str, str] = {}
        self.look_wrong, self.warned = 0, False
        self._lock = threading.Lock()

    @property
    def failures(self) -> int:
        """How many tasks failed of themselves."""
        return self._failures.count

    @property
    def watcher(self) -> "Watcher":
        from dlfbench.engine.execute import Watcher

        return Watcher(self._one_at_a_time(self._ended), self._one_at_a_time(self._progress))

    def _one_at_a_time(self, tell: Callable[..., None]) -> Callable[..., None]:
        """The same for several threads: tasks tell of their progress in one, and of their ends in another."""

        def told(*words: Any) -> None:
            with self._lock:
                tell(*words)

        return told

    def _ended(self, task: "Task", outcome: "Outcome") -> None:
        about, kind = _about(task.names), _kind(task.kind, task.names)
        self.done[task.kind] += 1
        self.ended[kind] += 1
        self.spent_s[kind] += outcome.wall_s
        self.under_way.pop(about, None)
        self.paces.pop(about, None)
        if outcome.dice is not None and math.isfinite(outcome.dice):
            self.dice[str(task.names["method"])].append(outcome.dice)
        if self._failures.is_new(outcome):
            what = f"{_TITLES[task.kind]} {about}: {_short(outcome.reason)}"
            err.print(styled("failed:", "yellow"), what, soft_wrap=True)
        if outcome.flags:
            self._flagged(about, outcome.flags)
        if self.progress is None:
            self._say_plainly()
            return
        self.progress.update(self.overall, advance=1, description=f"all tasks, {self.left()}")
        self.progress.advance(self.bars[task.kind])
        if outcome.dice is not None:
            self.progress.update(self.bars[task.kind], description=self._scores())
        bar = self.long.pop(about, None)
        if bar is not None:
            self.progress.remove_task(bar)

    def _flagged(self, about: str, flags: str) -> None:
        """Counts a registration that looks wrong; says so once they are many, while there is time to stop."""
        self.look_wrong += 1
        made = self.done["registration"]
        if not self.warned and self.look_wrong >= _SOME_LOOK_WRONG and self.look_wrong > _TOO_MANY_LOOK_WRONG * made:
            self.warned = True
            what = f"{self.look_wrong} of {made} registrations look wrong, such as {about}: {flags}."
            more = "Methods may be judged by them; Ctrl-C stops the run, and nothing is lost."
            err.print(styled("warning:", "yellow"), what, more, soft_wrap=True)

    def _progress(self, event: dict[str, Any]) -> None:
        about, share, now_s = _about(event["names"]), float(event["share"]), time.monotonic()
        start = (_kind(event["kind"], event["names"]), Pace(now_s, share, now_s, share))
        self.paces.setdefault(about, start)[1].told(share, now_s)
        if self.progress is None:
            self.under_way[about] = f"  {event['kind']} {about}: {event['text']}"
            self._say_plainly()
            return
        if about not in self.long:
            self.long[about] = self.progress.add_task("", total=100)
        text = f"    {event['kind']} {about}: {event['text']}"
        self.progress.update(self.long[about], completed=int(100 * share), description=visible(text))
        self.progress.update(self.overall, description=f"all tasks, {self.left()}")

    def so_far(self) -> str:
        """Mean Dice of each method over the cases of this start that are scored."""
        return ", ".join(self._means())

    def _means(self) -> Iterator[str]:
        for method, all_ in self.dice.items():
            yield f"{method} {sum(all_) / len(all_):.3f} ({len(all_)})"

    def _scores(self) -> str:
        """What methods reach, on as many lines as it takes beside the bars, so that none is cut off."""
        room = err.width - _BAR_WIDTH - 2 * len(str(self.total.total())) - _CLOCK_WIDTH
        whole = ", ".join(visible(mean).replace(" ", "\u00a0") for mean in self._means())  # lines end between methods
        lines = wrap(f"  scores: {whole}", max(room, _LEAST_WIDTH), subsequent_indent="    ",
                     break_on_hyphens=False, break_long_words=False)  # fmt: skip
        return "\n".join(lines).replace("\u00a0", " ")

    def left(self) -> str:
        """How long the rest will take; what is not known of it is named."""
        rest_s, unknown = self.rest_s()
        if unknown and not rest_s:
            return "time left not known yet"
        waiting = [_waiting(kind, [of for other, of in unknown if other == kind]) for kind in dict(unknown)]
        more = f" and {', '.join(waiting)}" if waiting else ""
        guessed = [of for kind, of in self.guessed() if kind == "fit"]
        doubt = f", {_waiting('fit', guessed)} guessed" if guessed else ""  # by other methods' fits
        return f"about {duration(rest_s)}{more} left{doubt}"

    def rest_s(self) -> tuple[float, list[Kind]]:
        """How long the rest will take, and of which kinds of task nothing is known.

        Tasks under way go on at their pace; others take the mean of those of their kind and method that have ended, or
        what those under way will take, or else what others of their kind take.
        """
        now_s = time.monotonic()
        unknown: list[Kind] = []
        work_s, one_after_another_s = 0.0, 0.0
        for kind, count in (self.planned - self.ended).items():
            under_way = [pace.left_s(now_s) for of, pace in self.paces.values() if of == kind]
            known = [left_s for left_s in under_way if left_s is not None]
            one_s = self._one_s(kind)
            if one_s is None and len(known) < count:
                unknown.append(kind)
            work_s += sum(known) + max(count - len(known), 0) * (one_s or 0.0)
            longest_s = max([*known, (one_s or 0.0) if count > len(known) else 0.0])
            one_after_another_s = max(one_after_another_s, longest_s + self._after_s(kind))
        # however many workers there are, one task is done by one
        return max(work_s / self.workers, one_after_another_s), unknown

    def guessed(self) -> list[Kind]:
        """Kinds of task that are taken to last as others do, because nothing is known of them."""
        rest = self.planned - self.ended
        return [kind for kind in rest if self._known_s(kind) is None and self._one_s(kind) is not None]

    def _after_s(self, kind: Kind) -> float:
        """What can begin only after a task of the kind: after a fit, the segmentations by its method."""
        after = ("segmentation", kind[1])
        count = (self.planned - self.ended)[after] if kind[0] == "fit" else 0
        return count * (self._one_s(after) or 0.0) / self.workers

    def _one_s(self, kind: Kind) -> float | None:
        """What one task of the kind takes, or else what others do that are like it; None where nothing is known."""
        known_s = self._known_s(kind)
        if known_s is not None:
            return known_s
        alike = [s for other in self.planned if other[0] == kind[0] and (s := self._known_s(other)) is not None]
        return sum(alike) / len(alike) if alike else None

    def _known_s(self, kind: Kind) -> float | None:
        """What one task of the kind takes; None where none has ended and none under way tells of its pace."""
        if self.ended[kind]:
            return self.spent_s[kind] / self.ended[kind]
        paces = [whole_s for of, pace in self.paces.values() if of == kind and (whole_s := pace.whole_s()) is not None]
        return sum(paces) / len(paces) if paces else None

    def _say_plainly(self) -> None:
        now, total, done = time.monotonic(), self.total.total(), self.done.total()
        if done < total and now - self.said < _PLAIN_EVERY_S:
            return
        self.said = now
        kinds = ", ".join(f"{_TITLES[kind]} {self.done[kind]}/{n}" for kind, n in self.total.items())
        lines = [f"{done}/{total} tasks ({kinds}), {self.left()}", *self.under_way.values()]
        lines += [f"  {self.look_wrong} registrations look wrong"] if self.look_wrong else []
        lines += [f"  mean Dice so far (cases): {self.so_far()}"] if self.dice else []
        err.print("\n".join(lines), soft_wrap=True)


def _drawn(console: Console) -> Progress:
    """Bars that leave the room to what is said beside them; it is cut at the end of the line."""
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=_BAR_WIDTH),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        expand=True,
    )


@contextmanager
def run_progress(todo: Mapping[str, "Task"], workers: int = 1) -> Iterator[RunProgress]:
    """Bars on a terminal, a plain line now and then elsewhere."""
    if not err.is_terminal:
        yield RunProgress(todo, None, workers)
        return
    with _drawn(err) as progress:
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
