"""People crossed with trainings: against statsmodels' analysis of variance, and in a report."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from dlfbench.report import write_report
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.trainings import (
    Estimate,
    Noise,
    Trained,
    difference_noise,
    fold_noise,
    orders,
    read_trained,
    trained_methods,
    trainings,
)
from synthetic_run import make_results, make_run

pytestmark = pytest.mark.figures

PERSONS, TRAININGS = 8, 3


def crossed(seed=0, spread=0.02):
    """Values (training, person)."""
    rng = np.random.default_rng(seed)
    people, trained = rng.normal(0.8, 0.03, PERSONS), rng.normal(0, spread, (TRAININGS, 1))
    return people + trained + rng.normal(0, 0.01, (TRAININGS, PERSONS))


def estimate(values):
    trained = Trained({0: values})
    return Estimate.of(trained.means, trained.noise(np.arange(values.shape[1])))


def test_variances_equal_those_of_an_analysis_of_variance():
    values = crossed()
    training, person = np.indices(values.shape)
    table = pd.DataFrame({"y": values.ravel(), "training": training.ravel(), "person": person.ravel()})
    squares = anova_lm(ols("y ~ C(training) + C(person)", table).fit())["mean_sq"]
    n = values.size
    found = estimate(values)
    low, high = found.limits(with_training=True)
    variance = (squares["C(training)"] + squares["C(person)"] - squares["Residual"]) / n
    parts = {"C(training)": TRAININGS - 1, "C(person)": PERSONS - 1, "Residual": (TRAININGS - 1) * (PERSONS - 1)}
    df = variance**2 / sum((squares[name] / n) ** 2 / count for name, count in parts.items())
    assert found.mean == pytest.approx(values.mean())
    assert found.people == pytest.approx(squares["C(person)"] / n)
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, df) * np.sqrt(variance))


def test_without_variance_of_trainings_the_interval_is_a_t_interval_of_people():
    values = np.repeat(crossed()[:1], TRAININGS, axis=0)
    means = values[0]
    expected = stats.t.interval(0.95, PERSONS - 1, means.mean(), stats.sem(means))
    for with_training in (False, True):
        assert estimate(values).limits(with_training=with_training) == pytest.approx(expected)
    assert estimate(values).same_order == 1.0


def test_no_interval_of_a_mean_reaches_beyond_the_best_dice():
    found = {"dlf": Trained({0: np.array([[0.999, 0.9], [0.99, 0.91]])})}
    (row,) = trainings("in-domain", found).to_dict("records")
    assert row["high"] == row["high_people"] == 1
    assert row["low"] <= row["low_people"] < 0.9


def test_the_weights_of_folds_add_up_and_their_trainings_are_apart():
    values = crossed()
    halves = {fold: np.where(np.arange(PERSONS) % 2 == fold, values, np.nan) for fold in (0, 1)}
    found = Trained(halves)
    assert found.means == pytest.approx(values.mean(axis=0))
    noise = found.noise(np.arange(PERSONS))
    parts = [values[:, fold::2].sum(axis=1) / PERSONS for fold in (0, 1)]
    assert [one.between for one in noise] == pytest.approx([part.var(ddof=1) for part in parts])


def test_a_method_trained_once_adds_nothing():
    assert fold_noise(crossed()[:1], np.full(PERSONS, 1 / PERSONS)) == Noise(1, 0.0, 0.0, 0)
    assert np.isnan(estimate(crossed()[:1]).same_order)


def test_the_same_order_is_sure_far_from_zero_and_a_coin_near_it():
    noise = (Noise(3, 0.01**2, 0.0, 14),)
    near, far = (Estimate(mean, 1e-4, PERSONS, noise).same_order for mean in (0.001, 0.2))
    assert near == 0.5
    assert far > 0.99


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A made-up run in which jlf was trained three times, from another of which it differs by 0.01."""
    results = make_results(persons=6)
    jlf, others = results[results["method"] == "jlf"], results[results["method"] != "jlf"]
    again = [jlf.assign(fold=k, dice=jlf["dice"] + shift) for k, shift in enumerate((0.0, 0.01, -0.01))]
    folder = make_run(tmp_path_factory.mktemp("trainings"), pd.concat([others, *again], ignore_index=True))
    splits = json.loads((folder / "splits.json").read_text())["folds"]
    splits += [{**splits[0], "fold": k, "training": k} for k in (1, 2)]
    (folder / "splits.json").write_text(json.dumps({"folds": splits}))
    timings = pd.read_parquet(folder / "timings.parquet")
    fits = timings.iloc[:3].assign(task="fit", method="jlf", fold=[0, 1, 2], case=None)
    pd.concat([timings, fits], ignore_index=True).to_parquet(folder / "timings.parquet")
    return folder


def test_a_run_says_how_much_trainings_vary(run):
    record = read_basis(run).record
    by_method = read_trained(record, "in-domain")
    found = trainings("in-domain", by_method).set_index("method")
    assert found.loc["jlf", "sd_training"] == pytest.approx(0.01)
    assert np.isnan(found.loc["mv", "sd_training"])
    assert found["trainings"].to_dict() == {"mv": 1, "svwv": 1, "jlf": 3}
    pairs = orders("in-domain", by_method, trained_methods(record))
    assert set(zip(pairs["a"], pairs["b"], strict=True)) == {("jlf", "mv"), ("jlf", "svwv")}
    assert (pairs["same_order"] > 0.5).all()
    assert (pairs["high"] > pairs["high_people"]).all()


