"""Learning curves: nested draws, points, and where methods cross."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dlfbench.datasets.cases import Case
from dlfbench.errors import InputError
from dlfbench.records.results import CURVE, CURVE_COLUMNS
from dlfbench.report import write_report
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.curves import crossings, points, read_curves
from dlfbench.study.protocol import Protocol
from dlfbench.study.splits import make_folds, with_fewer
from dlfbench.study.tables import make_study
from synthetic_run import make_results, make_run

LOSS = {"mv": {5: 0.02, 10: 0.01}, "jlf": {5: 0.06, 10: 0.01}}
"""What each method has less with so few cases; of the results jlf has 0.02 more than mv."""


def test_several_numbers_are_the_largest_and_fewer():
    made = Protocol.model_validate({"folds": 2, "train_cases": [20, 5, 10], "atlases": [3, 8]})
    assert (made.train_cases, made.fewer_train_cases) == (20, (5, 10))
    assert (made.atlases, made.fewer_atlases) == (8, (3,))
    assert Protocol.model_validate(made.model_dump()) == made
    with pytest.raises(InputError, match="train_cases"):
        make_study({"protocol": {"train_cases": ["few"]}})


def test_fewer_cases_are_nested_and_tested_on_the_same():
    cases = [Case(f"p{n}", (Path("x"),), Path("y"), {"person": f"p{n}"}) for n in range(12)]
    asked = Protocol.model_validate({"hold_out": 0.3, "train_cases": [2, 4, 8], "atlases": [2, 3], "draws": 3})
    (fold,) = make_folds(cases, asked, 0)
    fewer = with_fewer((fold,), cases, asked, 0)
    assert [one.index for one in fewer] == list(range(1, 10))
    assert all(one.tests == fold.tests and set(one.train) <= set(fold.train) for one in fewer)
    for draw in range(3):
        two, four, atlases = (one for one in fewer if one.draw == draw)
        assert (len(two.train), len(four.train), atlases.atlases) == (2, 4, 2)
        assert two.train == four.train[:2]
        assert set(atlases.train) == set(fold.train)
    assert len({one.train for one in fewer if len(one.train) == 4}) == 3
    assert fewer[0].train == fold.train[:2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    results = make_results(persons=6, methods={"mv": 0.86, "jlf": 0.88})
    folder = make_run(tmp_path_factory.mktemp("curves"), results)
    rows = results[results["kind"] == "method"]
    tables = []
    for number in (5, 10):
        for draw in (0, 1):
            lost = rows["method"].map({method: loss[number] for method, loss in LOSS.items()}) + 0.001 * draw
            about = {"fold": 1 + draw, "split": 0, "train_cases": number, "atlases": None, "draw": draw}
            tables.append(rows.assign(dice=rows["dice"] - lost, **about))
    CURVE.write(pd.concat(tables, ignore_index=True).reindex(columns=list(CURVE_COLUMNS)), folder)
    splits = folder / "splits.json"
    splits.write_text(
        splits.read_text().replace('["atlas-1", "atlas-2"]', str([f"a{n}" for n in range(20)]).replace("'", '"'))
    )
    return folder


def test_points_and_crossings_by_hand(run):
    record = read_basis(run).record
    curves = read_curves(record, "in-domain", "train_cases")
    found = points(record, "in-domain", "train_cases", curves).set_index(["method", "number"])
    whole = {method: found.loc[(method, 20), "dice"] for method in LOSS}
    for method, losses in LOSS.items():
        for number, loss in losses.items():
            assert found.loc[(method, number), "dice"] == pytest.approx(whole[method] - loss - 0.0005)
            assert found.loc[(method, number), "draws"] == 2
    gap = whole["jlf"] - whole["mv"]
    (row,) = crossings(record, "in-domain", "train_cases", curves).to_dict("records")
    assert (row["fewer"], row["more"]) == ("mv", "jlf")
    expected = 5 * 2 ** ((0.04 - gap) / 0.04)  # the gap is gap - 0.04 at 5 cases, gap at 10
    assert row["number"] == pytest.approx(expected)
    assert row["low"] <= row["number"] <= row["high"]
    assert points(record, "in-domain", "atlases", read_curves(record, "in-domain", "atlases")).empty


def test_the_report_shows_curves(run, tmp_path):
    page = write_report(run, out=tmp_path / "report").read_text()
    assert "Learning curves" in page
    assert "Where methods cross" in page
    assert {"learning_curves.csv", "crossings.csv"} <= {p.name for p in (tmp_path / "report" / "tables").iterdir()}
    assert np.isfinite(pd.read_csv(tmp_path / "report/tables/crossings.csv")["number"]).all()
