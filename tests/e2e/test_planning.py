"""`dlfbench plan`, `dlfbench meta`, and what a run keeps of its declared analysis."""

from pathlib import Path

import pytest

import dlfbench as public
from builders import write_dataset
from dlfbench.errors import InputError
from dlfbench.records.declared import read_declarations
from synthetic_run import make_results, make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [make_run(folder / f"run{seed}", make_results(seed=seed)) for seed in (0, 1)]


def test_plan_says_how_many_people_are_needed(dlfbench, runs):
    code, printed = dlfbench("plan", runs[0], "jlf", "mv", "--detect", "0.005", "--test-set", "uint8")
    assert code == 0
    assert "12 people of uint8" in printed
    assert "people for 80% power" in printed


def test_plan_names_what_is_not_there(dlfbench, runs):
    assert "no method 'dlf' in these results; there are: mv, svwv, jlf" in dlfbench("plan", runs[0], "dlf", "mv")[1]
    assert "no test set 'x'" in dlfbench("plan", runs[0], "jlf", "mv", "--test-set", "x")[1]
    assert "unknown metric 'dise'" in dlfbench("plan", runs[0], "jlf", "mv", "--metric", "dise")[1]


def test_meta_pools_every_test_set_of_every_run(dlfbench, runs):
    code, printed = dlfbench("meta", *runs, "--compare", "jlf,mv")
    assert code == 0
    assert printed.count("in-domain") == 2
    assert "mean rank by Dice over the 4 studies: jlf 1.00" in printed


def test_meta_wants_two_methods(dlfbench, runs):
    assert "expected two methods such as dlf,jlf, found 'jlf'" in dlfbench("meta", *runs, "--compare", "jlf")[1]


def test_a_run_keeps_when_its_analysis_was_declared_and_how_it_changed(tmp_path, shared_cache):
    data = write_dataset(tmp_path / "data", people=4, sides="L")
    tables = {"data": {"dataset": str(data)}, "protocol": {"hold_out": 0.5}, "methods": {"mv": {}, "staple": {}}}

    def run(*claims: str) -> Path:
        more = {"analysis": {"claims": list(claims)}} if claims else {}
        return public.run({**tables, **more}, out=tmp_path / "run", cache=shared_cache, report=False).folder

    run("staple > mv")
    run("staple > mv")
    folder = run("mv > staple")
    first, second = read_declarations(folder)
    assert first.before_results
    assert not second.before_results
    assert second.tables is not None
    assert second.tables["claims"] == ["mv > staple"]
    with pytest.raises(InputError, match="no test set 'older'"):
        run("staple > mv on older")
