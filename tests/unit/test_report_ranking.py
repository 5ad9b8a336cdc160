"""Ranks, repeated scans, and tables for papers."""

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dlfbench.records.results import write_table
from dlfbench.report.basis.account import times
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.ranking import _worst_tenth, cliques, rank
from dlfbench.report.basis.repeatability import repeatability
from dlfbench.report.sections import metrics
from dlfbench.report.sections.labels import results_table
from dlfbench.report.shown.paper import to_latex, to_markdown
from dlfbench.report.shown.tables import Cell, Table
from synthetic_run import fail, make_results, make_run

pytestmark = pytest.mark.figures


def test_ranks_of_complete_methods(analysis):
    home = analysis.rankings[0]
    assert home.methods == ("mv", "svwv", "jlf")
    assert all(ranks.tolist() == [3, 2, 1] for ranks in home.ranks.values())
    assert home.mean_rank.sum() == pytest.approx(6)
    np.testing.assert_allclose(home.shares.sum(axis=1), 1)
    np.testing.assert_allclose(home.shares.sum(axis=0), 1)


def test_mean_ranks_share_ties(analysis):
    scores = analysis.scores[0]
    values = scores.values["dice"].copy()
    values[:, 1] = values[:, 2]
    tied = rank(replace(scores, values={**scores.values, "dice": values}), ("mv", "svwv", "jlf"))
    assert tied.mean_rank[1] == tied.mean_rank[2]
    assert tied.mean_rank.sum() == pytest.approx(6)


def test_the_friedman_test_is_over_persons(analysis):
    scores = analysis.scores[0]
    by_person = scores.person_means(scores.values["dice"][:, :3, -1])
    assert analysis.rankings[0].friedman_p == pytest.approx(stats.friedmanchisquare(*by_person.T).pvalue)


def test_an_incomplete_method_is_ranked_with_failures_as_zero_only(analysis):
    away = analysis.rankings[1]
    assert away.ranks["mean, failures as 0"].tolist() == [2, 3, 1]
    np.testing.assert_array_equal(away.ranks["mean"], [2, np.nan, 1])
    assert np.isnan(away.mean_rank[1])
    assert np.isnan(away.shares[1]).all()
    assert np.isnan(away.friedman_p)


def pairs(*significant, among="abcd"):
    rows = [(a, b, "a better" if a + b in significant else "open") for a, b in combinations(among, 2)]
    return pd.DataFrame(rows, columns=["a", "b", "verdict"])


def test_cliques_are_the_longest_runs_without_a_difference():
    assert cliques("abcd", pairs()) == [(0, 3)]
    assert cliques("abcd", pairs("ad")) == [(0, 2), (1, 3)]
    assert cliques("abcd", pairs("ac", "ad", "bd")) == [(0, 1), (1, 2), (2, 3)]
    assert cliques("abcd", pairs(*("".join(p) for p in combinations("abcd", 2)))) == []
    # c differs from b, so b and d are not joined over it
    assert cliques("abcd", pairs("bc")) == [(0, 1), (2, 3)]


def test_the_worst_tenth_is_at_least_one_case():
    values = np.array([[3.0, 1.0], [2.0, 5.0]])
    assert _worst_tenth(values, axis=0).tolist() == [2, 1]
    assert _worst_tenth(np.arange(30.0)[:, None], axis=0).tolist() == [1]


def test_two_scans_of_a_person_are_compared_by_volume(tmp_path):
    results = make_results(persons=2, methods={"mv": 0.9}, bounds={}, labels={1: "whole"})
    results = results[results["test_set"] == "uint8"].reset_index(drop=True)
    results["prediction_volume_mm3"] = [90.0, 110.0, 100.0, 100.0]
    results["reference_volume_mm3"] = 100.0
    run = make_run(tmp_path, results)
    cases = {case: {"columns": {"session": f"scan{case[-1]}", "side": "L"}} for case in results["case"]}
    run.joinpath("cases.json").write_text(json.dumps({"cases": cases}))
    basis = read_basis(run)
    found = repeatability(basis.record, basis.scores[0], basis.methods).set_index(["method", "label"])
    # differences of -20% and 0%
    row = found.loc[("mv", "whole")]
    assert (row["pairs"], row["difference_percent"]) == (2, pytest.approx(10))
    assert row["spread_percent"] == pytest.approx(np.std([-20, 0], ddof=1))
    assert (row["bias_mm3"], row["high_mm3"]) == (
        pytest.approx(-10),
        pytest.approx(-10 + 1.96 * np.std([-20, 0], ddof=1)),
    )
    assert (row["dice_pairs"], np.isnan(row["dice"])) == (0, True)
    assert found.loc[("reference", "whole"), "difference_percent"] == 0


