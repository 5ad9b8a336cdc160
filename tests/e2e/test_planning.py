"""`dlfbench plan`, `dlfbench meta`, and what a run keeps of its declared analysis."""

import re
from pathlib import Path

import pytest

import dlfbench as public
from builders import write_dataset
from dlfbench.errors import InputError
from dlfbench.records.declared import read_declarations
from synthetic_run import fail, make_results, make_run


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


@pytest.mark.parametrize("flag", ["--margin", "--detect"])
def test_plan_wants_nothing_below_zero(flag, dlfbench, runs):
    code, printed = dlfbench("plan", runs[0], "jlf", "mv", flag, "-0.5")
    assert (code, flag in printed) == (2, True)


def test_meta_pools_every_test_set_of_every_run(dlfbench, runs):
    code, printed = dlfbench("meta", *runs, "--compare", "jlf,mv")
    assert code == 0
    assert printed.count("in-domain") == 4
    assert "mean rank by Dice over 4 of 4 studies: jlf 1.00" in printed
    said = "people of the same names in two studies; if they are the same, they count twice: run0: in-domain and run1"
    assert f"{said}: in-domain: 12;" in printed


def test_meta_names_studies_that_it_cannot_weigh(dlfbench, runs, tmp_path):
    one = make_results(persons=1, seed=5)
    printed = dlfbench("meta", *runs, make_run(tmp_path / "alone", one), "--compare", "jlf,mv")[1]
    assert "left out, with fewer than two people or the same difference for all: alone: in-domain, alone: uint8" in (
        " ".join(printed.split())
    )


def test_meta_keeps_a_metrics_own_direction(dlfbench, runs):
    printed = dlfbench("meta", *runs, "--compare", "jlf,mv", "--metric", "hd95_mm")[1]
    assert re.search(r"\ball +-0\.\d", printed)  # jlf is nearer


def test_meta_ranks_no_method_that_failed(dlfbench, runs, tmp_path):
    failed = fail(make_results(seed=2), "jlf", "uint8-00L")
    printed = dlfbench("meta", runs[0], make_run(tmp_path / "run2", failed), "--compare", "jlf,mv")[1]
    assert "mean rank by Dice over 3 of 4 studies" in printed


def test_meta_refuses_a_run_that_is_given_twice(dlfbench, runs):
    assert "expected different runs" in dlfbench("meta", runs[0], runs[0], "--compare", "jlf,mv")[1]


def test_meta_wants_two_methods(dlfbench, runs):
    assert "expected two methods such as dlf,jlf, found 'jlf'" in dlfbench("meta", *runs, "--compare", "jlf")[1]


def test_meta_names_methods_that_no_run_has(dlfbench, runs):
    code, printed = dlfbench("meta", *runs, "--compare", "mv,jlff")
    assert code == 2
    assert "no run has a method 'jlff'; there are: run0: mv, svwv, jlf; run1: mv, svwv, jlf" in printed
    assert "no run has a method 'x' or 'y'" in dlfbench("meta", *runs, "--compare", "x,y")[1]


def test_meta_says_where_no_run_has_both_methods(dlfbench, tmp_path):
    results = make_results(persons=4)
    parts = [make_run(tmp_path / name, results[results["method"] == name]) for name in ("mv", "jlf")]
    assert "no run has both 'mv' and 'jlf'" in dlfbench("meta", *parts, "--compare", "mv,jlf")[1]


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
