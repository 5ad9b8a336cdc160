"""What is there of a run can be tabulated at any time, and a run that has no tables yet says how."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import write_dataset
from dlfbench.engine.execute import Watcher
from dlfbench.engine.work import Options, prepare, run_study
from dlfbench.study.tables import make_study

Cli = Callable[..., tuple[int, str]]
FLAGS = ["--folds", "2", "--methods", "mv", "--workers", "1"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A folder with data and a run of them that is done."""
    folder = tmp_path_factory.mktemp("done")
    data = write_dataset(folder / "tiny", people=4, sides="L")
    study = make_study({"data": {"dataset": str(data)}, "protocol": {"folds": 2}, "methods": {"mv": {}}})
    work = prepare(study, Options(out=folder / "run", cache=shared_cache, workers=1))
    run_study(work, Watcher(lambda task, outcome: None, lambda event: None))
    return folder


@pytest.fixture
def killed(done: Path, tmp_path: Path) -> Path:
    """The same run as if it had been killed before its last case was segmented."""
    run = Path(shutil.copytree(done / "run", tmp_path / "run"))
    for kind in ("segmentation", "score"):
        min((run / "tasks" / kind).glob("*.json")).unlink()
    for table in (*run.glob("*.parquet"), *run.glob("*.csv")):
        table.unlink()
    return run


def test_collecting_tells_what_is_done_and_runs_nothing(killed: Path, done: Path, dlfbench: Cli) -> None:
    code, printed = dlfbench("run", "--data", done / "tiny", *FLAGS, "--out", killed, "--collect")
    assert code == 0, printed
    assert "not done" in printed
    assert re.search(r"segmentation +4 +3 +1\n", printed)
    assert "tasks in" not in printed
    assert len(list((killed / "tasks" / "segmentation").glob("*.json"))) == 3
    assert (killed / "report" / "index.html").is_file()