def test_a_volume_of_a_reference_that_nobody_knows_is_not_zero(tmp_path):
    results = make_results(persons=3, methods={"mv": 0.9, "jlf": 0.9}, bounds={}, labels={1: "whole", 2: "part"})
    results = results[results["test_set"] == "uint8"].assign(reference_volume_mm3=100.0)
    for method in ("mv", "jlf"):
        results = fail(results, method, "uint8-00L")
    results = fail(results, "jlf", "uint8-02L")
    undrawn = (results["case"] == "uint8-01L") & (results["label"] == 2)
    columns = ["dice", "hd95_mm", "assd_mm", "surface_dice", "volume_error", "reference_volume_mm3"]
    results.loc[undrawn, [*columns, "prediction_volume_mm3"]] = np.nan
    run = make_run(tmp_path, results)
    cases = {case: {"columns": {"session": f"scan{case[-1]}", "side": "L"}} for case in results["case"]}
    run.joinpath("cases.json").write_text(json.dumps({"cases": cases}))
    basis = read_basis(run)
    found = repeatability(basis.record, basis.scores[0], basis.methods).set_index(["method", "label"]).loc["reference"]
    assert found["pairs"].to_dict() == {"whole": 2, "part": 1, "all labels": 1}
    assert found["bias_mm3"].tolist() == [0, 0, 0]


def test_without_sessions_there_is_no_repeatability(analysis):
    assert repeatability(analysis.record, analysis.scores[0], analysis.methods).empty


def test_a_table_where_columns_have_a_value():
    rows = ((Cell("x"), Cell("mv"), Cell("1")), (Cell("y"), Cell("mv"), Cell("2")))
    found = Table(title="t", columns=("label", "method", "n"), rows=rows, text_columns=2).where(label="y")
    assert (found.columns, found.text_columns) == (("method", "n"), 1)
    assert [[str(cell) for cell in row] for row in found.rows] == [["mv", "2"]]


def test_paper_tables_escape_and_mark():
    row = (Cell("a_b & {c}"), Cell("0.9 ± 0.1", 0.9, "best"), Cell("0.8|x", 0.8, "close"))
    table = Table(title="Test", columns=("method", "Dice 5%", "x<y"), rows=(row,))
    latex, markdown = to_latex(table), to_markdown(table)
    assert r"a\_b \& \{c\} & \textbf{0.9 $\pm$ 0.1} & \underline{0.8$|$x} \\" in latex
    assert r"Dice 5\% & x$<$y" in latex
    assert markdown.splitlines()[2] == r"| a\_b & {c} | **0.9 ± 0.1** | *0.8\|x* |"


def test_paper_tables_say_what_the_page_says(analysis):
    table = results_table(analysis, "in-domain")
    for text in (to_latex(table), to_markdown(table)):
        mean = analysis.row("in-domain", "jlf", "anterior", "dice")["mean"]
        assert f"{mean:.3f}" in text


def test_a_metric_that_is_the_same_for_all_has_no_ranks(tmp_path):
    results = make_results(persons=3)
    hit = results["test_set"] == "uint8"
    results.loc[hit, "surface_dice"] = 1.0
    content = metrics.make(read_basis(make_run(tmp_path, results)))
    (text,) = content.text
    assert text.startswith("Surface Dice is 1.000 for every method in uint8: it tells nothing there.")
    assert "1 mm is wider than the errors" in text
    table = content.tables["ranks_by_metric"]
    shown = {str(row[0]): [cell.text for cell in row[1:]] for row in table.rows}
    assert [row[3] for row in shown.values()] == ["1", "2", "3"]
    assert [row[8] for row in shown.values()] == ["–"] * 3


def test_time_includes_the_registrations_that_a_method_needs(tmp_path):
    run = make_run(tmp_path, make_results(persons=2))
    environment = {"registers": {"mv": ["cases"], "svwv": ["cases", "training"], "jlf": []}}
    run.joinpath("environment.json").write_text(json.dumps(environment))
    basis = read_basis(run)
    found = times(basis.record, basis.costs)
    # two atlases a case, two training cases, 2 s each
    assert {m: (t.training_s, t.whole_case_s) for m, t in found.items()} == {
        "mv": (0, 6),
        "svwv": (4, 6),
        "jlf": (0, 2),
    }


def test_time_of_registrations_that_an_earlier_run_made(tmp_path):
    run = make_run(tmp_path, make_results(persons=2))
    run.joinpath("environment.json").write_text(json.dumps({"registers": {"mv": ["cases"]}}))
    timings = pd.read_parquet(run / "timings.parquet")
    write_table(timings[timings["task"] != "registration"], run / "timings.parquet")
    made = pd.read_parquet(run / "registrations.parquet").assign(made_in_this_run=False, wall_s=[3.0, np.nan])
    write_table(made, run / "registrations.parquet")
    basis = read_basis(run)
    assert times(basis.record, basis.costs)["mv"].whole_case_s == 2 + 2 * 3
    write_table(made.drop(columns="wall_s"), run / "registrations.parquet")  # a run of a build before
    basis = read_basis(run)
    assert np.isnan(times(basis.record, basis.costs)["mv"].whole_case_s)
