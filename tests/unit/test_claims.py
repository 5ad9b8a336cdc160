"""Declared analyses: their grammar, their tests, and the parts that they are made of, against other implementations."""

import numpy as np
import pytest
import tomli_w
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from dlfbench.engine.plan import open_data, split
from dlfbench.errors import InputError
from dlfbench.report.basis.claims import CLAIM_COLUMNS, judge_claims
from dlfbench.report.basis.scores import arrange_scores
from dlfbench.report.basis.statistics import dirichlet_weights, noninferiority_p, signed_rank_posterior
from dlfbench.study.claims import Claim, DeclaredAnalysis
from dlfbench.study.tables import make_study, read_run_study, read_study
from synthetic_run import make_results

METHODS = ("mv", "svwv", "jlf")


@pytest.fixture(scope="module")
def test_sets():
    results = make_results(bounds={})
    labels = tuple(results.drop_duplicates("label")["label_name"])
    return [
        arrange_scores(results, test_set=name, methods=METHODS, labels=labels, seed=0)
        for name in ("in-domain", "uint8")
    ]


def declared(*claims, **more):
    return DeclaredAnalysis(claims=claims, **more)


def dice_by_person(scores, method):
    return scores.person_means(scores.values["dice"][:, [scores.methods.index(method)], -1])[:, 0]


def test_a_claim_is_read():
    claim = Claim("dlf[steps=5] >= jlf within 0.02 on uint8")
    assert (claim.a, claim.relation, claim.b, claim.margin, claim.test_set) == (
        "dlf[steps=5]",
        "not inferior",
        "jlf",
        0.02,
        "uint8",
    )


@pytest.mark.parametrize(
    "text", ["dlf", "dlf < jlf", "dlf > dlf", "a > b within 0.1", "a >= b within x", "a == b within -1", "a > b c"]
)
def test_what_is_no_claim_is_refused(text):
    with pytest.raises(ValueError, match=r"found|itself|expected"):
        Claim(text)


def test_a_claim_without_a_margin_is_refused_where_the_metric_has_none():
    with pytest.raises(ValueError, match="needs a margin"):
        declared("a >= b", metric="hd95_mm")
    assert declared("a >= b").margin_of(Claim("a >= b")) == 0.01


def test_a_wrong_key_of_the_table_is_named():
    with pytest.raises(InputError, match=r"analysis\.metrik: unknown key 'metrik'.*did you mean 'metric'"):
        make_study({"analysis": {"claims": ["a > b"], "metrik": "dice"}})


def test_names_that_the_study_lacks_are_named():
    problems = declared("a > b", "a > c on d").unknown(methods=["a", "b"], test_sets=["in-domain"])
    assert len(problems) == 2
    assert "no method 'c' in this study; there are: a, b" in problems[0]
    assert "no test set 'd'" in problems[1]


def test_margins_of_metrics_that_there_are_not_are_named():
    (problem,) = declared("a > b", margins={"dce": 0.01, "dice": 0.02}).unknown(metrics=["dice", "hd95_mm"])
    assert "no metric 'dce' in this study; there are: dice, hd95_mm" in problem


def test_a_study_with_a_margin_of_no_metric_is_not_planned():
    study = make_study(
        {"methods": {"mv": {}, "jlf": {}}, "analysis": {"claims": ["jlf > mv"], "margins": {"dce": 0.01}}}
    )
    with pytest.raises(InputError, match="no metric 'dce'"):
        split(study, open_data(study))


def test_a_run_of_fewer_methods_than_claims_are_about_goes_on(tmp_path):
    study = make_study({"methods": {"mv": {}}, "analysis": {"claims": ["jlf > mv"]}})
    path = tmp_path / "study.toml"
    path.write_text(tomli_w.dumps(study.model_dump(mode="json", exclude_none=True)))
    assert read_run_study(path).analysis == study.analysis
    with pytest.raises(InputError, match="no method 'jlf' in this study"):
        read_study(path)


