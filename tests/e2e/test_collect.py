"""What is there of a run can be tabulated at any time, and a run that has no tables yet says how."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from builders import write_dataset
from dlfbench.engine.execute import Watcher
from dlfbench.engine.work import Options, prepare, run_study
from dlfbench.records.results import read_results
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
        of_case = {
            json.loads(path.read_text())["names"]["case"]: path for path in (run / "tasks" / kind).glob("*.json")
        }
        of_case[max(of_case)].unlink()
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


def test_a_run_without_tables_says_what_to_type_and_that_works(killed: Path, dlfbench: Cli) -> None:
    code, printed = dlfbench("report", killed)
    assert code == 2
    assert f"error: {killed}: a run without tables: it is under way, or was killed; 3 label maps are scored" in printed
    (command,) = re.findall(r"dlfbench (run .*--collect)\n", printed)
    assert dlfbench(*command.split())[0] == 0
    assert dlfbench("report", killed)[0] == 0


def test_a_start_that_was_killed_while_it_described_the_run_can_be_made_again(done: Path, tmp_path: Path) -> None:
    study = make_study({"data": {"dataset": str(done / "tiny")}, "protocol": {"folds": 2}, "methods": {"mv": {}}})
    out = tmp_path / "run"
    out.mkdir()
    (out / ".study.toml-01234567.part").write_text("[da")
    assert prepare(study, Options(out=out)).todo
    shutil.copy(done / "run" / "study.toml", out)
    assert prepare(study, Options(out=out)).todo


def test_a_run_under_way_is_tabulated_and_else_left_alone(killed: Path, done: Path, dlfbench: Cli) -> None:
    command = ["run", "--data", done / "tiny", *FLAGS, "--out", killed]
    before = {path: path.read_bytes() for path in killed.rglob("*") if path.is_file()}
    with FileLock(killed / ".lock"):  # as by the process that is running
        code, printed = dlfbench(*command, "--collect")
        assert code == 0, printed
        assert dlfbench("report", killed)[0] == 0
        code, printed = dlfbench(*command)
        assert code == 2
        assert "another dlfbench is running in this folder" in printed
    after = {path: path.read_bytes() for path in before if path.is_file()}
    assert after == before
    statuses = read_results(killed).query("method == 'mv'").groupby("case")["status"].first()
    assert sorted(statuses) == ["missing", "ok", "ok", "ok"]


def test_a_start_that_makes_results_anew_leaves_none_of_before(done: Path, tmp_path: Path, shared_cache: Path) -> None:
    run = Path(shutil.copytree(done / "run", tmp_path / "run"))
    first = min((run / "tasks" / "segmentation").glob("*.json"))
    first.unlink()  # as if its code had changed
    data = {"dataset": str(done / "tiny")}
    study = make_study({"data": data, "protocol": {"folds": 2}, "methods": {"mv": {}}})
    work = prepare(study, Options(out=run, cache=shared_cache, workers=1))
    assert work.to_run
    seen: list[list[str]] = []

    def look(task: object, outcome: object) -> None:
        seen.append(read_results(run).query("kind == 'method'").drop_duplicates("case")["status"].tolist())

    run_study(work, Watcher(look, lambda event: None))
    assert sorted(seen[0]) == ["missing", "ok", "ok", "ok"]  # whoever kills it now finds no result that is none
    assert set(read_results(run)["status"]) == {"ok"}
