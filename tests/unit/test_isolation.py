"""A process of our own ends with its parent, however that ends, and whatever it is doing."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dlfbench.isolation import process
from dlfbench.isolation.process import Call, Process

PARENT = """
import sys
from pathlib import Path
from dlfbench.isolation.process import Call, Process
from test_isolation import slumber
folder = Path(sys.argv[1])
Process().call(Call(slumber, (folder / "child",), folder / "log"))
"""


def slumber(note: Path, say: object) -> None:
    """Says nothing, for ever; its number is in the note."""
    note.write_text(str(os.getpid()))
    time.sleep(600)


def test_a_silent_process_does_not_outlive_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    deadline = time.monotonic() + 120
    while not (tmp_path / "child").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)
    child = psutil.Process(int((tmp_path / "child").read_text()))
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([child], timeout=30)
    for one in alive:
        one.kill()
    assert not alive


def chatter(lines: int, say: object) -> str:
    """Prints for ever so long."""
    for number in range(lines):
        print(f"line {number}")
    return "done"


def test_a_log_that_grows_too_long_keeps_its_beginning_and_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(process, "_LONGEST_LOG", 10_000)
    monkeypatch.setattr(process, "_KEPT_OF_A_LOG", 1_000)
    own, log = Process(), tmp_path / "log"
    assert own.call(Call(chatter, (5_000,), log)) == "done"
    assert own.call(Call(chatter, (3,), log)) == "done"  # it goes on at the end
    own.end()
    told = log.read_text().splitlines()
    assert told[0] == "line 0"
    assert told[-4:] == ["line 4999", "line 0", "line 1", "line 2"]
    assert sum("cut here" in line for line in told) == 1
    assert log.stat().st_size < 3_000


AUTOGROUP = Path("/proc/self/autogroup")
NICE_PARENT = """
import os, sys
from pathlib import Path
from dlfbench.isolation.process import Call, Process
from test_isolation import group
os.nice(7)
for modules in ((), ("dlfbench.isolation.serve",)):
    own = Process(modules=modules)
    print(own.call(Call(group, (), Path(sys.argv[1]) / "log")))
    own.end()
"""


def group(say: object) -> str:
    """How the kernel ranks the session of this process."""
    return AUTOGROUP.read_text().strip()


@pytest.mark.skipif(not AUTOGROUP.is_file(), reason="this kernel shares processors among processes, not sessions")
def test_a_run_that_is_nice_stays_nice_in_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-c", NICE_PARENT, str(tmp_path)]
    groups = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(set(groups)) == 2  # each its own session
    assert all(line.endswith(" nice 7") for line in groups)
