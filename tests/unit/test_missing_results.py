"""Verdicts where results are missing, rightly empty, or led by a few persons."""

import numpy as np
import pandas as pd
import pytest

from dlfbench.engine.collect import _mean_over_atlases
from dlfbench.metrics.known import METRICS
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.claims import judge_claims
from dlfbench.report.basis.comparison import compare
from dlfbench.report.basis.ensembles import gains
from dlfbench.report.basis.generalization import drop_differences
from dlfbench.report.basis.ranking import rank
from dlfbench.report.basis.scores import arrange_scores
from dlfbench.report.basis.statistics import noninferiority_p
from dlfbench.report.basis.subgroups import gaps, interactions
from dlfbench.report.basis.summary import summarise
from dlfbench.report.sections.claims import claims_table, margins_of
from dlfbench.report.shown.verdict import finding
from dlfbench.study.claims import DeclaredAnalysis
from synthetic_run import LABELS, fail, make_results, make_run

VOLUMES = ["reference_volume_mm3", "prediction_volume_mm3"]
METRIC_NAMES = [metric.name for metric in METRICS]
VOLUMES = ["reference_volume_mm3", "prediction_volume_mm3"]


def results_of(**methods):
    results = make_results(methods=methods, bounds={})
    return results[results["test_set"] == "in-domain"]


def scores_of(results, *methods):
    return arrange_scores(results, test_set="in-domain", methods=methods, labels=tuple(LABELS.values()), seed=3)


def rows_of(results, method, persons, label=None):
    chosen = (results["method"] == method) & results["person"].isin([f"in-domain-{i:02d}" for i in persons])
    return chosen if label is None else chosen & (results["label"] == label)


def with_failed(results, method, persons):
    for case in results[rows_of(results, method, persons)]["case"].unique():
        results = fail(results, method, case)
    return results


def declared(*claims, **more):
    return DeclaredAnalysis(claims=claims, **more)


def test_nothing_is_significant_where_nothing_could_be(tmp_path):
    results = make_results(persons=7, methods={"jlf": 0.88, "mv": 0.878}, bounds={})
    results = results[results["test_set"] == "in-domain"]
    empty = results["person"].isin(["in-domain-04", "in-domain-05", "in-domain-06"])  # no label in any map
    results.loc[empty, METRIC_NAMES] = np.nan
    results.loc[empty, VOLUMES] = 0.0
    basis = read_basis(make_run(tmp_path, results))
    assert "With 4 people no difference can be significant" in finding(basis, basis.scores[0])


def test_false_alarms_cost_something_against_who_rightly_finds_nothing():
    results = results_of(jlf=0.88, mv=0.88)
    nothing = rows_of(results, "jlf", range(6), label=3)
    results.loc[nothing, METRIC_NAMES], results.loc[nothing, VOLUMES] = np.nan, 0.0
    alarms = rows_of(results, "mv", range(6), label=3)
    results.loc[alarms, ["dice", "surface_dice", "hd95_mm"]] = [0.0, 0.0, 40.0]
    rows = compare(scores_of(results, "jlf", "mv"), ("jlf", "mv")).set_index(["metric", "label"])
    dice, hd95 = rows.loc[("dice", LABELS[3])], rows.loc[("hd95_mm", LABELS[3])]
    assert (dice["persons"], hd95["persons"]) == (12, 12)
    assert dice["difference"] == pytest.approx(0.5, abs=0.02)
    assert hd95["difference"] == pytest.approx(-20, abs=1)
    assert dice["wins"] >= 6


def test_no_claim_holds_because_a_method_failed_on_the_persons_it_is_bad_at():
    analysis = declared("jlf > mv", "jlf >= mv within 0.01", "mv == jlf within 0.1", "mv >= jlf within 0.1")
    results = with_failed(results_of(jlf=0.88, mv=0.86), "jlf", range(4))
    judged = judge_claims(analysis, [scores_of(results, "jlf", "mv")])
    assert judged["verdict"].tolist() == ["undecided"] * 3 + ["holds"]
    assert (judged["p_holm"] < 0.05).all()
    shown = claims_table(judged, analysis)
    assert {row[3].text for row in shown.rows} == {"8 of 12"}


