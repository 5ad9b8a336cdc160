"""The numbers of a report, recomputed by hand from the rows."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dlfbench.errors import InputError
from dlfbench.report.basis.agreement import volume_agreement
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.generalization import drop_differences, drops
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.sections import generalization
from dlfbench.report.sections import losses as losses_section
from dlfbench.report.sections.definitions import statistical_methods
from synthetic_run import fail, make_results, make_run

pytestmark = pytest.mark.figures


@pytest.fixture(scope="module")
def results():
    return make_results()


@pytest.fixture(scope="module")
def analysis(tmp_path_factory, results):
    return read_basis(make_run(tmp_path_factory.mktemp("run"), results))


def analyse_results(tmp_path, results):
    return read_basis(make_run(tmp_path, results))


def rows_of(results, test_set="in-domain", method="jlf", label="anterior"):
    hit = (results["test_set"] == test_set) & (results["method"] == method) & (results["label_name"] == label)
    return results[hit]


def pair(analysis, a, b, metric="dice", label="anterior", test_set="in-domain"):
    table = analysis.comparisons.set_index(["test_set", "metric", "label", "a", "b"])
    return table.loc[(test_set, metric, label, a, b)]


def test_names_keep_the_order_of_the_study(analysis):
    assert analysis.methods == ("mv", "svwv", "jlf")
    assert analysis.bounds == ("oracle_one", "oracle05", "oracle10", "oracle50", "candidate")
    assert [scores.test_set for scores in analysis.scores] == ["in-domain", "uint8"]
    assert analysis.labels == ("anterior", "posterior", "tail <b>", ALL_LABELS)


def test_summary_of_one_label(analysis, results):
    dice = rows_of(results)["dice"]
    found = analysis.row("in-domain", "jlf", "anterior", "dice")
    assert found[["mean", "sd", "median"]].tolist() == pytest.approx([dice.mean(), dice.std(), dice.median()])
    assert found[["q1", "q3"]].tolist() == pytest.approx(dice.quantile([0.25, 0.75]).tolist())
    assert (found["scored"], found["planned"], found["persons"]) == (24, 24, 12)
    assert found["low"] < found["mean"] < found["high"]


def test_all_labels_is_the_mean_over_a_cases_labels(analysis, results):
    hit = (results["test_set"] == "uint8") & (results["method"] == "mv")
    by_case = results[hit].groupby("case")["hd95_mm"].mean()
    found = analysis.row("uint8", "mv", ALL_LABELS, "hd95_mm")
    assert (found["mean"], found["sd"]) == (pytest.approx(by_case.mean()), pytest.approx(by_case.std()))


def test_the_volume_error_is_averaged_as_magnitude(analysis, results):
    expected = rows_of(results)["volume_error"].abs().mean()
    assert analysis.row("in-domain", "jlf", "anterior", "volume_error")["mean"] == pytest.approx(expected)


def test_the_same_run_gives_the_same_numbers(tmp_path, analysis, results):
    again = analyse_results(tmp_path, results.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(again.summary, analysis.summary)
    pd.testing.assert_frame_equal(again.comparisons, analysis.comparisons)


def test_pairs_are_tested_on_persons(analysis, results):
    means = [rows_of(results, method=method).groupby("person")["dice"].mean() for method in ("mv", "jlf")]
    difference = means[0] - means[1]
    found = pair(analysis, "mv", "jlf")
    assert found["persons"] == 12
    assert found["difference"] == pytest.approx(difference.mean())
    assert found["p"] == pytest.approx(stats.wilcoxon(difference).pvalue)
    assert found["losses"] == (difference < 0).sum()
    assert found["low"] < found["difference"] < found["high"] < 0


def test_holm_within_test_set_metric_and_label(analysis):
    for _, family in analysis.comparisons.groupby(["test_set", "metric", "label"]):
        assert len(family) == 3
        assert family["p_holm"].min() == pytest.approx(min(1, 3 * family["p"].min()))


def test_effects_point_to_the_better_method(analysis):
    for metric in ("dice", "hd95_mm"):
        found = pair(analysis, "mv", "jlf", metric)
        assert found["effect"] < 0
        assert found["wins"] < found["losses"]
        assert found["verdict"] == "b better"


def test_the_best_is_marked_and_bounds_never_are(analysis):
    marks = analysis.summary[analysis.summary["mark"] == "best"]
    assert set(marks["kind"]) == {"method"}
    dice = marks[(marks["metric"] == "dice") & (marks["label"] == ALL_LABELS)]
    assert list(dice["method"]) == ["jlf", "jlf"]


def test_nothing_is_marked_as_not_worse_where_no_p_could_be_small(tmp_path):
    few = analyse_results(tmp_path / "few", make_results(persons=6))  # 3 pairs: at best 3 / 32
    enough = analyse_results(tmp_path / "enough", make_results(persons=7))  # 3 / 64
    assert set(few.summary["mark"]) == {"", "best"}
    assert "not worse" in set(enough.summary["mark"])


def test_equal_methods_are_equivalent_and_both_the_best(tmp_path, results):
    twin = results[results["method"] == "jlf"].assign(method="twin")
    analysis = analyse_results(tmp_path, pd.concat([results, twin]))
    found = pair(analysis, "jlf", "twin")
    assert found["verdict"] == "equivalent"
    assert (found["p"], found["ties"]) == (1, 12)
    marks = {m: analysis.row("in-domain", m, ALL_LABELS, "dice")["mark"] for m in ("jlf", "twin", "mv")}
    assert marks == {"jlf": "best", "twin": "best", "mv": ""}


def test_a_failed_case_is_counted_and_the_method_not_ranked(tmp_path, results):
    analysis = analyse_results(tmp_path, fail(results, "jlf", "in-domain-00L"))
    found = analysis.row("in-domain", "jlf", "anterior", "dice")
    assert (found["scored"], found["planned"], found["complete"]) == (23, 24, False)
    assert analysis.incomplete == ("jlf",)
    assert found["mark"] == ""
    assert analysis.row("in-domain", "svwv", ALL_LABELS, "dice")["mark"] == "best"
    assert pair(analysis, "mv", "jlf")["persons"] == 12
    assert len(analysis.failures) == 1


def test_pairs_use_only_cases_that_both_scored(tmp_path, results):
    results = fail(results, "jlf", "in-domain-00L")
    analysis = analyse_results(tmp_path, results)
    wide = results[(results["test_set"] == "in-domain") & (results["label"] == 1)]
    wide = wide.pivot_table("dice", ["person", "case"], "method", dropna=False)
    expected = (wide["mv"] - wide["jlf"]).groupby("person").mean().mean()
    assert pair(analysis, "mv", "jlf")["difference"] == pytest.approx(expected)


def test_a_label_in_neither_map_is_left_out_and_counted(tmp_path, results):
    results = results.copy()
    hit = (results["case"] == "uint8-01R") & (results["label"] == 3)
    results.loc[hit, ["dice", "hd95_mm", "assd_mm", "surface_dice", "volume_error"]] = np.nan
    results.loc[hit, ["reference_empty", "prediction_empty"]] = True
    results.loc[hit, ["reference_volume_mm3", "prediction_volume_mm3"]] = 0.0
    found = analyse_results(tmp_path, results).row("uint8", "mv", "tail <b>", "dice")
    assert (found["empty"], found["n"], found["scored"], found["complete"]) == (1, 23, 24, True)


def test_repeats_are_averaged_before_anything_else(tmp_path, results):
    again = results.assign(fold=1, dice=results["dice"] - 0.1)
    analysis = analyse_results(tmp_path, pd.concat([results, again]))
    found = analysis.row("in-domain", "jlf", "anterior", "dice")
    assert found["planned"] == 24
    assert found["mean"] == pytest.approx(rows_of(results)["dice"].mean() - 0.05)


def test_a_case_that_failed_in_one_fold_is_not_scored(tmp_path, results):
    again = fail(results.assign(fold=1), "jlf", "in-domain-00L")
    found = analyse_results(tmp_path, pd.concat([results, again])).row("in-domain", "jlf", ALL_LABELS, "dice")
    assert (found["scored"], found["planned"]) == (23, 24)


def losses(analysis):
    return drops(analysis.scores, analysis.methods).set_index(["metric", "label", "method"])


def test_losses_from_home_to_away(analysis):
    found = (
        drops(analysis.scores, analysis.methods)
        .set_index(["metric", "label", "method"])
        .loc[("dice", ALL_LABELS, "jlf")]
    )
    means = [analysis.row(name, "jlf", ALL_LABELS, "dice")["mean"] for name in ("in-domain", "uint8")]
    assert found["drop"] == pytest.approx(means[0] - means[1])
    assert found["low"] < found["drop"] < found["high"]


def test_losses_of_distances_count_upwards(analysis):
    found = (
        drops(analysis.scores, analysis.methods)
        .set_index(["metric", "label", "method"])
        .loc[("hd95_mm", ALL_LABELS, "jlf")]
    )
    assert found["drop"] == pytest.approx(found["away_mean"] - found["home_mean"])


def test_differences_of_losses_are_welch_tests_on_persons(analysis, results):
    per_person = []
    for test_set in ("in-domain", "uint8"):
        a, b = (rows_of(results, test_set, method).groupby("person")["dice"].mean() for method in ("mv", "jlf"))
        per_person.append(a - b)
    expected = stats.ttest_ind(*per_person, equal_var=False)
    found = (
        drop_differences(analysis.scores, analysis.methods)
        .set_index(["label", "a", "b"])
        .loc[("anterior", "mv", "jlf")]
    )
    assert found["p"] == pytest.approx(expected.pvalue)
    assert found["low"] < found["difference"] < found["high"]


def test_losses_in_a_changed_copy_are_paired(tmp_path, results):
    home = results[results["test_set"] == "in-domain"]
    copy = home.assign(test_set="shifted", case=home["case"] + "~contrast-3", dice=home["dice"] - 0.1)
    basis = read_basis(make_run(tmp_path / "shifted", pd.concat([home, copy], ignore_index=True)))
    found = drops(basis.scores, basis.methods)
    dice = found[found["metric"] == "dice"]
    assert dice["drop"].tolist() == pytest.approx([0.1] * len(dice))
    assert (dice["high"] - dice["low"] < 1e-9).all()


@pytest.fixture
def copy_with_failures(tmp_path, results):
    """A changed copy in which jlf fails on two people of whom it does best at home."""
    home = results[results["test_set"] == "in-domain"]
    easy = home["person"].isin(["in-domain-10", "in-domain-11"]) & (home["method"] == "jlf")
    home = home.assign(dice=home["dice"] + 0.08 * easy)
    noise = np.random.default_rng(0).normal(0.02, 0.001, len(home))
    copy = home.assign(test_set="shifted", case=home["case"] + "~contrast-3", dice=home["dice"] - noise)
    for case in copy.loc[easy, "case"].unique():
        copy = fail(copy, "jlf", case)
    return read_basis(make_run(tmp_path / "shifted", pd.concat([home, copy], ignore_index=True)))


def test_losses_in_a_changed_copy_are_of_the_people_of_both(copy_with_failures):
    found = losses(copy_with_failures).sort_index().loc[("dice", ALL_LABELS)]
    assert found["drop"].tolist() == pytest.approx([0.02] * 3, abs=0.001)
    assert (found["low"] <= found["drop"]).all()
    assert (found["drop"] <= found["high"]).all()
    assert found["home_persons"].to_dict() == found["away_persons"].to_dict() == {"mv": 12, "svwv": 12, "jlf": 10}


def test_differences_of_losses_in_a_changed_copy_are_of_the_people_of_both(copy_with_failures):
    basis = copy_with_failures
    found = drop_differences(basis.scores, basis.methods).set_index(["label", "a", "b"])
    assert (found["low"] <= found["difference"]).all()
    assert (found["difference"] <= found["high"]).all()
    assert found.loc[(ALL_LABELS, "svwv", "jlf"), ["home_persons", "away_persons"]].tolist() == [10, 10]
    assert found.loc[(ALL_LABELS, "mv", "svwv"), ["home_persons", "away_persons"]].tolist() == [12, 12]


def test_losses_say_of_how_many_people_they_are(copy_with_failures):
    cells = {row[0].text: row[1] for row in generalization.make(copy_with_failures).tables["losses"].rows}
    assert cells["jlf"].detail.endswith("; 10 of 12 people at home; 10 of 12 people")
    assert "people" not in cells["mv"].detail
    content = losses_section.make(copy_with_failures)
    people = [[str(row[4]) for row in content.shown[name].rows] for name in ("losses", "differences")]
    assert [set(column) for column in people] == [{"12, 12", "10, 10"}] * 2


def test_sign_flips_are_all_or_random_by_the_size_of_each_test_set(tmp_path, results):
    def said(persons):
        text = statistical_methods(analyse_results(tmp_path / str(persons), results_of_so_many(results, persons)))
        return next(line for line in text if "permutation test" in line)

    assert "(all sign flips of the persons' differences)" in said(12)
    assert (
        "(all sign flips of the persons' differences in test sets of up to 13 persons, 9999 random ones in others)"
    ) in said(14)


def results_of_so_many(results, persons):
    """12 persons in-domain, so many in the other test set."""
    more = make_results(persons=persons)
    return pd.concat([results[results["test_set"] == "in-domain"], more[more["test_set"] == "uint8"]])


def test_volumes_agree_as_bland_and_altman_say(analysis, results):
    rows = rows_of(results)
    error = rows["prediction_volume_mm3"] - rows["reference_volume_mm3"]
    found = (
        volume_agreement(analysis.scores[0], analysis.methods)
        .set_index(["test_set", "method", "label"])
        .loc[("in-domain", "jlf", "anterior")]
    )
    limits = [error.mean() - 1.96 * error.std(), error.mean() + 1.96 * error.std()]
    assert found["bias_mm3"] == pytest.approx(error.mean())
    assert found[["low_mm3", "high_mm3"]].tolist() == pytest.approx(limits)


def test_costs_are_per_task_and_method(analysis):
    found = analysis.costs.set_index(["task", "method"])
    assert found.index[0] == ("registration", "")
    assert found.loc[("segmentation", "jlf"), ["n", "total_s"]].tolist() == [48, 96]


def test_only_flagged_registrations_are_listed(analysis):
    assert analysis.flagged_registrations["atlas"].tolist() == ["atlas-2"]


def test_one_method_one_test_set_one_label(tmp_path, results):
    few = results[(results["test_set"] == "uint8") & (results["method"] == "mv") & (results["label"] == 1)]
    analysis = analyse_results(tmp_path, few)
    assert analysis.comparisons.empty
    assert drops(analysis.scores, analysis.methods).empty
    assert set(analysis.summary["mark"]) == {""}


def test_everything_failed(tmp_path, results):
    for case in results["case"].unique():
        results = fail(results, "mv", case)
    few = results[results["method"] == "mv"]
    analysis = analyse_results(tmp_path, few)
    assert analysis.summary["mean"].isna().all()
    assert (analysis.summary["scored"] == 0).all()


def test_results_alone_are_enough(tmp_path, results):
    run = make_run(tmp_path, results)
    for path in run.iterdir():
        if path.name != "results.parquet":
            path.unlink()
    assert read_basis(run).methods == ("jlf", "mv", "svwv")


def test_no_results_are_said(tmp_path, results):
    with pytest.raises(InputError, match="expected results, found none"):
        read_basis(make_run(tmp_path, results.iloc[:0]))
