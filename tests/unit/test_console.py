"""What a run says of its progress."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from dlfbench.cli.console import RunProgress, out, print_table
from dlfbench.engine.worker import Outcome


@dataclass
class Work:
    kind: str
    names: dict[str, Any] = field(default_factory=dict)


def progress() -> RunProgress:
    kinds = ["registration"] * 10 + ["fit"] * 2
    return RunProgress({str(i): Work(kind) for i, kind in enumerate(kinds)}, None, 2)  # type: ignore[misc]


def end(told: RunProgress, kind: str, wall_s: float) -> None:
    told.watcher.ended(Work(kind), Outcome("k", kind, "ok", "", wall_s))  # type: ignore[arg-type]


def test_time_left_follows_each_kind_of_task_and_says_what_is_not_known() -> None:
    told = progress()
    assert told.left() == "time left not known yet"
    end(told, "registration", 10)
    assert told.left() == "about 45 s and fits left"
    end(told, "fit", 100)
    assert told.left() == "about 1 min 35 s left"


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
