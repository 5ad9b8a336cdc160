"""Learning curves: nested draws, points, and where methods cross."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dlfbench.datasets.cases import Case
from dlfbench.errors import InputError
from dlfbench.records.results import CANDIDATE_COLUMNS, CANDIDATES, CURVE, CURVE_COLUMNS
from dlfbench.report import write_report
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.curves import crossings, points, read_curves
from dlfbench.report.basis.trainings import Trained
from dlfbench.report.sections.curves import crossings_table
from dlfbench.study.protocol import Protocol
from dlfbench.study.splits import make_folds, trained_again, with_fewer
from dlfbench.study.tables import make_study
from synthetic_run import make_results, make_run

pytestmark = pytest.mark.figures

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
    assert all(one.tests == fold.tests and set(one.train) <= set(fold.train) for one in fewer)
    for draw in range(3):
        two, four, atlases = (one for one in fewer if one.draw == draw)
        assert (len(two.train), len(four.train), atlases.atlases) == (2, 4, 2)
        assert two.train == four.train[:2]
        assert set(atlases.train) == set(fold.train)
    assert len({one.train for one in fewer if len(one.train) == 4}) == 3
    assert fewer[0].train == fold.train[:2]


def test_fewer_atlases_are_fewer_than_match():
    cases = [Case(f"p{n}{s}", (Path("x"),), Path("y"), {"person": f"p{n}", "side": s}) for n in range(12) for s in "LR"]
    asked = Protocol.model_validate({"hold_out": 0.3, "match": ["side"], "atlases": [2, 7, 8, 12, 16]})
    (fold,) = make_folds(cases, asked, 0)
    assert len(fold.train) == 16  # 8 of a side
    assert [one.atlases for one in with_fewer((fold,), cases, asked, 0)] == [2, 7]


def test_a_curve_of_atlases_ends_at_what_targets_have(run, tmp_path):
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    results = pd.read_parquet(folder / "results.parquet")
    rows = results[results["kind"] == "method"].assign(fold=1, split=0, train_cases=20, atlases=3, draw=0)
    CURVE.write(rows.reindex(columns=list(CURVE_COLUMNS)), folder)
    about = results[results["kind"] == "method"].drop_duplicates(["fold", "test_set", "case", "label"])
    alone = pd.concat([about.assign(atlas=f"a{n}") for n in range(10)])
    CANDIDATES.write(alone.reindex(columns=list(CANDIDATE_COLUMNS)), folder)
    curves = read_curves(read_basis(folder).record, "in-domain", "atlases")
    assert {method: sorted(curve) for method, curve in curves.items()} == {"mv": [3, 10], "jlf": [3, 10]}


def test_another_number_draw_or_training_leaves_the_index_of_the_others():
    cases = [Case(f"p{n}", (Path("x"),), Path("y"), {"person": f"p{n}"}) for n in range(12)]

    def indices(**more):
        settings = {"folds": 3, "train_cases": 8, "fewer_train_cases": (2, 4), "fewer_atlases": (2,), **more}
        asked = Protocol.model_validate(settings)
        folds = trained_again(make_folds(cases, asked, 0), asked.seeds)
        fewer = with_fewer(folds, cases, asked, 0)
        found = {one.index: (one.train, one.atlases, one.tests) for one in fewer}
        assert len({*found, *(fold.index for fold in folds)}) == len(fewer) + len(folds)
        return found

    before = indices()
    assert len(before) == 9
    further = (
        {"fewer_train_cases": (1, 2, 4, 5)},
        {"fewer_atlases": (1, 2)},
        {"draws": 2},
        {"seeds": 3},
    )
    for more in further:
        assert before.items() <= indices(**more).items(), more


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


def test_no_interval_of_a_point_reaches_beyond_the_best_dice(run):
    record = read_basis(run).record
    curve = {"mv": {5: Trained({0: np.array([[0.999, 0.9]])})}}
    (row,) = points(record, "in-domain", "train_cases", curve).to_dict("records")
    assert (row["low"] < 0.9, row["high"]) == (True, 1)


def test_the_report_shows_curves(run, tmp_path):
    page = write_report(run, out=tmp_path / "report").read_text()
    assert "Learning curves" in page
    assert "Where methods cross" in page
    assert {"learning_curves.csv", "crossings.csv"} <= {p.name for p in (tmp_path / "report" / "tables").iterdir()}
    assert np.isfinite(pd.read_csv(tmp_path / "report/tables/crossings.csv")["number"]).all()


def crossed(gaps_of, *, order=("a", "b")):
    """Crossing of two made-up methods, a ahead of b by `gaps_of[number]` (person,)."""
    level = np.linspace(0.7, 0.9, len(gaps_of[5]))
    made = {
        "a": {number: Trained({0: (level + gap)[None]}) for number, gap in gaps_of.items()},
        "b": {number: Trained({0: level[None]}) for number in gaps_of},
    }
    return crossings(SimpleNamespace(seed=0), "t", "atlases", {name: made[name] for name in order}).iloc[0]


def test_ahead_from_the_first_number_on_in_a_resample_is_a_crossing_below_it():
    noise = np.random.default_rng(0).normal(0, 0.006, 20)
    found = crossed({5: noise - noise.mean() + 0.0002, 10: np.full(20, -0.02), 20: np.full(20, -0.03)})
    assert (found["fewer"], found["more"]) == ("a", "b")
    assert found["low"] == -np.inf
    assert 5 < found["number"] < found["high"] < 10
    assert 0.4 < found["share"] < 0.7
    (row,) = crossings_table(pd.DataFrame([found])).rows
    assert str(row[5]).startswith("below what was tried to ")


def test_never_ahead_in_a_resample_is_beyond_what_was_tried():
    found = crossed({5: np.full(20, 0.02), 10: np.full(20, 0.01)})
    assert (found["low"], found["high"], found["share"]) == (np.inf, np.inf, 0)
    (row,) = crossings_table(pd.DataFrame([found])).rows
    assert str(row[5]) == "beyond what was tried"


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_of_two_equal_at_the_first_number_that_one_is_ahead_which_is_so_next(order):
    found = crossed({1: np.zeros(20), 5: np.full(20, 0.01), 10: np.full(20, 0.02)}, order=order)
    assert (found["fewer"], found["more"], found["share"]) == ("a", "b", 0)
    back = crossed({1: np.zeros(20), 5: np.full(20, 0.01), 25: np.full(20, -0.01)}, order=order)
    assert (back["fewer"], back["number"]) == ("a", pytest.approx(5 * np.sqrt(5)))
