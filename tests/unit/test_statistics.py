"""Tests, corrections and intervals against scipy, statsmodels and published examples."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from dlfbench.report.basis.statistics import (
    bootstrap_means,
    equivalence_p,
    holm,
    interval,
    mean_and_sd,
    mean_interval,
    paired_t,
    paired_tests,
    permutation_p,
    rank_biserial,
    resample_persons,
    sign_flips,
    welch,
)

NAN = float("nan")
# Darwin's cross- and self-fertilised plants (1876), differences of heights in eighths of an inch; the signed-rank
# sum of the negative differences is 24 (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods)
DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], float)


def columns(*values):
    return np.array(values, float).T


def test_wilcoxon_on_darwins_plants():
    found = paired_tests(columns(DARWIN))
    assert found.p[0] == pytest.approx(0.04126, abs=1e-4)
    assert found.rank_biserial[0] == pytest.approx((96 - 24) / 120)
    assert (found.wins[0], found.ties[0], found.losses[0]) == (13, 0, 2)
    assert found.mean[0] == pytest.approx(314 / 15)


def test_wilcoxon_equals_scipy_column_by_column():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.3, 1, (20, 30))
    differences[3, 5] = NAN
    differences[4:7, 6] = 0
    differences[:9, 7] = 1
    found = paired_tests(differences)
    for pair, values in enumerate(differences.T):
        kept = values[~np.isnan(values)]
        assert found.p[pair] == pytest.approx(stats.wilcoxon(kept).pvalue)
        assert found.persons[pair] == kept.size


@pytest.mark.parametrize("persons", [6, 12, 13])
def test_wilcoxon_of_few_with_ties_equals_scipy(persons):
    differences = np.round(np.random.default_rng(0).normal(0.5, 1, (persons, 4 if persons < 12 else 1)) * 2) / 2
    found = paired_tests(differences).p
    for p, values in zip(found, differences.T, strict=True):
        exact = stats.permutation_test(
            (values[values != 0],),
            lambda d: (stats.rankdata(np.abs(d)) * (d > 0)).sum(),
            permutation_type="samples",
            n_resamples=np.inf,
        )
        assert p == pytest.approx(exact.pvalue)


def test_identical_methods_do_not_differ():
    found = paired_tests(np.zeros((6, 1)))
    assert (found.p[0], found.rank_biserial[0], found.ties[0]) == (1, 0, 6)


def test_rounding_errors_are_ties():
    found = paired_tests(columns([0.3 - 0.2 - 0.1, 0.2, 0.3]))
    assert found.ties[0] == 1


def test_nobody_is_no_result():
    found = paired_tests(np.full((4, 1), NAN))
    assert found.persons[0] == 0
    assert np.isnan([found.p[0], found.mean[0], found.rank_biserial[0]]).all()


def test_one_person_cannot_show_anything():
    assert paired_tests(columns([0.4])).p[0] == 1


def test_rank_biserial_by_hand():
    # ranks of |d|: 1, 2, 3; favourable 1 + 3, unfavourable 2
    np.testing.assert_allclose(rank_biserial(columns([1, -2, 3], [1, 2, 0], [-1, -2, NAN])), [2 / 6, 1, -1])


def test_permutation_on_darwins_plants():
    # Fisher (1935), The Design of Experiments, section 21: of the 2^15 sums of Darwin's differences 863 are at least
    # as large as the one found, 1726 two-sided
    p = permutation_p(columns(DARWIN), sign_flips(15, 2**15, np.random.default_rng(0)))
    assert p[0] == pytest.approx(1726 / 2**15)


@pytest.mark.parametrize("persons", [6, 20])
def test_permutation_equals_scipy(persons):
    differences = np.random.default_rng(1).normal(0.5, 1, (persons, 3))
    found = permutation_p(differences, sign_flips(persons, 9999, np.random.default_rng(0)))
    for p, values in zip(found, differences.T, strict=True):
        expected = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=9999, rng=2)
        assert p == pytest.approx(expected.pvalue, abs=1e-12 if persons == 6 else 0.02)


def test_permutation_leaves_gaps_out():
    signs = sign_flips(4, 100, np.random.default_rng(0))
    found = permutation_p(columns([1, 2, NAN, 4], [0, 0, 0, 0], [NAN] * 4), signs)
    np.testing.assert_allclose(found, [2 / 8, 1, NAN])


def test_flips_are_all_of_few_and_some_of_many():
    rng = np.random.default_rng(0)
    assert len({tuple(row) for row in sign_flips(3, 8, rng)}) == 8
    many = sign_flips(30, 50, rng)
    assert many.shape == (50, 30)
    assert (many[0] == 1).all()
    assert set(many.ravel()) == {-1, 1}


def test_equivalence_of_symmetric_differences_equals_statsmodels():
    half = 0.004 + np.random.default_rng(1).gamma(2, 0.004, 12)
    a = np.concatenate([0.003 + half, 0.003 - half])  # no skewness to take out
    expected = ttost_paired(a, np.zeros_like(a), -0.01, 0.01)[0]
    assert 0.001 < expected < 0.1
    assert equivalence_p(columns(a), 0.01)[0] == pytest.approx(expected)


def test_equivalence_errs_on_skewed_differences_less_than_a_plain_t_test():
    skewed = np.random.default_rng(0).gamma(1, size=(20, 4000))
    found = equivalence_p(0.005 * (1 - skewed) - 0.01, 0.01)  # worse by just the margin, some by much more
    plain = stats.ttest_1samp(0.005 * (1 - skewed), 0, alternative="greater").pvalue
    assert (found < 0.05).mean() < 0.08 < 0.1 < (plain < 0.05).mean()


def test_equivalence_of_equal_and_of_shifted_methods():
    p = equivalence_p(columns([0.0] * 5, [0.5] * 5), 0.01)
    np.testing.assert_array_equal(p, [0, 1])
    assert np.isnan(equivalence_p(columns([0.0, 0.001]), 0.01)[0])


def test_holm_on_a_worked_example():
    # Holm (1979): smallest x 4, next x 3, ..., never decreasing
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


def test_holm_equals_statsmodels():
    p = np.random.default_rng(5).uniform(0, 0.3, 40)
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_holm_leaves_gaps_out_of_the_family():
    np.testing.assert_allclose(holm(np.array([0.01, NAN, 0.04])), [0.02, NAN, 0.04])
    assert np.isnan(holm(np.array([NAN]))).all()


def test_welch_equals_scipy():
    rng = np.random.default_rng(6)
    a, b = rng.normal(0, 1, (9, 4)), rng.normal(0.5, 2, (13, 4))
    a[2:4, 1] = NAN
    p, low, high = welch(a, b)
    for column in range(4):
        expected = stats.ttest_ind(a[~np.isnan(a[:, column]), column], b[:, column], equal_var=False)
        assert p[column] == pytest.approx(expected.pvalue)
        limits = expected.confidence_interval()
        assert (low[column], high[column]) == (pytest.approx(limits.low), pytest.approx(limits.high))


def test_paired_t_equals_scipy():
    a, b = np.array([1.0, 2.0, 4.0, 7.0, 5.0]), np.array([1.5, 2.5, 3.0, 8.0, 7.0])
    expected = stats.ttest_rel(a, b)
    p, low, high = paired_t(columns(a), columns(b))
    assert p[0] == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert (low[0], high[0]) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_welch_needs_two_persons_in_each_group():
    assert np.isnan(welch(columns([1.0, NAN]), columns([1.0, 2.0]))).all()


@pytest.mark.parametrize("test", [welch, paired_t])
def test_means_without_any_spread_are_the_same_or_differ_for_sure(test):
    p, low, high = test(columns([0.5] * 4, [0.75] * 4, [1.0, NAN, NAN, NAN]), columns([0.5] * 4, [0.5] * 4, [1.0] * 4))
    np.testing.assert_array_equal(p, [1.0, 0.0, NAN])
    np.testing.assert_array_equal(low, [0.0, 0.25, NAN])
    np.testing.assert_array_equal(high, [0.0, 0.25, NAN])


def test_mean_and_sd_without_gaps():
    mean, sd = mean_and_sd(columns([1, 2, NAN], [1, NAN, NAN], [NAN, NAN, NAN]))
    np.testing.assert_allclose(mean, [1.5, 1, NAN])
    np.testing.assert_allclose(sd, [np.sqrt(0.5), NAN, NAN])


def test_resamples_keep_the_number_of_persons():
    draws = resample_persons(7, 50, np.random.default_rng(0))
    assert draws.shape == (50, 7)
    assert (draws.sum(axis=1) == 7).all()


def test_a_person_brings_all_their_cases():
    sums, counts = columns([3, 10]), columns([2, 1])
    draws = np.array([[2, 0], [1, 1], [0, 2]], float)
    np.testing.assert_allclose(bootstrap_means(sums, counts, draws)[:, 0], [1.5, 13 / 3, 10])


def test_interval_of_a_normal_mean_is_the_t_interval():
    rng = np.random.default_rng(2)
    values = rng.normal(0, 1, 12)
    means = rng.normal(values.mean(), values.std() / np.sqrt(12), (400_000, 1))  # what a normal bootstrap gives
    low, high = interval(means, 12)
    expected = stats.t.interval(0.95, 11, values.mean(), values.std(ddof=1) / np.sqrt(12))
    np.testing.assert_allclose([low[0], high[0]], expected, atol=0.01)


def test_no_interval_from_one_person():
    assert np.isnan(interval(np.zeros((10, 2)), [1, 0])).all()


@pytest.mark.parametrize("persons", [2, 3, 5, 7])
def test_intervals_of_few_cover_the_mean(persons):
    rng = np.random.default_rng(3)
    values = rng.normal(0.85, 0.02, (persons, 2000))
    low, high = mean_interval(values, resample_persons(persons, 4000, rng))
    assert ((low <= 0.85) & (high >= 0.85)).mean() == pytest.approx(0.95, abs=0.02)
    expected = stats.t.interval(0.95, persons - 1, values[:, 0].mean(), stats.sem(values[:, 0]))
    width = values[:, 0].std()
    np.testing.assert_allclose([low[0], high[0]], expected, atol=0.2 * width * (12 if persons == 2 else 1))


@pytest.mark.slow
@pytest.mark.parametrize("persons", [15, 40])
def test_intervals_cover_the_mean_with_two_cases_a_person(persons):
    rng, covered, studies = np.random.default_rng(3), 0, 1000
    for _ in range(studies):
        cases = 0.85 + rng.normal(0, 0.03, (persons, 1)) + rng.normal(0, 0.02, (persons, 2))
        draws = resample_persons(persons, 1000, rng)
        means = bootstrap_means(cases.sum(axis=1, keepdims=True), np.full((persons, 1), 2.0), draws)
        low, high = interval(means, persons)
        covered += low[0] <= 0.85 <= high[0]
    assert 0.93 <= covered / studies <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("methods", "persons"), [(3, 15), (6, 40)])
def test_family_wise_error_stays_below_the_level(methods, persons):
    rng, wrong, studies = np.random.default_rng(4), 0, 1000
    for _ in range(studies):
        person = rng.normal(0, 0.03, (persons, 1)) + rng.normal(0, 0.01, (persons, methods))
        values = person + rng.normal(0, 0.01, (2, persons, methods)).mean(axis=0)
        differences = np.stack([values[:, a] - values[:, b] for a in range(methods) for b in range(a)], axis=1)
        wrong += (holm(paired_tests(differences).p) < 0.05).any()
    assert wrong / studies < 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)
