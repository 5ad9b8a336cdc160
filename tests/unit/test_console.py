"""What a run says of its progress."""

import io
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dlfbench.cli import console
from dlfbench.cli.console import Plain, RunProgress, out, print_table, run_progress, styled
from dlfbench.engine.worker import Outcome
from dlfbench.report.write import headline
from synthetic_run import make_results, make_run


@dataclass
class Work:
    kind: str
    names: dict[str, Any] = field(default_factory=dict)


def progress() -> RunProgress:
    kinds = ["registration"] * 10 + ["fit"] * 2
    return RunProgress({str(i): Work(kind) for i, kind in enumerate(kinds)}, None, 2)  # type: ignore[misc]


def end(told: RunProgress, kind: str, wall_s: float, **names: Any) -> None:
    told.watcher.ended(Work(kind, names), Outcome("k", kind, "ok", "", wall_s))  # type: ignore[arg-type]


def test_time_left_follows_each_kind_of_task_and_says_what_is_not_known() -> None:
    told = progress()
    assert told.left() == "time left not known yet"
    end(told, "registration", 10)
    assert told.left() == "about 45 s and fits left"
    end(told, "fit", 100)
    assert told.left() == "about 1 min 40 s left"  # of the last fit: one worker does it


def test_many_registrations_that_look_wrong_are_told_while_there_is_time(capsys: pytest.CaptureFixture[str]) -> None:
    told = progress()
    for number in range(10):
        flags = "no overlap" if number >= 4 else ""
        outcome = Outcome("k", "registration", "ok", "", 1.0, flags=flags)
        told.watcher.ended(Work("registration", {"target": f"t{number}", "atlas": "a"}), outcome)  # type: ignore[arg-type]
        said = capsys.readouterr().err
        assert ("5 of 9 registrations look wrong, such as" in said) == (number == 8), said
    assert told.look_wrong == 6


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


TASKS = (
    [("registration", "", 3.0)] * 120
    + [("fit", "unet", 5760.0), ("fit", "dlf", 1500.0)]
    + [("segmentation", name, took) for name, took in (("mv", 1.0), ("unet", 6.0), ("dlf", 9.0)) for _ in range(20)]
)


