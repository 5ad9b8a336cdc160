"""People crossed with trainings: against statsmodels' analysis of variance, and in a report."""

import json

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
    fold_noise,
    orders,
    read_trained,
    trained_methods,
    trainings,
)
from synthetic_run import make_results, make_run

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
    assert (run / "report" / "tables" / "trained_again.csv").is_file()


def test_intervals_hold_the_truth_as_often_as_they_say():
    from benchmarks.statistics.trainings_simulation import study

    rng = np.random.default_rng(0)
    found = np.array([study((12, 3, 1, 0.01, False), rng) for _ in range(800)])
    assert found[:, 0].mean() < 0.9  # of people alone: the fault that this mends
    assert stats.binomtest(int(found[:, 1].sum()), 800, 0.95, alternative="less").pvalue > 0.001
