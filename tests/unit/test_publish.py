"""What is published of runs: read again it says the same, it can be merged with a run, and it names no path."""

import json
import shutil
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import tomli_w

from benchmarks.publish import make_again, publish, with_pictures_of, without_paths
from dlfbench.records.described_study import DescribedStudy
from dlfbench.records.record import read_record
from dlfbench.report.basis.account import registers
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.trainings import trained_methods
from synthetic_run import make_results, make_run


def results_of(*methods: str) -> pd.DataFrame:
    results = make_results(persons=3, methods={"mv": 0.8, "dlf": 0.9, "mine": 0.85})
    return results[results["method"].isin(methods) | (results["kind"] == "bound")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose files name folders of this machine, with training curves."""
    tmp_path = tmp_path_factory.mktemp("somebody")
    made = make_run(tmp_path / "here" / "run", results_of("mv", "dlf"))
    study = made / "study.toml"
    use = f'[registration]\nuse = "{tmp_path}/mine.py:Mine"\n'
    study.write_text(study.read_text().replace("nowhere", str(tmp_path / "images")) + use)
    case = {"images": [str(tmp_path / "a.nii.gz")], "reference": str(tmp_path / "b.nii.gz"), "columns": {"age": "7"}}
    (made / "cases.json").write_text(json.dumps({"dataset": "Hippocampus", "cases": {"in-domain-00L": case}}))
    fit = made / "tasks" / "fit" / "k"
    fit.mkdir(parents=True)
    fit.with_suffix(".json").write_text(
        json.dumps({"key": "k", "kind": "fit", "status": "ok", "names": {"method": "dlf"}})
    )
    (fit / "curves.csv").write_text("step,loss\n1,0.5\n2,0.4\n")
    (fit / "tried.csv").write_text("settings,dice\nas it is,0.5\n")
    (fit / "model.pt").write_bytes(b"large")
    return made


@pytest.fixture(scope="module")
def published(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "out"
    publish([run], out, images=True)
    return out


def test_what_is_published_can_be_read_as_a_run(run: Path, published: Path) -> None:
    again, before = read_basis(published), read_basis(run)
    assert again.comparisons.equals(before.comparisons)
    assert again.costs.equals(before.costs)
    assert again.record.folds == before.record.folds
    assert again.record.case_column("in-domain-00L", "age") == "7"


def test_a_page_is_made_again_of_what_the_folder_holds(published: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(published, tmp_path / "published"))
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "index.html"}
    assert "median_s" in (folder / "tables" / "costs.csv").read_text()
    for name in ("timings.parquet", "index.html"):
        (folder / name).unlink()
    make_again(folder)
    page = (folder / "index.html").read_text()
    assert 'id="cost"' in page
    again = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "index.html"}
    assert again == {path: data for path, data in kept.items() if path.name != "timings.parquet"}


def test_a_page_made_again_keeps_its_pictures_of_cases() -> None:
    nav = '<a href="#cases">Cases</a> <a href="#more-cases" class="folded">More</a> <a href="#cost">Cost</a>'
    cases = '<section id="cases">worst <img src="data:image/webp;1"></section>'
    more = '<section id="more-cases">best <img src="data:image/webp;2"></section>'
    cost = '<section id="cost">old</section>'
    page = '<a href="#cases">Cases</a> <a href="#cost">Cost</a><section id="cases">a table</section>' + cost
    found = with_pictures_of(nav + cases + more + cost, page.replace("old", "new"))
    assert found.count(cases) == found.count(more) == found.count('<a href="#more-cases" class="folded">More</a>') == 1
    assert found.index(cases) < found.index(more) < found.index('<section id="cost">new</section>')
    assert with_pictures_of("", page) == page


def test_curves_of_a_method_that_a_run_had_before_stay_out(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "run"))
    fit = Path(shutil.copytree(other / "tasks" / "fit" / "k", other / "tasks" / "fit" / "l"))
    text = fit.with_name("k.json").read_text()
    fit.with_suffix(".json").write_text(text.replace("dlf", "gone").replace('"k"', '"l"'))
    publish([other], tmp_path / "out", images=False)
    for name in ("curves.csv", "tried.csv"):
        assert [path.parent.name for path in (tmp_path / "out").rglob(name)] == ["k"]


def test_nothing_published_says_where_files_are(run: Path, published: Path) -> None:
    here = str(run.parents[1]).encode()
    files = [path for path in published.rglob("*") if path.is_file()]
    assert here in b"".join(path.read_bytes() for path in run.rglob("*") if path.is_file())
    assert not [path for path in files if here in path.read_bytes()]
    assert not [path for path in files if path.name == "model.pt"]
    study = (published / "study.toml").read_text()
    assert 'dataset = "images"' in study
    assert 'use = "mine.py:Mine"' in study


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("/home/me/my data", "my data"),
        ("bids:/home/me/my data", "bids:my data"),
        ("/home/me/my code/mine.py:Mine", "mine.py:Mine"),
        ("nnunet[model=/home/me/MODEL,epochs=3]", "nnunet[model=MODEL,epochs=3]"),
        ("/opt/tool/run --in {images} --out {output}/x.nii.gz", "run --in {images} --out {output}/x.nii.gz"),
        ("python /home/me/train.py {data}", "python train.py {data}"),
        ("group=float-1e3", "group=float-1e3"),
        ("mv / jlf, see https://example.org/a/b", "mv / jlf, see https://example.org/a/b"),
    ],
)
def test_a_study_names_files_without_their_folders(text: str, named: str) -> None:
    tables = {"methods": {"mine": {"use": text, "seeds": [1, 2]}}}
    assert DescribedStudy(tables).without_folders().methods == {"mine": {"use": named, "seeds": [1, 2]}}


def test_what_is_known_of_people_stays_out_where_it_must(run: Path) -> None:
    shown, kept = (without_paths(read_record(run), columns=columns) for columns in (True, False))
    assert [record.case_column("in-domain-00L", "age") for record in (shown, kept)] == ["7", ""]


def test_a_run_is_put_beside_what_is_published(published: Path, tmp_path: Path) -> None:
    shutil.copytree(published, tmp_path / "out")
    mine = make_run(tmp_path / "mine", results_of("mine"))
    both = read_basis(mine, tmp_path / "out")
    assert set(both.methods) == {"mine", "mv", "dlf"}
    publish([mine, tmp_path / "out"], tmp_path / "out", images=False)  # in place
    assert set(read_basis(tmp_path / "out").methods) == {"mine", "mv", "dlf"}
    assert len(list((tmp_path / "out" / "figures").glob("training_dlf.svg"))) == 1


def test_a_report_runs_no_code_that_a_run_names(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", results_of("mv", "dlf"))
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef mine(target, atlases): ...\n")
    study = tomllib.loads((made / "study.toml").read_text())
    study["methods"] = {"mv": {"use": f"{tmp_path}/mine.py:mine"}, "dlf": {"use": f"{tmp_path}/mine.py:mine"}}
    (made / "study.toml").write_text(tomli_w.dumps(study))
    (made / "environment.json").unlink(missing_ok=True)
    (made / "timings.parquet").unlink()
    record = read_record(made)
    assert registers(record, "mv") is None
    assert trained_methods(record) == {"mv", "dlf"}
    assert not (tmp_path / "ran").exists()