def test_time_left_is_true_within_a_factor_of_one_and_a_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers take task after task; fits tell of their share every 20 s, after 40 s of preparing."""
    clock = Clock()
    monkeypatch.setattr("dlfbench.cli.console.time", clock)
    todo = {str(i): Work(kind, {"method": name, "n": i}) for i, (kind, name, _) in enumerate(TASKS)}
    told = RunProgress(todo, None, 2)  # type: ignore[arg-type]
    waiting, workers, events = list(enumerate(TASKS)), [0.0, 0.0], []
    while waiting:
        number, (kind, name, took) = waiting.pop(0)
        worker = workers.index(min(workers))
        start, workers[worker] = workers[worker], workers[worker] + took
        events.append((workers[worker], number, 1.0))
        events += [(start + s, number, max(0.0, s - 40) / (took - 40)) for s in range(20, int(took), 20)]
    whole = max(workers)
    guesses = []
    for at, number, share in sorted(events):
        clock.now = at
        kind, name, took = TASKS[number]
        if share == 1.0:
            end(told, kind, took, method=name, n=number)
        elif kind == "fit":
            told.watcher.progress({"kind": kind, "names": {"method": name, "n": number}, "share": share, "text": "x"})
        rest_s, unknown = told.rest_s()
        if at > 120 and whole - at > 30:
            fits = [of for kind, of in unknown if kind == "fit"]
            assert not fits or "fits" in told.left() or "not known yet" in told.left()
            guesses += [] if fits else [rest_s / (whole - at)]
    assert len(guesses) > 300
    assert 1 / 1.5 < min(guesses) <= max(guesses) < 1.5


def test_80_columns_are_enough_for_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Plain(file=screen, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(console, "err", terminal)
    monkeypatch.setattr("dlfbench.cli.console.time", Clock())
    todo = {str(i): Work("fit", {"method": f"jlf[beta={i}]"}) for i in range(12)}
    with run_progress(todo, 2) as told:  # type: ignore[arg-type]
        for share in (0.0, 0.5):
            event = {"names": {"method": "jlf[beta=4]", "fold": 3}, "kind": "fit", "share": share, "text": "step " * 30}
            told.watcher.progress(event)
        assert told.progress is not None
        lines = terminal.render_lines(told.progress.make_tasks_table(told.progress.tasks), pad=False)
    shown = ["".join(part.text for part in line) for line in lines]
    assert len(shown) == 3  # all tasks, fits, and the long one: a line each
    ends = ["0/12", "0/12", "50/100"]
    assert all(end in line for end, line in zip(ends, shown, strict=True)), shown
    assert shown[0].startswith("all tasks, about 0 s left, fits guessed")
    assert all(len(line) <= 80 for line in shown)
    assert "jlf[beta=4]" in shown[2]


def test_every_method_s_scores_are_shown_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Plain(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(console, "err", terminal)
    methods = ("mv", "svwv", "jlf", "jlf[patch_radius=3]", "majority-of-all-of-them")
    todo = {f"{name} {case}": Work("score", {"method": name}) for name in methods for case in range(24)}
    with run_progress(todo, 2) as told:  # type: ignore[arg-type]
        for key, work in todo.items():
            told.watcher.ended(work, Outcome(key, "score", "ok", "", 1.0, 0.8112))  # type: ignore[arg-type]
        assert told.progress is not None
        lines = terminal.render_lines(told.progress.make_tasks_table(told.progress.tasks), pad=False)
    shown = ["".join(part.text for part in line) for line in lines]
    assert all(any(f"{name} 0.811 (24)" in line for line in shown) for name in methods), shown
    assert all(len(line) <= 80 for line in shown)


def test_a_fit_of_which_nothing_is_known_counts_like_others_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("dlfbench.cli.console.time", clock)
    names = [("fit", "nnunet"), ("fit", "dlf"), *[("segmentation", "dlf")] * 10]
    todo = {str(i): Work(kind, {"method": name}) for i, (kind, name) in enumerate(names)}
    told = RunProgress(todo, None, 2)  # type: ignore[arg-type]
    for clock.now, share in ((0.0, 0.0), (50.0, 0.5)):
        told.watcher.progress({"kind": "fit", "names": {"method": "nnunet"}, "share": share, "text": "x"})
    assert told.left() == "about 1 min 40 s and segmentations left, fits of dlf guessed"
    end(told, "segmentation", 4.0, method="dlf")
    assert told.rest_s() == (100.0 + 9 * 4.0 / 2, [])  # they come after the fit


def test_progress_that_is_told_in_two_threads_is_taken_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    told, waited = progress(), []
    event = {"kind": "fit", "names": {"method": "dlf"}, "share": 0.5, "text": "x"}
    other = threading.Thread(target=told.watcher.progress, args=(event,))

    def look() -> None:  # while the end of a task is told
        monkeypatch.undo()
        other.start()
        other.join(0.2)
        waited.append(not told.paces)

    monkeypatch.setattr(told, "_say_plainly", look)
    end(told, "registration", 10)
    other.join()
    assert waited == [True]
    assert told.paces


def test_what_methods_reach_is_said_while_they_run() -> None:
    told = progress()
    assert told.so_far() == ""
    for method, dice in (("mv", 0.8), ("jlf", 0.9), ("mv", 0.7), ("mv", None)):
        work: Any = Work("score", {"method": method})
        told.watcher.ended(work, Outcome("k", "score", "ok", "", 1.0, dice))
    assert told.so_far() == "mv 0.750 (2), jlf 0.900 (1)"


def test_a_failure_is_counted_and_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    told = progress()
    for key, kind, cause in (
        ("fit 0", "fit", ""),
        ("map 0", "segmentation", "fit 0"),
        ("score 0", "score", "map 0"),
        ("map 1", "segmentation", ""),
        ("score 1", "score", "map 1"),
        ("map 2", "segmentation", "fit of an earlier start"),
        ("map 3", "segmentation", "fit of an earlier start"),
        ("score 3", "score", "map 3"),
    ):
        work: Any = Work(kind, {"method": "unet", "case": key})
        told.watcher.ended(work, Outcome(key, kind, "failed", "no idea", 1.0, cause=cause))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed:")]
    assert [line.split(":")[1].strip() for line in lines] == [
        "fits unet fit 0",
        "segmentations unet map 1",
        "segmentations unet map 2",
    ]
    assert told.failures == 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("jlf[beta=4] [/] [bold]", "jlf[beta=4] [/] [bold]"),
        ("\x1b[31mred\x07 \x9b2J", "\\x1b[31mred\\x07 \\x9b2J"),
        ("\u202etxt \udcff", "\\u202etxt \\udcff"),
        ("café :smile: 3 mm³", "café :smile: 3 mm³"),
    ],
)
def test_text_is_shown_as_it_is_and_moves_no_cursor(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    out.print(text, soft_wrap=True)
    out.print(styled(text, "bold"), soft_wrap=True)
    print_table(text, [text], [[text]])
    printed = capsys.readouterr().out
    assert printed.count(shown) == 5, printed


def test_no_command_writes_markup() -> None:
    folder = Path(console.__file__).parent
    for path in folder.glob("*.py"):
        code = path.read_text().replace("said.help = escape(said.help)", "")  # help is typer's, who reads markup
        assert not re.search(r"escape\(|\[/?(bold|red|yellow|green)?\]\S* *\{|\[/\]", code), path


def test_off_a_terminal_long_tasks_say_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    told = progress()
    told.said -= 60
    event = {"kind": "fit", "names": {"method": "dlf[steps=3]", "fold": 0}, "share": 0.5, "text": "step 5/10"}
    told.watcher.progress(event)
    assert "fit dlf[steps=3] fold 0: step 5/10" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("width", "head"), [(40, ["method   Dice all labels"]), (20, ["         Dice all", "method     labels"])]
)
def test_headings_take_two_lines_only_where_a_table_is_too_wide(
    width: int, head: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "width", width)
    print_table("", ["method", "Dice all labels"], [["jlf[x=1]", 0.9]], right=["Dice all labels"])
    assert capsys.readouterr().out.splitlines()[: len(head)] == head


def test_long_names_of_labels_leave_room_for_those_of_methods(tmp_path: Path) -> None:
    short, long = ({1: a, 2: b} for a, b in (("front", "back"), ("Left-Thalamus-Proper", "ctx-lh-parahippocampal-1")))
    for labels, expected in ((short, 3), ({**long, 3: "Right-Cerebellum-White-Matter"}, 1)):
        results = make_results(persons=2, labels=labels)
        table = headline(make_run(tmp_path / str(expected), results))
        assert sum(name.startswith("Dice") for name in table.columns) == expected