def test_superiority_is_wilcoxons_test_and_holm_is_over_the_declared_family_alone(test_sets):
    table = judge_claims(declared("jlf > mv", "svwv > mv"), test_sets)
    expected = [
        stats.wilcoxon(dice_by_person(scores, a) - dice_by_person(scores, "mv")).pvalue
        for a in ("jlf", "svwv")
        for scores in test_sets
    ]
    assert list(table.columns) == CLAIM_COLUMNS
    assert table["p"].to_numpy() == pytest.approx(expected)
    assert table["p_holm"].to_numpy() == pytest.approx(multipletests(expected, method="holm")[1])
    assert table["verdict"][0] == "holds"


def test_what_is_significantly_the_other_way_round_does_not_hold(test_sets):
    table = judge_claims(declared("mv > jlf on uint8"), test_sets)
    assert table[["test_set", "verdict"]].to_numpy().tolist() == [["uint8", "does not hold"]]


def test_one_sided_superiority_halves_p_in_the_declared_direction(test_sets):
    two, one = (
        judge_claims(declared("jlf > mv", "mv > jlf", direction=d), test_sets[:1]) for d in ("two-sided", "one-sided")
    )
    assert one["p"].to_numpy() == pytest.approx([two["p"][0] / 2, 1 - two["p"][1] / 2])
    assert list(one["verdict"]) == ["holds", "undecided"]


def test_margins_equal_statsmodels_where_differences_are_not_skewed():
    differences = np.array([-3.0, -1.0, 0.0, 1.0, 3.0, -2.0, 2.0, 0.5, -0.5])[:, None] / 100 + 0.004
    worse, better = (noninferiority_p(sign * differences, 0.02)[0] for sign in (1, -1))
    zeros = np.zeros(len(differences))
    assert worse == pytest.approx(stats.ttest_1samp(differences[:, 0], -0.02, alternative="greater").pvalue)
    assert max(worse, better) == pytest.approx(ttost_paired(differences[:, 0], zeros, -0.02, 0.02)[0])


def test_a_margin_with_skewed_differences_by_hand():
    # mean -1, variance 5, adjusted skewness -sqrt 5
    differences = np.array([[0.0], [0.0], [0.0], [0.0], [-5.0]])
    x, n = (-1 + 2) / np.sqrt(5), 5
    skew = -np.sqrt(5)
    g = x + skew * x**2 / 3 + skew**2 * x**3 / 27 + skew / (6 * n)
    assert stats.skew(differences[:, 0], bias=False) == pytest.approx(skew)
    assert noninferiority_p(differences, 2.0)[0] == pytest.approx(stats.t.sf(np.sqrt(n) * g, n - 1))
    # the other way round the transformation would be kinder than Student's test, which counts then
    assert noninferiority_p(-differences, 0.0)[0] == pytest.approx(stats.t.sf(np.sqrt(n) * x, n - 1))


def test_claims_with_margins_hold_where_they_should(test_sets):
    table = judge_claims(declared("svwv >= jlf within 0.03", "svwv == mv within 0.02"), test_sets[:1])
    mv, svwv, jlf = (dice_by_person(test_sets[0], method)[:, None] for method in METHODS)
    assert table["p"][0] == pytest.approx(noninferiority_p(svwv - jlf, 0.03)[0])
    both = [noninferiority_p(sign * (svwv - mv), 0.02)[0] for sign in (1, -1)]
    assert table["p"][1] == pytest.approx(max(both))
    assert list(table["verdict"]) == ["holds", "holds"]


def test_a_margin_that_is_surely_missed_does_not_hold(test_sets):
    table = judge_claims(declared("mv >= jlf within 0.005"), test_sets[:1])
    assert table["verdict"][0] == "does not hold"
    assert table["high"][0] < -0.005


def test_of_a_metric_where_lower_is_better_the_difference_keeps_its_own_sign(test_sets):
    table = judge_claims(declared("jlf > mv", metric="hd95_mm"), test_sets[:1])
    assert table["verdict"][0] == "holds"
    assert table["low"][0] < table["difference"][0] < table["high"][0] < 0


