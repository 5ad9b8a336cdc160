"""What a label that is in neither map, or a metric without a value, means for who is better."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dlfbench.metrics.definitions import OWN_METRICS
from dlfbench.records.record import read_record
from dlfbench.report.basis import scores as module
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.comparison import compare, mark_best
from dlfbench.report.basis.ranking import rank
from dlfbench.report.basis.scores import ALL_LABELS, arrange_scores
from dlfbench.report.basis.summary import summarise
from dlfbench.report.basis.trainings import arrange_trained, orders, read_trained, trainings
from dlfbench.report.shown.verdict import finding
from synthetic_run import make_results, make_run

METHODS = ("mv", "svwv", "jlf")
LABELS = ("anterior", "posterior", "tail <b>")
METRICS = [metric.name for metric in OWN_METRICS]
VOLUMES = ["reference_volume_mm3", "prediction_volume_mm3"]


def arranged(results, methods=METHODS):
    results = results[results["kind"] == "method"]
    return arrange_scores(results, test_set="in-domain", methods=methods, labels=LABELS, seed=0)


def with_false_alarms(results, alarmed, people=6):
    """The tail is in none of the first people; one method finds some all the same."""
    results = results.copy()
    empty = (results["label_name"] == "tail <b>") & results["person"].isin(sorted(set(results["person"]))[:people])
    results.loc[empty, METRICS] = np.nan
    results.loc[empty, VOLUMES] = 0.0
    hit = empty & (results["method"] == alarmed)
    results.loc[hit, [*METRICS, "prediction_volume_mm3"]] = [0.0, 30.0, 30.0, 0.0, 1.0, 50.0]
    return results


def test_a_method_without_a_metric_is_better_than_nobody():
    results = make_results()
    results.loc[results["method"] == "mv", "hd95_mm"] = np.nan  # it was not scored so
    scores = arranged(results)
    assert np.isnan(scores.paired([("svwv", "mv"), ("mv", "jlf")], metric="hd95_mm")).all()
    table = compare(scores, METHODS)
    rows = table[(table["metric"] == "hd95_mm") & ((table["a"] == "mv") | (table["b"] == "mv"))]
    assert set(rows["verdict"]) == {"open"}
    summary = summarise(scores, ())
    row = summary[(summary["method"] == "mv") & (summary["metric"] == "hd95_mm")]
    assert set(row["n"]) == {0}
    assert set(row["empty"]) == {0}


def test_a_metric_that_does_not_say_its_best_value_leaves_such_cases_out(monkeypatch):
    scores = arranged(with_false_alarms(make_results(), "jlf"))
    pair = [("mv", "jlf")]
    told = scores.paired(pair, metric="dice", label="tail <b>")
    percent = replace(OWN_METRICS[0], best=None)
    monkeypatch.setitem(module._METRIC, "dice", percent)
    untold = scores.paired(pair, metric="dice", label="tail <b>")
    assert told[:6, 0] == pytest.approx(np.ones(6))
    assert np.isnan(untold[:6]).all()
    assert untold[6:] == pytest.approx(told[6:])


@pytest.mark.parametrize("metric", METRICS)
def test_a_false_alarm_makes_nobody_better_over_all_labels(metric):
    scores = arranged(with_false_alarms(make_results(), "jlf"))
    labels = [scores.paired([("mv", "jlf")], metric=metric, label=label)[:, 0] for label in LABELS]
    over_all = scores.paired([("mv", "jlf")], metric=metric, label=ALL_LABELS)[:, 0]
    assert over_all == pytest.approx(np.mean(labels, axis=0))
    better = scores.differences("mv", "jlf", metric=metric, label="tail <b>")
    assert (better[:6] > 0).all()


def test_without_empty_labels_the_difference_is_that_of_the_means():
    scores = arranged(make_results())
    means = scores.person_means(scores.values["dice"][:, :2, -1])
    assert scores.paired([("mv", "svwv")])[:, 0] == pytest.approx(means[:, 0] - means[:, 1])


def test_false_alarms_count_in_mean_ranks_and_in_trainings(tmp_path):
    results = with_false_alarms(make_results(), "jlf", people=12)
    ranking = rank(arranged(results), METHODS)
    assert ranking.mean_rank[2] == 3  # the best of the three else
    one = results[results["test_set"] == "in-domain"]
    twice = one.assign(fold=np.where(one["method"] == "jlf", 1, 0))
    rows = np.concatenate([one.index, one.index])
    again = one.loc[rows].assign(fold=np.repeat([0, 1], len(one))).reset_index(drop=True)
    assert len(twice) == len(one)
    folder = make_run(tmp_path, again)
    record = read_record(folder)
    plain, compared = (read_trained(record, "in-domain", compared=told) for told in ((), ("mv", "jlf")))
    assert plain["jlf"].means == pytest.approx(compared["jlf"].means)
    assert (compared["mv"].means > plain["mv"].means).all()


def trained_three_times(results, alarmed_of):
    """The results of three trainings; a person of place i alarms in `alarmed_of(i)`, of the last label."""
    persons = {person: place for place, person in enumerate(sorted(results["person"].unique()))}
    folds = []
    for fold in range(3):
        mine = results.copy()
        last = (mine["label_name"] == "tail <b>") & (mine["method"] == "jlf")
        quiet = last & ~mine["person"].map(persons).map(alarmed_of).map(lambda folds, fold=fold: fold in folds)
        mine.loc[last, "reference_volume_mm3"] = 0.0
        mine.loc[quiet, "prediction_volume_mm3"] = 0.0
        mine.loc[last, METRICS] = np.nan
        mine.loc[last & ~quiet, "dice"] = 0.0
        folds.append(mine.assign(fold=fold))
    return pd.concat(folds, ignore_index=True)


def test_rare_false_alarms_cost_the_same_however_often_a_method_is_trained():
    results = make_results(persons=6)
    thrice = arranged(trained_three_times(results, lambda place: {place % 3}))
    at = thrice.methods.index("jlf"), thrice.labels.index("tail <b>")
    assert thrice.values["dice"][:, *at] == pytest.approx(2 / 3)
    always = arranged(trained_three_times(results, lambda place: {0, 1, 2}))
    assert always.values["dice"][:, *at] == pytest.approx(0)
    never = arranged(trained_three_times(results, lambda place: set()))
    assert np.isnan(never.values["dice"][:, *at]).all()


def test_between_two_methods_a_third_ones_false_alarms_are_nothing(tmp_path):
    results = make_results(persons=12)
    results = results[results["test_set"] == "in-domain"]
    absent = results["label_name"] == "tail <b>"
    results.loc[absent & (results["kind"] == "method"), ["reference_volume_mm3", "prediction_volume_mm3"]] = 0.0
    results.loc[absent & (results["kind"] == "method"), METRICS] = np.nan
    alarms = results.copy()
    alarms.loc[absent & (alarms["method"] == "jlf"), ["prediction_volume_mm3", "dice"]] = [9.0, 0.0]
    found = []
    for name, rows in (("none", results), ("third", alarms)):
        thrice = pd.concat([rows.assign(fold=fold) for fold in (0, 1)], ignore_index=True)
        thrice["dice"] += np.where(thrice["method"] == "mv", 0.01 * thrice["fold"], 0.0)
        record = read_record(make_run(tmp_path / name, thrice))
        found.append(read_trained(record, "in-domain", compared=("mv", "svwv")))
    for method in ("mv", "svwv"):
        assert found[0][method].means == pytest.approx(found[1][method].means)


def test_where_nobody_has_a_label_nobody_is_called_best(tmp_path):
    results = make_results(persons=8)
    rows = (results["test_set"] == "in-domain") & (results["kind"] == "method")
    results.loc[rows, "reference_volume_mm3"] = 0.0
    results.loc[rows & (results["method"] != "jlf"), "prediction_volume_mm3"] = 0.0
    results.loc[rows, METRICS] = np.nan
    results.loc[rows & (results["method"] == "jlf"), "dice"] = 0.0
    basis = read_basis(make_run(tmp_path, results))
    text = finding(basis, basis.scores_of("in-domain"))
    assert text.startswith("jlf: mean Dice 0.000")
    assert "mv and svwv have no mean: nobody has a label there, and nothing was found." in text
    results.loc[rows, METRICS] = np.nan
    results.loc[rows, "prediction_volume_mm3"] = 0.0
    basis = read_basis(make_run(tmp_path / "all", results))
    assert "no mean" in finding(basis, basis.scores_of("in-domain"))


def test_a_person_without_a_value_in_one_training_leaves_the_others_their_noise():
    rng = np.random.default_rng(0)
    rows = [
        {
            "method": "a",
            "fold": fold,
            "person": p,
            "case": p,
            "label": 1,
            "dice": 0.8 + rng.normal(0, 0.02),
            "status": "ok",
        }
        for fold in range(6)
        for p in (f"p{i}" for i in range(10))
    ]
    table = pd.DataFrame(rows)
    split_of = {fold: fold % 2 for fold in range(6)}
    whole = trainings("t", arrange_trained(table, ("a",), split_of))
    lacking = table.assign(dice=table["dice"].mask((table["fold"] == 4) & (table["person"] == "p3")))
    found = trainings("t", arrange_trained(lacking, ("a",), split_of))
    assert found["sd_training"][0] == pytest.approx(whole["sd_training"][0], rel=0.5)
    assert orders("t", arrange_trained(lacking, ("a",), split_of), {"a"}).empty


def test_nobody_is_better_who_may_have_failed_on_the_worst():
    results = make_results()
    hard = (results["method"] == "jlf") & results["person"].isin(["in-domain-00", "in-domain-01"])
    results.loc[hard, METRICS] = np.nan
    results.loc[hard, "status"] = "failed"
    table = compare(arranged(results), METHODS)
    ours = table[(table["b"] == "jlf") & (table["metric"] == "dice")]
    assert set(ours["verdict"]) == {"open"}
    assert (ours["p_holm"] < 0.05).any()


def test_who_is_significantly_below_another_is_not_marked_best():
    scores = arranged(make_results())
    summary, comparisons = summarise(scores, ()), compare(scores, METHODS)
    marks = mark_best(summary, comparisons)
    top = summary[(summary["metric"] == "dice") & (summary["label"] == ALL_LABELS)].set_index("method")
    assert marks[summary.index[(summary["method"] == "jlf") & (summary["metric"] == "dice")]].eq("best").any()
    turned = summary.assign(mean=summary["mean"].mask(summary["method"] == "mv", 1.0))  # one person of many scans
    again = mark_best(turned, comparisons)
    rows = turned[(turned["metric"] == "dice") & (turned["label"] == ALL_LABELS)]
    assert {method: again[i] for i, method in rows["method"].items()}["mv"] == ""
    assert "best" not in set(again[rows.index])
    assert set(top.index) == set(METHODS)


def test_intervals_end_at_the_best_value_there_is():
    results = make_results(persons=2)
    results = results.assign(dice=np.where(results["person"].str.endswith("00"), 0.99, 0.7))
    row = summarise(arranged(results), ()).query("metric == 'dice' and label == @ALL_LABELS")
    assert row["high"].tolist() == [1.0] * 3
    low = summarise(arranged(results.assign(hd95_mm=np.where(results["dice"] > 0.8, 0.0, 9.0))), ())
    assert low.query("metric == 'hd95_mm'")["low"].min() == 0.0
