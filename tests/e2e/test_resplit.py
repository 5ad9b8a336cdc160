"""A run is never split anew in its own folder, whatever has become of the columns of its data."""

import json
import shutil
from pathlib import Path

import pytest

from builders import write_dataset
from dlfbench.engine.execute import Watcher
from dlfbench.engine.work import Options, prepare, run_study
from dlfbench.study.tables import make_study

FLAGS = ["--folds", "2", "--atlases", "2", "--methods", "mv", "--workers", "1"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A folder with data and a run of them that is done."""
    folder = tmp_path_factory.mktemp("done")
    data = write_dataset(folder / "tiny", people=6, sides="L", groups=("a", "b"))
    study = make_study(
        {"data": {"dataset": str(data)}, "protocol": {"folds": 2, "atlases": 2}, "methods": {"mv": {}}, "name": "tiny"}
    )
    work = prepare(study, Options(out=folder / "run", cache=shared_cache, workers=1))
    run_study(work, Watcher(lambda task, outcome: None, lambda event: None))
    return folder


@pytest.fixture
def data(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done / "tiny", tmp_path / "tiny"))


@pytest.fixture
def command(done: Path, data: Path, tmp_path: Path) -> list[str | Path]:
    shutil.copytree(done / "run", tmp_path / "run")
    return ["run", "--data", data, *FLAGS, "--out", tmp_path / "run"]


def correct(data: Path, old: str, new: str) -> None:
    table = data / "cases.tsv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new))


def content(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize("more", [[], ["--collect"], ["--methods", "mv,svwv"], ["--seeds", "2"]])
def test_a_corrected_group_that_moves_cases_is_refused(more, command, data, tmp_path, dlfbench):
    before = content(tmp_path / "run")
    correct(data, "person03\tL\tb", "person03\tL\ta")
    code, printed = dlfbench(*command, *more)
    assert code == 2
    assert "holds the run of another study (folds differ: p0" in printed
    assert "give another --out" in printed
    assert content(tmp_path / "run") == before
    correct(data, "person03\tL\ta", "person03\tL\tb")
    code, printed = dlfbench(*command, "--dry-run")
    assert code == 0, printed


def test_a_corrected_person_is_refused_though_every_fold_stays(command, data, tmp_path, dlfbench):
    before = content(tmp_path / "run")
    held_out = json.loads((tmp_path / "run" / "splits.json").read_text())["folds"][0]["tests"]["in-domain"]
    case = held_out[-1]
    person = f"person{case[1:3]}"
    correct(data, person, f"{person}b")
    code, printed = dlfbench(*command, "--collect")
    assert code == 2
    assert f"case {case}: person '{person}' there, '{person}b' now" in printed
    assert content(tmp_path / "run") == before


def test_a_change_that_moves_nobody_goes_on(command, data, dlfbench):
    correct(data, "\tb\n", "\tc\n")
    code, printed = dlfbench(*command, "--dry-run")
    assert code == 0, printed


def test_damaged_splits_are_written_anew(command, tmp_path, dlfbench):
    splits = tmp_path / "run" / "splits.json"
    before = splits.read_text()
    splits.write_text("{")
    code, printed = dlfbench(*command)
    assert code == 0, printed
    assert splits.read_text() == before
