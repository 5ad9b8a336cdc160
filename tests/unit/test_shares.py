"""Where Dice is lost, by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from dlfbench.records.results import CANDIDATE_COLUMNS, CANDIDATES
from dlfbench.report import write_report
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.shares import atlases_that_miss, judged_atlases, lost, means_of_atlases, single_atlases
from dlfbench.report.sections.shares import SHARES
from dlfbench.report.shown.badges import badges
from synthetic_run import make_results, make_run

LABELS = ("front", "back")


def candidate(case, atlas, dice, label="front"):
    about = {"fold": 0, "test_set": "in-domain", "case": case, "person": case, "atlas": atlas}
    return {**about, "label": 1, "label_name": label, "dice": dice, "hd95_mm": 1.0}


@pytest.fixture(scope="module")
def candidates():
    """Two cases of two atlases each: a is better for the first, b for the second."""
    rows = [candidate("one", "a", 0.9), candidate("one", "b", 0.7)]
    rows += [candidate("two", "a", 0.5), candidate("two", "b", 0.6)]
    return pd.DataFrame(rows, columns=list(CANDIDATE_COLUMNS))


@pytest.fixture(scope="module")
def run(tmp_path_factory, candidates):
    folder = make_run(tmp_path_factory.mktemp("shares"), make_results(persons=4))
    CANDIDATES.write(candidates, folder)
    environment = json.loads((folder / "environment.json").read_text())
    registers = {"mv": ["cases"], "svwv": ["cases", "training"], "jlf": []}  # as if jlf were a network alone
    (folder / "environment.json").write_text(json.dumps({**environment, "registers": registers}))
    return folder


def test_what_is_lost_adds_up_to_what_is_lacking(run):
    scores = read_basis(run).scores[0]
    found = lost(scores, {"mv": True, "jlf": False}).set_index(["method", "label"])
    mv, jlf = found.loc[("mv", "all labels")], found.loc[("jlf", "all labels")]
    assert mv["registration"] + mv["fusion"] == pytest.approx(1 - mv["dice"])
    assert mv["dice"] == pytest.approx(scores.mean("mv"))
    assert mv["registration"] == pytest.approx(1 - scores.mean("oracle_one"))
    assert mv["low"] < mv["fusion"] < mv["high"]
    assert jlf["network"] == pytest.approx(1 - jlf["dice"])
    assert np.isnan(jlf["fusion"])


def test_the_best_atlas_of_folds_is_not_that_of_the_easier_one():
    rows = [
        (case, atlas, 0.6 if case == "c1" else 0.9)
        for case, atlases in {"c1": "ab", "c2": "cd"}.items()
        for atlas in atlases
    ]
    table = pd.DataFrame(rows, columns=["case", "atlas", "dice"]).assign(test_set="t", label_name=LABELS[0])
    (row,) = single_atlases(table, LABELS).to_dict("records")
    assert row["best_atlas"] == pytest.approx(row["best_of_case"]) == pytest.approx(0.75)


def test_single_atlases_by_hand(candidates):
    (row,) = single_atlases(candidates, LABELS).to_dict("records")
    assert (row["atlases"], row["cases"]) == (2, 2)
    assert row["mean"] == pytest.approx((0.8 + 0.55) / 2)
    assert row["sd_atlases"] == pytest.approx((0.2 + 0.1) / np.sqrt(2) / 2)
    assert row["best_atlas"] == pytest.approx(0.7)  # a
    assert row["best_of_case"] == pytest.approx(0.75)
    assert row["worst_of_case"] == pytest.approx(0.6)
    assert list(means_of_atlases(candidates)["atlas"]) == ["b", "a"]


def test_the_report_shows_it_where_there_is_an_oracle(run, tmp_path):
    page = write_report(run, out=tmp_path / "report").read_text()
    assert "Where Dice is lost" in page
    assert {"lost.csv", "single_atlases.csv", "atlases.csv"} <= {p.name for p in (tmp_path / "report/tables").iterdir()}
    results = make_results(persons=4)
    without = make_run(tmp_path / "without", results[results["kind"] == "method"].reset_index(drop=True))
    assert SHARES.make(read_basis(without)) is None


def test_atlases_that_miss_are_told_though_nobody_flagged_them(tmp_path, run, candidates):
    missing = [candidate("two", "c", 0.0), candidate("two", "c", 0.12, "back"), candidate("one", "c", 0.0)]
    seen = candidate("one", "c", 0.3, "back")
    rows = pd.concat([candidates, pd.DataFrame([*missing, seen])], ignore_index=True)
    assert atlases_that_miss(rows)[["case", "atlas"]].to_numpy().tolist() == [["two", "c"]]
    assert atlases_that_miss(rows)["dice"].tolist() == pytest.approx([0.06])
    assert judged_atlases(rows) == 6
    folder = make_run(tmp_path / "run", make_results(persons=4))
    CANDIDATES.write(rows, folder)
    page = write_report(folder).read_text()
    assert "1 of 6 warped atlases miss" in page
    assert "hardly meet the reference (mean Dice below 0.1), in 1 case" in page
    assert len(pd.read_csv(folder / "report" / "tables" / "missing_atlases.csv")) == 1
    assert not [badge for badge in badges(read_basis(run)) if badge.text.endswith("miss")]