def test_what_was_declared_counts_also_without_results(test_sets):
    alone = judge_claims(declared("jlf > mv on uint8"), test_sets)
    table = judge_claims(declared("jlf > mv on uint8", "dlf > mv", "jlf > svwv on older"), test_sets)
    asked = table[["claim", "test_set", "persons", "verdict"]].to_numpy().tolist()
    assert asked == [
        ["jlf > mv on uint8", "uint8", 12, "holds"],
        ["dlf > mv", "in-domain", 0, "no result"],
        ["dlf > mv", "uint8", 0, "no result"],
        ["jlf > svwv on older", "older", 0, "no result"],
    ]
    assert table["p_holm"][0] == pytest.approx(4 * alone["p"][0])  # nobody chooses the family by what is run


def test_that_a_margin_is_missed_is_corrected_as_all_else_is(test_sets):
    one, many = (
        judge_claims(declared("mv >= svwv within 0.004", *more), test_sets[:1])
        for more in ((), [f"dlf > {i}" for i in ("mv", "jlf", "svwv")] * 1)
    )
    svwv, mv = (dice_by_person(test_sets[0], method) for method in ("svwv", "mv"))
    opposite = noninferiority_p((svwv - mv)[:, None], -0.004)[0]
    assert one["verdict"][0] == ("does not hold" if opposite < 0.05 else "undecided")
    assert many["verdict"][0] == ("does not hold" if 4 * opposite < 0.05 else "undecided")


@pytest.mark.parametrize("persons", [3, 5, 8])
def test_a_margin_holds_no_more_often_than_promised_at_strict_levels(persons):
    drawn = np.random.default_rng(0).normal(-0.01, 0.02, (persons, 40_000))
    shares = [(noninferiority_p(drawn, 0.01) < level).mean() / level for level in (0.05, 0.005)]
    assert max(shares) < 1.2  # Hall's test alone: up to 2.8


def test_the_bayesian_signed_rank_test_equals_baycomp():
    multiple = pytest.importorskip("baycomp.multiple", reason="baycomp is not installed")
    rng = np.random.default_rng(1)
    x, y = rng.normal(0.85, 0.02, 15), rng.normal(0.86, 0.02, 15)
    weights = np.random.RandomState(7).dirichlet([0.5, *np.ones(15)], 2000)  # baycomp's own draws
    theirs = multiple.SignedRankTest.probs(x, y, 0.005, nsamples=2000, random_state=7)
    assert signed_rank_posterior(y - x, 0.005, weights) == pytest.approx(theirs, abs=1e-3)


def test_bayesian_probabilities_follow_the_truth():
    rng = np.random.default_rng(0)
    weights = dirichlet_weights(30, 4000, rng)
    assert signed_rank_posterior(rng.normal(0.05, 0.01, 30), 0.01, weights)[2] > 0.99
    assert signed_rank_posterior(rng.normal(0.0, 0.001, 30), 0.01, weights)[1] > 0.99
    assert sum(signed_rank_posterior(rng.normal(0.01, 0.02, 30), 0.01, weights)) == pytest.approx(1)


@pytest.mark.parametrize("rope", [0.0, 0.01])
@pytest.mark.parametrize("differ", [0, 2])
def test_methods_with_the_same_scores_are_the_same_to_the_bayesian_test(rope, differ):
    weights = dirichlet_weights(20, 4000, np.random.default_rng(0))
    differences = np.concatenate([np.zeros(20 - differ), np.full(differ, 0.05)])
    assert signed_rank_posterior(differences, rope, weights)[1] > 0.95


def test_noninferiority_needs_three_persons():
    assert np.isnan(noninferiority_p(np.array([[0.1], [0.2]]), 0.01)[0])
    nobody = np.full((4, 1), np.nan)  # a method that failed on every case
    some = np.array([[0.1], [0.3], [0.2], [0.25]])
    found = noninferiority_p(np.concatenate([some, nobody], axis=1), 0.01)
    assert found[0] == noninferiority_p(some, 0.01)[0]
    assert np.isnan(found[1])