def test_the_report_shows_it_and_says_what_its_intervals_hold(run):
    page = write_report(run).read_text()
    assert "Would this order survive retraining?" in page
    assert "3 trainings of each method that learns are averaged" in page


def test_its_table_has_nine_digits_though_a_pair_has_no_row(run):
    write_report(run)
    written = pd.read_csv(run / "report" / "tables" / "trained_again.csv", dtype=str)
    assert set(zip(written["a"], written["b"], strict=True)) == {("jlf", "mv"), ("jlf", "svwv")}
    assert set(written["sd_training"]) == {"0.01"}
    assert all(float(f"{float(value):.9g}") == float(value) for value in written["low"])


def with_models(values, *models):
    return Trained({0: values}, frozenset(models))


def test_trainings_of_an_ensemble_and_of_its_member_are_the_same():
    member = crossed()
    ensemble, other = member + 0.001 + crossed(seed=1, spread=0.0) * 0.01, crossed(seed=2)
    both = {"one": with_models(member, "one"), "ensemble": with_models(ensemble, "one", "ensemble")}
    (pair,) = orders("t", both, both).to_dict("records")
    difference = (ensemble - member).mean(axis=1)
    assert pair["sd_training"] == pytest.approx(difference.std(ddof=1))
    also = {**both, "another": with_models(ensemble[::-1], "one", "another")}
    assert orders("t", also, also)["sd_training"].tolist()[2] == pytest.approx(
        (ensemble - ensemble[::-1]).mean(axis=1).std(ddof=1)
    )
    apart = {"one": both["one"], "other": with_models(other, "other")}
    (pair,) = orders("t", apart, apart).to_dict("records")
    spread = np.hypot(*(values.mean(axis=1).std(ddof=1) for values in (member, other)))
    assert pair["sd_training"] == pytest.approx(spread)


def test_trainings_that_do_not_correspond_are_independent():
    member, ensemble = with_models(crossed(), "one"), with_models(crossed()[:2] + 0.01, "one", "ensemble")
    noise = difference_noise(member, ensemble, np.arange(PERSONS))
    assert [one.trainings for one in noise] == [3, 2]


def test_a_run_says_which_methods_share_models(run, tmp_path):
    members = {"members": {"jlf": ["svwv", "unet"]}}
    folder = shutil.copytree(run, tmp_path / "ensemble")
    (folder / "environment.json").write_text(json.dumps(members))
    found = read_trained(read_basis(folder).record, "in-domain")
    assert {name: set(one.models) for name, one in found.items()} == {
        "mv": {"mv"}, "svwv": {"svwv"}, "jlf": {"jlf", "svwv"}
    }  # fmt: skip
    results = make_results(persons=6)
    shifted = results["dice"] - 0.001 * (results["kind"] == "method")  # on the same warped atlases
    others = make_run(tmp_path / "others", results.assign(dice=shifted))
    found = read_trained(read_basis(folder, others).record, "in-domain")
    assert found["jlf (ensemble)"].models == {"jlf (ensemble)", "svwv (ensemble)"}
    assert found["jlf (others)"].models == {"jlf (others)"}
    same = make_run(tmp_path / "same", results.assign(dice=shifted.where(results["method"] == "jlf", results["dice"])))
    found = read_trained(read_basis(same, folder).record, "in-domain")
    assert found["jlf (ensemble)"].models == {"jlf (ensemble)", "svwv"}


@pytest.fixture
def merged_with_once_trained(run, tmp_path):
    """The made-up run with one that was not timed: of a method that learns, one that does not, and a stranger."""
    results = make_results(persons=6, methods={"jlf_cl": 0.87, "simple": 0.86, "stranger": 0.84})
    folder = make_run(tmp_path / "untimed", results)
    (folder / "timings.parquet").unlink()
    study = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(study.replace('[methods."stranger"]\nuse = "stranger"\n', ""))
    return read_basis(run, folder)


def test_methods_that_were_trained_once_are_left_out_where_nothing_was_timed(merged_with_once_trained):
    record = merged_with_once_trained.record
    assert trained_methods(record) == {"jlf", "jlf_cl", "stranger"}
    pairs = orders("in-domain", read_trained(record, "in-domain"), trained_methods(record))
    assert {name for pair in zip(pairs["a"], pairs["b"], strict=True) for name in pair} == {
        "jlf",
        "mv",
        "svwv",
        "simple",
    }


def test_unequal_numbers_of_trainings_are_said(merged_with_once_trained, tmp_path):
    expected = "the variance of people, not that of training: 1 to 3 trainings of each method that learns are averaged"
    assert merged_with_once_trained.variance_held == expected
    untimed = read_basis(tmp_path / "untimed")
    assert untimed.variance_held.endswith("each method that learns was trained once")
    assert read_basis(make_run(tmp_path / "plain", make_results(persons=6))).variance_held == "the variance of people"


def test_intervals_hold_the_truth_as_often_as_they_say():
    from benchmarks.statistics.trainings_simulation import study

    rng = np.random.default_rng(0)
    found = np.array([study((12, 3, 1, 0.01, False), rng) for _ in range(800)])
    assert found[:, 0].mean() < 0.9  # of people alone: the fault that this mends
    assert stats.binomtest(int(found[:, 1].sum()), 800, 0.95, alternative="less").pvalue > 0.001
