"""A run that is killed at any moment goes on where it was, and ends with the same results."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from builders import write_dataset

pytestmark = pytest.mark.slow


def start(data: Path, out: Path, cache: Path) -> "subprocess.Popen[bytes]":
    arguments = [
        "run",
        "--data",
        data,
        "--folds",
        "2",
        "--methods",
        "mv,jlf",
        "--out",
        out,
        "--cache",
        cache,
        "--workers",
        "2",
    ]
    # a test run in the background of a shell ignores SIGINT, and so would what it starts
    interruptible = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{interruptible}; from dlfbench.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def products(out: Path) -> dict[Path, int]:
    """When each product was written, ns."""
    return {path: path.stat().st_mtime_ns for path in out.glob("tasks/*/*.json")}


def children_of(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=6)


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert start(data, folder / "run", folder / "cache").wait() == 0
    return (folder / "run" / "results.csv").read_bytes()


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.8, 0.95])
def test_killed_at_any_moment_the_results_are_the_same(
    share: float, data: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    out, cache, planned = tmp_path / "run", tmp_path / "cache", 12 * 6 + 12 + 2 * 24
    process = start(data, out, cache)
    while len(products(out)) < share * planned and process.poll() is None:
        time.sleep(0.05)
    children = children_of(process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, "children outlived the run"
    before = products(out)
    assert start(data, out, cache).wait() == 0
    after = products(out)
    assert (out / "results.csv").read_bytes() == undisturbed
    assert all(after[path] == written for path, written in before.items()), "a finished task was done again"


def test_ctrl_c_says_how_to_go_on_and_leaves_no_process(data: Path, tmp_path: Path) -> None:
    process = start(data, tmp_path / "run", tmp_path / "cache")
    while len(products(tmp_path / "run")) < 10 and process.poll() is None:
        time.sleep(0.05)
    children = children_of(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert not psutil.wait_procs(children, timeout=20)[1]
    assert (tmp_path / "run" / "results.csv").is_file()