def test_no_claim_fails_because_the_better_method_failed_on_the_persons_it_is_bad_at():
    analysis = declared("mv > jlf", "mv >= jlf within 0.005", "mv == jlf within 0.005", "jlf == mv within 0.005")
    whole = results_of(jlf=0.88, mv=0.86)
    judged = judge_claims(analysis, [scores_of(whole, "jlf", "mv")])
    assert judged["verdict"].tolist() == ["does not hold"] * 4
    judged = judge_claims(analysis, [scores_of(with_failed(whole, "jlf", range(4)), "jlf", "mv")])
    assert judged["verdict"].tolist() == ["undecided"] * 4
    judged = judge_claims(analysis, [scores_of(with_failed(whole, "mv", range(4)), "jlf", "mv")])
    assert judged["verdict"].tolist() == ["does not hold"] * 4


def test_two_persons_decide_nothing():
    results = results_of(jlf=0.88, mv=0.86)
    two = results[results["person"].isin(["in-domain-00", "in-domain-01"])]
    judged = judge_claims(declared("mv >= jlf within 0.001"), [scores_of(two, "jlf", "mv")])
    assert np.isnan(judged["p"][0])
    assert judged["verdict"].tolist() == ["undecided"]


def test_groups_differ_in_nothing_that_a_method_failed_on():
    """Without the hard cases of one group a method seems to do well there."""
    results = results_of(jlf=0.88, mv=0.88)
    hard = results["case"].str.endswith("R")
    results.loc[hard, "dice"] -= 0.3
    cases = results["case"].unique()
    group = {case: "old" if int(case[-3:-1]) >= 6 else "young" for case in cases}
    for case in cases:
        results = fail(results, "jlf", case) if case.endswith("R") and group[case] == "old" else results
    scores = scores_of(results, "jlf", "mv")
    assert interactions(scores, ("jlf", "mv"), "age", group)["spread"][0] < 0.02
    assert gaps(scores, ("jlf", "mv"), "age", group)["method"].tolist() == ["mv"]


def test_rightly_finding_nothing_counts_in_losses_as_it_does_in_comparisons():
    home = results_of(jlf=0.88, mv=0.88)
    away = home.assign(test_set="away", case="away" + home["case"], person="away" + home["person"])
    empty = away["person"].isin([f"awayin-domain-{i:02d}" for i in range(6)]) & (away["label"] == 3)
    nothing = empty & (away["method"] == "jlf")
    away.loc[nothing, METRIC_NAMES], away.loc[nothing, VOLUMES] = np.nan, 0.0
    away.loc[empty & (away["method"] == "mv"), "dice"] = 0.0
    both = pd.concat([home, away])
    about = {"methods": ("jlf", "mv"), "labels": tuple(LABELS.values()), "seed": 3}
    test_sets = [arrange_scores(both, test_set=name, **about) for name in ("in-domain", "away")]
    lost = drop_differences(test_sets, ("jlf", "mv")).set_index("label").loc[LABELS[3]]
    assert (lost["home_persons"], lost["away_persons"]) == (12, 12)
    assert lost["difference"] == pytest.approx(-0.5, abs=0.03)


def test_who_has_the_highest_mean_over_cases_may_be_below_by_persons(tmp_path):
    results = results_of(jlf=0.88, mv=0.88)
    mine, first = results["method"] == "jlf", results["person"] == "in-domain-00"
    same = results[~mine].set_index(["case", "label"])["dice"]
    keys = pd.MultiIndex.from_frame(results[mine][["case", "label"]])
    results.loc[mine, "dice"] = same.loc[keys].to_numpy() + np.where(first[mine], 0.02, -0.01)
    more = [results[first].assign(case=results[first]["case"] + str(i)) for i in range(40)]
    basis = read_basis(make_run(tmp_path, pd.concat([results, *more], ignore_index=True)))
    text = finding(basis, basis.scores[0])
    assert text.startswith("jlf has the highest mean Dice")
    assert "Yet significantly above it, where every person counts alike" in text
    assert "Not significantly below it" not in text


