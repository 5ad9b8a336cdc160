"""A process of our own ends with its parent, however that ends, and whatever it is doing."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

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
    for process in alive:
        process.kill()
    assert not alive
