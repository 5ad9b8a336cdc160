"""The ways in which a stranger's method comes into a run: a file, a study file, a script."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dlfbench as public
from builders import write_dataset
from dlfbench import plugins
from dlfbench.engine.work import Options, Work, describe, prepare
from dlfbench.errors import InputError
from dlfbench.records.description import write_description
from dlfbench.records.folder import RunFolder
from dlfbench.records.results import read_results
from dlfbench.study.tables import make_study

Cli = Callable[..., tuple[int, str]]

METHOD = """
from dataclasses import dataclass
from dlfbench import FusionMethod

@dataclass(frozen=True)
class Only(FusionMethod):
    \"\"\"One atlas.\"\"\"

    which: int = 0

    def fuse(self, target, atlases):
        return atlases.labels[self.which]
"""

SCRIPT = """
import sys
import dlfbench
DATA, OUT, CACHE = sys.argv[1:]
WHICH = 0
{method}

def second(target, atlases, *, which: int = 1):
    return atlases.labels[which]

study = {{"data": {{"dataset": DATA}}, "protocol": {{"hold_out": 0.3}}, "methods": {{"mv": {{}}}}}}
run = dlfbench.run(study, methods={{"mine": Only(which=1), "function": second}}, out=OUT, cache=CACHE, report=False)
assert run.folder.name == "run", run.folder
print(run.results[run.results.kind == "method"].groupby("method").dice.mean().to_dict())
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=4, sides="L")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "one.py"
    path.write_text(METHOD)
    return path


def dice(folder: Path) -> dict[str, float]:
    results = read_results(folder)
    return results[results.kind == "method"].groupby("method").dice.mean().to_dict()


def study(data: Path, **methods: Any) -> dict[str, Any]:
    return {"data": {"dataset": str(data)}, "protocol": {"hold_out": 0.3}, "methods": methods}


def test_a_file_on_the_command_line_and_in_a_study_file(
    file: Path, data: Path, tmp_path: Path, dlfbench: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    methods = "./one.py:Only,./one.py:Only[which=1],mv"
    code, text = dlfbench("run", "--data", data, "--hold-out", "0.3", "--methods", methods, "--out", "run")
    assert code == 0, text
    found = dice(tmp_path / "run")
    assert set(found) == {"Only", "Only[which=1]", "mv"}
    assert found["Only"] != found["Only[which=1]"]
    (tmp_path / "sub").mkdir()
    tables = f'[data]\ndataset = "{data}"\n[protocol]\nhold_out = 0.3\n'
    tables += '[methods.again]\nuse = "../one.py:Only"\nwhich = 1\n'
    (tmp_path / "sub" / "s.toml").write_text(tables)
    public.run("sub/s.toml", out="run2", report=False)
    assert dice(tmp_path / "run2") == {"again": found["Only[which=1]"]}


def test_a_changed_file_is_another_method_and_runs_again(
    file: Path, data: Path, tmp_path: Path, shared_cache: Path
) -> None:
    def left() -> set[str]:
        tables = make_study(study(data, mine={"use": f"{file}:Only"}))
        return {task.kind for task in prepare(tables, Options(out=tmp_path / "run", cache=shared_cache)).todo.values()}

    public.run(study(data, mine={"use": f"{file}:Only"}), out=tmp_path / "run", cache=shared_cache, report=False)
    assert left() == set()
    file.write_text(METHOD.replace("self.which]", "self.which + 1]"))
    assert left() == {"segmentation", "score"}


REGISTRATION = """
from dataclasses import dataclass
import numpy as np
from dlfbench.registration.interface import WarpedAtlas

@dataclass(frozen=True)
class AsItIs:
    def version(self):
        return "1"

    def warp(self, target, atlas, *, scratch, threads):
        return WarpedAtlas(atlas.images.astype(np.float32), atlas.labels)
"""


def test_a_project_folder_that_moves_goes_on_with_its_run(
    file: Path, data: Path, tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ready(folder: Path, out: Path | None = None) -> Work:
        tables = study(data, mine={"use": f"{folder}/one.py:Only"})
        tables["registration"] = {"use": f"{folder}/reg.py:AsItIs"}
        monkeypatch.chdir(folder)
        return prepare(make_study(tables), Options(out=out, cache=shared_cache))

    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    file.rename(here / "one.py")
    (here / "reg.py").write_text(REGISTRATION)
    work = ready(here)
    write_description(work.place.folder, describe(work))
    here.rename(there)
    root = work.place.run.relative_to(here)
    assert ready(there).place.run == there / root
    assert ready(there, there / root).todo.keys() == work.todo.keys()


def test_a_default_folder_of_an_earlier_build_is_found(
    data: Path, tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reg.py").write_text(REGISTRATION)
    monkeypatch.chdir(tmp_path)
    tables = make_study({**study(data, mv={}), "registration": {"use": f"{tmp_path}/reg.py:AsItIs"}})
    work = prepare(tables, Options(cache=shared_cache))
    identity = work.plan.identity.model_copy(update={"registration": work.plan.study.registration})
    earlier = work.place.run.with_name(f"study-{identity.digest[:8]}")
    assert earlier != work.place.run
    write_description(RunFolder(earlier), describe(work))
    assert prepare(tables, Options(cache=shared_cache)).place.run == earlier


def test_a_class_and_a_function_of_a_script(
    data: Path, tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(method=METHOD))
    command = [sys.executable, script, data, tmp_path / "run", shared_cache]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = dice(tmp_path / "run")
    assert found["mine"] == found["function"]
    assert str(found) in done.stdout
    monkeypatch.setattr(plugins, "_given", {})  # whatever other tests gave
    with pytest.raises(InputError, match=r"method 'python:mine' was defined in a script .* run that again"):
        public.run(study(data, mv={}), out=tmp_path / "run", cache=shared_cache)


def test_what_cannot_reach_a_worker_is_named_before_anything_runs(data: Path, tmp_path: Path) -> None:
    import threading

    lock = threading.Lock()

    def locked(target: object, atlases: object) -> object:
        return lock

    tables = {"data": {"dataset": str(data)}, "methods": {}}
    with pytest.raises(InputError, match="method 'mine': cannot be sent to a worker process"):
        public.run(tables, methods={"mine": locked}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_parameter_that_no_study_could_hold_is_named(data: Path) -> None:
    from dlfbench.segmenters.registry import method_class

    def fuse(target: object, atlases: object, *, table: object = None) -> object:
        return None

    with pytest.raises(InputError, match="method 'mine': parameter 'table': expected a number.* found DataFrame"):
        public.run(methods={"mine": method_class(fuse, "fuse")(table=pd.DataFrame())})