def test_who_is_better_by_ranks_but_worse_by_mean_is_not_better(tmp_path):
    results = results_of(jlf=0.88, mv=0.88)
    same = results[results["method"] == "mv"].set_index(["case", "label"])["dice"]
    mine = results["method"] == "jlf"
    person = results["person"].str[-2:].astype(int)
    keys = pd.MultiIndex.from_frame(results[mine][["case", "label"]])
    moved = np.where(person[mine] < 11, 0.002 + 0.0001 * person[mine], -0.2)
    results.loc[mine, "dice"] = same.loc[keys].to_numpy() + moved
    basis = read_basis(make_run(tmp_path, results))
    pair = basis.comparisons.set_index(["metric", "label"]).loc[("dice", "all labels")]
    assert pair["p_holm"] < 0.05
    assert pair["verdict"] == "open"
    assert "Not significantly below it: jlf" in finding(basis, basis.scores[0])
    assert judge_claims(declared("jlf > mv"), basis.scores)["verdict"].tolist() == ["undecided"]


def test_identical_methods_are_equivalent():
    results = results_of(jlf=0.88)
    results = pd.concat([results, results.assign(method="mv")])
    judged = judge_claims(declared("jlf == mv within 0.01", "jlf >= mv within 0.01"), [scores_of(results, "jlf", "mv")])
    assert judged["verdict"].tolist() == ["holds", "holds"]
    assert noninferiority_p(np.full((5, 1), -0.02), 0.01).tolist() == [1.0]


def test_what_cannot_be_tested_counts_in_the_declared_family():
    results = results_of(jlf=0.88, mv=0.86, svwv=0.87)
    results = with_failed(results, "svwv", range(10))
    judged = judge_claims(declared("jlf > mv", "svwv >= mv"), [scores_of(results, "jlf", "mv", "svwv")])
    assert np.isnan(judged["p"][1])
    assert judged["p_holm"][0] == pytest.approx(2 * judged["p"][0])


@pytest.mark.parametrize(("metric", "expected"), [("dice", [-0.5]), ("hd95_mm", [0.5])])
def test_the_margin_is_drawn_on_the_worse_side(metric, expected):
    judged = judge_claims(
        declared("jlf >= mv within 0.5", metric=metric), [scores_of(results_of(jlf=0.88, mv=0.86), "jlf", "mv")]
    )
    assert margins_of(judged.iloc[0]) == expected


def test_the_best_member_is_best_on_the_same_cases(tmp_path):
    results = results_of(jlf=0.87, mv=0.86, both=0.88)
    hard = range(3)
    results.loc[results["person"].isin([f"in-domain-{i:02d}" for i in hard]), "dice"] -= 0.3
    basis = read_basis(make_run(tmp_path, with_failed(results, "mv", hard)))
    (found,) = gains(basis, {"both": ["jlf", "mv"]}).to_dict("records")
    assert found["best_member"] == "jlf"
    assert found["dice"] > found["dice_member"] > 0.8


def test_failures_count_as_zero_only_where_a_method_was_to_be_tried():
    results = make_results(bounds={})
    results = results[(results["method"] != "svwv") | (results["test_set"] == "in-domain")]
    scores = arrange_scores(
        results, test_set="uint8", methods=("jlf", "mv", "svwv"), labels=tuple(LABELS.values()), seed=3
    )
    assert np.isnan(rank(scores, scores.methods).ranks["mean, failures as 0"]).tolist() == [False, False, True]


def test_a_method_without_rows_for_a_case_is_not_complete():
    results = results_of(jlf=0.88, mv=0.86)
    results = results[(results["method"] != "jlf") | (results["case"] != "in-domain-00L")]
    scores = scores_of(results, "jlf", "mv")
    assert not scores.complete("jlf")
    assert np.isnan(rank(scores, scores.methods).ranks["mean"][0])


def test_what_nobody_drew_is_not_told_as_rightly_empty():
    results = results_of(jlf=0.88)
    undrawn, empty = rows_of(results, "jlf", range(6), label=3), rows_of(results, "jlf", range(6, 8), label=3)
    results.loc[undrawn | empty, METRIC_NAMES] = np.nan
    results.loc[undrawn, VOLUMES] = np.nan
    results.loc[empty, VOLUMES] = 0.0
    rows = summarise(scores_of(results, "jlf"), ()).set_index(["metric", "label"])
    assert rows.loc[("dice", LABELS[3]), "empty"] == 4  # two persons, left and right


def test_volume_errors_of_single_atlases_do_not_cancel():
    rows = [{"label": 1, **dict.fromkeys(METRIC_NAMES, 0.5), "volume_error": error} for error in (-0.2, 0.2)]
    assert _mean_over_atlases(rows)[0]["volume_error"] == pytest.approx(0.2)
