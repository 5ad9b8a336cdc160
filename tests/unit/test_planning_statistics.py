"""Power planning, meta-analysis and subgroups, against formulas, statsmodels, scipy and published examples."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.oneway import anova_oneway
from statsmodels.stats.power import TTestPower

from dlfbench.report.basis.meta import Effect, consensus_ranking, pool
from dlfbench.report.basis.power import Plan, detectable, persons_needed, power
from dlfbench.report.basis.scores import arrange_scores
from dlfbench.report.basis.subgroups import gaps, interactions, welch_anova
from synthetic_run import make_results

PILOT = stats.norm.ppf((np.arange(40) + 0.5) / 40) * 0.02 + 0.004


def test_power_of_a_margin_equals_the_t_tests():
    spread = PILOT.std(ddof=1)
    plan = Plan(margin=0.01, studies=4000)
    expected = TTestPower().power(0.01 / spread, 30, 0.05, alternative="larger")
    assert power(PILOT, 0.0, 30, plan, np.random.default_rng(0)) == pytest.approx(expected, abs=0.03)


def test_power_at_no_effect_is_half_the_level():
    found = power(PILOT, 0.0, 25, Plan(studies=6000), np.random.default_rng(1))
    assert found == pytest.approx(0.025, abs=0.008)


def test_persons_needed_and_detectable_are_each_others_inverse():
    plan = Plan(studies=1000)
    persons = persons_needed(PILOT, 0.01, plan, target=0.8)
    assert persons is not None
    assert detectable(PILOT, persons, plan, target=0.8) == pytest.approx(0.01, abs=0.0006)
    assert persons_needed(PILOT, 0.01, Plan(studies=1000, family=10), target=0.8) > persons
    assert persons_needed(PILOT, 0.0, Plan(studies=50), target=0.8) is None


def test_a_pilot_that_says_nothing_is_refused():
    with pytest.raises(ValueError, match="3 persons or more"):
        power(np.zeros(5), 0.01, 10, Plan(), np.random.default_rng(0))


def test_pooling_equals_the_fixed_effect_where_studies_agree():
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1, 20)
    base = (base - base.mean()) / base.std(ddof=1)
    pooled = pool([Effect(str(i), 0.02 + 0.01 * base) for i in range(3)])
    assert pooled.difference == pytest.approx(0.02)
    assert pooled.tau == pytest.approx(0, abs=1e-6)
    assert pooled.i2 == pytest.approx(0, abs=1e-6)
    assert pooled.studies["weight"].sum() == pytest.approx(1)


def test_studies_that_happen_to_agree_are_not_surer_than_their_people():
    base = np.random.default_rng(0).normal(0, 1, 16)
    base = 0.016 * (base - base.mean()) / base.std(ddof=1)
    pooled = pool([Effect(str(mean), mean + base) for mean in (0.0060, 0.0061)])
    assert pooled.low < 0 < pooled.high
    error = 0.004 / np.sqrt(2)
    assert (pooled.high - pooled.low) / 2 == pytest.approx(stats.t.ppf(0.975, 1) * error)


def test_pooling_sees_studies_that_disagree():
    rng = np.random.default_rng(0)
    pooled = pool([Effect(str(mean), rng.normal(mean, 0.005, 30)) for mean in (-0.02, 0.0, 0.03)])
    assert pooled.i2 > 0.9
    assert pooled.low < 0 < pooled.high
    assert pooled.expected[0] < pooled.low


def test_one_study_is_no_meta_analysis():
    with pytest.raises(ValueError, match="two studies"):
        pool([Effect("a", np.array([0.1, 0.2])), Effect("b", np.array([0.1]))])
    with pytest.raises(ValueError, match="two studies .* found 0"):
        pool([])


def test_consensus_is_the_mean_rank_over_studies_with_every_method():
    means = np.array([[0.9, 0.8, 0.7], [0.7, 0.8, 0.6], [np.nan, 0.9, 0.1]])
    assert consensus_ranking(means).tolist() == [1.5, 1.5, 3.0]


def test_welchs_analysis_of_variance_equals_statsmodels():
    rng = np.random.default_rng(3)
    parts = [rng.normal(mean, sd, n) for mean, sd, n in ((0, 1, 12), (0.5, 2, 20), (1, 0.5, 9))]
    assert welch_anova(parts) == pytest.approx(anova_oneway(parts, use_var="unequal", welch_correction=True).pvalue)


@pytest.fixture(scope="module")
def scores():
    results = make_results(persons=12, methods={"mv": 0.86, "jlf": 0.88}, bounds={})
    labels = tuple(results.drop_duplicates("label")["label_name"])
    return arrange_scores(results, test_set="in-domain", methods=("mv", "jlf"), labels=labels, seed=0)


def test_groups_are_of_persons_and_small_ones_are_left_out(scores):
    columns = {case: "old" if int(case[-3:-1]) < 5 else "young" for case in scores.cases}
    columns |= {"in-domain-11L": "other", "in-domain-11R": "other"}
    table = gaps(scores, ("mv", "jlf"), "age", columns)
    assert table[["a", "b", "persons_a", "persons_b"]].drop_duplicates().to_numpy().tolist() == [["old", "young", 5, 6]]
    dice = scores.person_means(scores.values["dice"][:, [0], -1])[:, 0]
    assert table["p"][0] == pytest.approx(stats.ttest_ind(dice[:5], dice[5:11], equal_var=False).pvalue)


def test_an_interaction_is_the_test_of_differences_between_groups(scores):
    columns = {case: "old" if int(case[-3:-1]) < 6 else "young" for case in scores.cases}
    table = interactions(scores, ("mv", "jlf"), "age", columns)
    dice = scores.person_means(scores.values["dice"][:, [0, 1], -1])
    difference = dice[:, 0] - dice[:, 1]
    assert table["p"][0] == pytest.approx(stats.ttest_ind(difference[:6], difference[6:], equal_var=False).pvalue)
    assert interactions(scores, ("mv", "jlf"), "age", dict.fromkeys(scores.cases, "same")).empty


def without_values(scores, method, persons):
    """The scores where a method has no value of the first so many persons."""
    dice = scores.values["dice"].copy()
    dice[scores.person_of < persons, scores.methods.index(method)] = np.nan
    return replace(scores, values={**scores.values, "dice": dice})


def test_groups_are_of_persons_who_have_a_value_of_the_method(scores):
    columns = {case: "old" if int(case[-3:-1]) < 6 else "young" for case in scores.cases}
    one_less = gaps(without_values(scores, "jlf", 1), ("mv", "jlf"), "age", columns)
    assert one_less[["method", "persons_a", "persons_b"]].to_numpy().tolist() == [["mv", 6, 6], ["jlf", 5, 6]]
    two_less = without_values(scores, "jlf", 2)
    table = gaps(two_less, ("mv", "jlf"), "age", columns)
    assert table["method"].tolist() == ["mv"]
    assert table["p_holm"].tolist() == table["p"].tolist()
    place, lost = scores.methods.index("jlf"), scores.person_of < 2
    scored = scores.scored.copy()
    scored[lost, place] = False
    assert interactions(replace(two_less, scored=scored), ("mv", "jlf"), "age", columns).empty
