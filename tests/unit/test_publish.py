"""What is published of runs: read again it says the same, it can be merged with a run, and it names no path."""

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.publish import publish
from dlfbench.report.basis.basis import read_basis
from synthetic_run import make_results, make_run


def results_of(*methods: str) -> pd.DataFrame:
    results = make_results(persons=3, methods={"mv": 0.8, "dlf": 0.9, "mine": 0.85})
    return results[results["method"].isin(methods) | (results["kind"] == "bound")]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose files name folders of this machine, with training curves."""
    made = make_run(tmp_path / "here" / "run", results_of("mv", "dlf"))
    study = made / "study.toml"
    study.write_text(study.read_text().replace("nowhere", str(tmp_path / "images")))
    case = {"images": [str(tmp_path / "a.nii.gz")], "reference": str(tmp_path / "b.nii.gz"), "columns": {"age": "7"}}
    (made / "cases.json").write_text(json.dumps({"dataset": "Hippocampus", "cases": {"in-domain-00L": case}}))
    fit = made / "tasks" / "fit" / "k"
    fit.mkdir(parents=True)
    fit.with_suffix(".json").write_text(
        json.dumps({"key": "k", "kind": "fit", "status": "ok", "names": {"method": "dlf"}})
    )
    (fit / "curves.csv").write_text("step,loss\n1,0.5\n2,0.4\n")
    (fit / "model.pt").write_bytes(b"large")
    return made


def test_what_is_published_can_be_read_as_a_run(run: Path, tmp_path: Path) -> None:
    publish([run], tmp_path / "out", images=False)
    again, before = read_basis(tmp_path / "out"), read_basis(run)
    assert again.comparisons.equals(before.comparisons)
    assert again.costs.equals(before.costs)
    assert again.record.folds == before.record.folds
    assert again.record.case_column("in-domain-00L", "age") == "7"
    publish([tmp_path / "out"], tmp_path / "twice", images=False)
    for name in ("results.parquet", "study.toml", "splits.json", "tasks/fit/k/curves.csv"):
        assert (tmp_path / "twice" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_nothing_published_says_where_files_are(run: Path, tmp_path: Path) -> None:
    publish([run], tmp_path / "out", images=True)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [path for path in files if str(tmp_path).encode() in path.read_bytes()]
    assert not [path for path in files if path.name == "model.pt"]
    assert 'dataset = "images"' in (tmp_path / "out" / "study.toml").read_text()


def test_what_is_known_of_people_stays_out_where_it_must(run: Path, tmp_path: Path) -> None:
    publish([run], tmp_path / "out", images=False, columns=False)
    assert json.loads((tmp_path / "out" / "cases.json").read_text())["cases"] == {"in-domain-00L": {}}


def test_a_run_is_put_beside_what_is_published(run: Path, tmp_path: Path) -> None:
    publish([run], tmp_path / "out", images=False)
    mine = make_run(tmp_path / "mine", results_of("mine"))
    both = read_basis(mine, tmp_path / "out")
    assert set(both.methods) == {"mine", "mv", "dlf"}
    publish([mine, tmp_path / "out"], tmp_path / "out", images=False)  # in place
    assert set(read_basis(tmp_path / "out").methods) == {"mine", "mv", "dlf"}
    assert len(list((tmp_path / "out" / "figures").glob("training_dlf.svg"))) == 1
