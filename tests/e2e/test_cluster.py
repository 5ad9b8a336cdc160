"""Runs on a scheduler that is there already, and on jobs of Slurm, played by a script."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import psutil
import pytest
from distributed import LocalCluster

from builders import write_dataset
from dlfbench.engine import worker
from dlfbench.engine.cluster import SLURM, Resources, connect, count_gpus
from dlfbench.errors import InputError
from dlfbench.records.results import read_results

Cli = Callable[..., tuple[int, str]]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

# Like the real one, it keeps a copy of the script: the caller deletes its own as soon as this returns.
SBATCH = (
    "#!/bin/sh\ncp $1 {log}.$$.sh\nsh {log}.$$.sh > {log}.out 2>&1 &\necho $! >> {log}\necho Submitted batch job $!\n"
)
SCANCEL = "#!/bin/sh\npkill -P $1\nkill $1\n"
PATIENT = """
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import numpy as np
from dlfbench import Segmentation, Segmenter

@dataclass(frozen=True)
class Patient(Segmenter):
    needs_training: ClassVar[bool] = True
    needs_atlases: ClassVar[bool] = False
    notes: str = ""

    def fit(self, training, context):
        notes = Path(self.notes)
        (notes / f"{os.getpid()}.started").touch()
        while not (notes / "go").exists():
            time.sleep(0.05)

    def segment(self, target, atlases, context):
        return Segmentation(np.zeros(target.grid.shape, np.int16))
"""
JOB = {"jobqueue.slurm.memory": "1GB", "jobqueue.slurm.interface": "lo"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=3)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Slurm, played by two scripts on the path: a file with the process of every job, a line each."""
    pytest.importorskip("dask_jobqueue")  # adds its part of Dask's configuration
    for name, script in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        path = tmp_path / name
        path.write_text(script.format(log=tmp_path / "jobs"))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "jobs"


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    settings = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": "127.0.0.1:0", "resources": {"GPU": 1}}
    with LocalCluster(processes=True, **settings) as cluster:  # type: ignore[arg-type]
        yield cluster.scheduler_address


def options(data: Path, out: Path) -> list[str | Path]:
    return ["--data", data, "--hold-out", "0.4", "--methods", "mv", "--out", out, "--device", "cpu"]


@pytest.mark.slow
def test_a_run_on_a_scheduler_gives_the_same_results(data: Path, tmp_path: Path, scheduler: str, dlfbench: Cli) -> None:
    code, text = dlfbench("run", *options(data, tmp_path / "there"), "--scheduler", scheduler)
    assert code == 0, text
    assert dlfbench("run", *options(data, tmp_path / "here"))[0] == 0
    there, here = ((tmp_path / name / "results.csv").read_bytes() for name in ("there", "here"))
    assert there == here


def test_the_processes_of_one_run_are_ended_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Idle:
        stopped = False

        def stop(self) -> None:
            self.stopped = True

    mine, others = Idle(), Idle()
    monkeypatch.setattr(worker, "_processes", {mine: Path("/runs/mine"), others: Path("/runs/others")})
    worker.stop_processes(Path("/runs/mine"))
    assert (mine.stopped, others.stopped) == (True, False)


@pytest.mark.slow
def test_on_a_scheduler_a_killed_run_leaves_nothing_behind_and_other_runs_go_on(
    data: Path, tmp_path: Path, scheduler: str, dlfbench: Cli
) -> None:
    (tmp_path / "patient.py").write_text(PATIENT)
    method = f"{tmp_path / 'patient.py'}:Patient[notes={tmp_path}]"
    asked = ["run", *options(data, tmp_path / "run"), "--scheduler", scheduler, "--methods", method]
    code = "from dlfbench.cli import main; main()"
    first = subprocess.Popen([sys.executable, "-c", code, *map(str, asked)], stdout=subprocess.DEVNULL)
    (orphan,) = _started(tmp_path, 1)
    first.kill()
    first.wait()
    again = subprocess.Popen([sys.executable, "-c", code, *map(str, asked)], stdout=subprocess.DEVNULL)
    _, second = sorted(_started(tmp_path, 2), key=lambda number: number != orphan)
    assert not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE
    assert dlfbench("run", *options(data, tmp_path / "other"), "--scheduler", scheduler)[0] == 0
    assert psutil.pid_exists(second)  # its fit goes on, though another run on these workers has ended
    (tmp_path / "go").touch()
    assert again.wait(timeout=120) == 0
    assert set(read_results(tmp_path / "run").query("kind == 'method'").status) == {"ok"}


def _started(notes: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 120
    while len(found := list(notes.glob("*.started"))) < count and time.monotonic() < deadline:
        time.sleep(0.1)
    return [int(path.stem) for path in found]


def test_gpus_are_those_that_workers_declare(scheduler: str) -> None:
    assert [count_gpus(device, scheduler) for device in ("auto", "cuda", "cpu")] == [1, 1, 0]
    assert [count_gpus(device, SLURM) for device in ("auto", "cuda", "cpu")] == [0, 1, 0]


@pytest.mark.slow
def test_a_run_on_slurm_asks_for_jobs_and_ends_them(data: Path, tmp_path: Path, dlfbench: Cli, slurm: Path) -> None:
    with dask.config.set(JOB | {"jobqueue.slurm.cores": 1}):
        code, text = dlfbench("run", *options(data, tmp_path / "run"), "--scheduler", "slurm", "--workers", "2")
    assert code == 0, text
    assert set(read_results(tmp_path / "run").status) == {"ok"}
    assert len(slurm.read_text().split()) == 2
    last = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["how"]) == ("end", "finished")


def test_what_slurm_lacks_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="no sbatch here"), connect(Resources(1, SLURM)):
        pass


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_named(data: Path, tmp_path: Path, dlfbench: Cli) -> None:
    code, text = dlfbench("run", *options(data, tmp_path / "run"), "--scheduler", "tcp://127.0.0.1:9")
    assert code == 2
    assert "tcp://127.0.0.1:9" in text
    assert "dask scheduler" in text


def test_the_local_worker_listens_on_loopback_only() -> None:
    with connect(Resources(1)):
        listening = [c.laddr.ip for c in psutil.Process().net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::1"}


def test_a_run_without_workers_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        connect(Resources(1, cluster.scheduler_address)) as workers,
    ):
        workers._next_word_s = 0.0  # at once
        workers.look()
    assert f"{cluster.scheduler_address}: no worker for 0 s; start some with: dask worker" in caplog.text


@pytest.mark.slow
def test_jobs_of_slurm_that_end_are_replaced(slurm: Path) -> None:
    with dask.config.set(JOB | {"jobqueue.slurm.cores": 8}), connect(Resources(1, SLURM, gpus=1)) as workers:
        workers.client.wait_for_workers(1, timeout=120)
        declared = [worker["resources"]["GPU"] for worker in workers.client.scheduler_info()["workers"].values()]
        assert declared == [1], "one card for a job, however many cores it has"
        (job,) = slurm.read_text().split()
        for process in [*psutil.Process(int(job)).children(recursive=True), psutil.Process(int(job))]:
            process.kill()
        deadline = time.monotonic() + 120
        while len(slurm.read_text().split()) < 2 and time.monotonic() < deadline:
            workers.look()
            time.sleep(1)
    assert len(slurm.read_text().split()) == 2
