"""A process of ours ends when it is told to, also at the moments at which it has only just begun."""

import io
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dlfbench.isolation.process import Call, Process, Stopped

ASLEEP = [sys.executable, "-c", "import time; time.sleep(20)"]


def test_one_that_leads_no_group_yet_is_ended() -> None:
    process, running = Process(), subprocess.Popen(ASLEEP)  # in the group of this test, as a fork is at first
    process._running, process._requests, process._replies = running, io.BytesIO(), io.BytesIO()
    process.end()
    assert running.poll() == -signal.SIGKILL


def test_one_that_is_stopped_while_it_starts_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process()
    made, all_made = process._made, []

    def slowly(pipes: tuple[int, int]) -> Any:
        all_made.append(made(pipes))
        process.stop()  # another thread, which finds nothing to end
        return all_made[0]

    monkeypatch.setattr(process, "_made", slowly)
    with pytest.raises(Stopped):
        process.call(Call(print, ("never",), tmp_path / "log"))
    assert all_made[0].poll() == -signal.SIGKILL
    assert not (tmp_path / "log").exists()
