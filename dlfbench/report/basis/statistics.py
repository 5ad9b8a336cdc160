"""Statistics of paired results: intervals, tests, corrections and effect sizes. The unit is the person.

Arrays are (person, column) or (person, pair); NaN marks a person without a value. Randomness comes from a generator
that the caller passes.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]

# differences closer than this are rounding errors of equal values
_DECIMALS = 12
_PAIRS_AT_A_TIME = 500  # bounds the memory of a permutation test
_MOST_EXACT = 13  # persons, where there are ties
_FEW_PERSONS = 8  # resamples of fewer do not reach as far as the mean may lie


@dataclass(frozen=True)
class PairedTests:
    """Tests of many columns of paired differences, one entry per column.

    Attributes:
        persons: How many persons have a difference.
        mean: Mean difference over persons.
        p: Two-sided Wilcoxon signed-rank test; NaN without persons, 1 if all differences are zero.
        rank_biserial: Matched-pairs rank-biserial correlation (Kerby 2014), -1 to 1.
        wins: Persons with a difference above zero.
        ties: Persons without a difference.
        losses: Persons with a difference below zero.
    """

    persons: npt.NDArray[np.int64]
    mean: Array
    p: Array
    rank_biserial: Array
    wins: npt.NDArray[np.int64]
    ties: npt.NDArray[np.int64]
    losses: npt.NDArray[np.int64]


def paired_tests(differences: Array) -> PairedTests:
    """Wilcoxon signed-rank tests (Wilcoxon 1945) with effect sizes.

    Exact where there are no ties and at most 50 persons, or by all permutations where there are ties and at most 13;
    else the normal approximation with tie correction. Zero differences are dropped.

    Args:
        differences: (person, pair).
    """
    differences = np.round(np.asarray(differences, float), _DECIMALS)
    present = ~np.isnan(differences)
    persons = present.sum(axis=0)
    total = np.where(present, differences, 0.0).sum(axis=0)
    return PairedTests(
        persons,
        np.divide(total, persons, out=np.full(persons.shape, np.nan), where=persons > 0),
        _wilcoxon_p(differences),
        rank_biserial(differences),
        (differences > 0).sum(axis=0),
        (differences == 0).sum(axis=0),
        (differences < 0).sum(axis=0),
    )


def rank_biserial(differences: Array) -> Array:
    """Matched-pairs rank-biserial correlation: (positive - negative rank sum) / rank sum (Kerby 2014, eq. 3).

    Args:
        differences: (person, pair); zeros and NaN are dropped.

    Returns:
        (pair,), 1 where every difference is positive, 0 where all are zero, NaN where there is none.
    """
    values = np.where(differences == 0, np.nan, differences)
    ranks = stats.rankdata(np.abs(values), axis=0, nan_policy="omit")
    ranks = np.where(np.isnan(values), 0.0, ranks)
    total = ranks.sum(axis=0)
    signed = (np.sign(np.nan_to_num(values)) * ranks).sum(axis=0)
    none = np.isnan(differences).all(axis=0)
    return np.where(none, np.nan, np.divide(signed, total, out=np.zeros(total.shape), where=total > 0))


def sign_flips(persons: int, flips: int, rng: np.random.Generator) -> Array:
    """Signs that the differences of persons might as well have had if two methods were the same.

    Returns:
        (flip, person) of 1 and -1, the first row all 1: every combination if there are at most `flips`, else so many.
    """
    if 2**persons <= flips:
        return _every_sign(persons)
    signs = rng.choice([-1.0, 1.0], size=(flips, persons))
    signs[0] = 1.0
    return signs


@cache
def _every_sign(persons: int) -> Array:
    signs: Array = 1.0 - 2.0 * (np.arange(2**persons)[:, None] >> np.arange(persons) & 1)
    return signs


def permutation_p(differences: Array, signs: Array) -> Array:
    """Two-sided permutation tests of mean differences (Fisher 1935): shares of sign flips with a mean as far from 0.

    Args:
        differences: (person, pair); NaN is left out.
        signs: (flip, person), from `sign_flips`.

    Returns:
        (pair,), NaN without persons.
    """
    # not scipy's permutation_test: it holds (flip, person, pair) in memory, and calls the statistic once per batch
    present = ~np.isnan(differences)
    values = np.where(present, differences, 0.0)
    p = np.full(values.shape[1], np.nan)
    for start in range(0, p.size, _PAIRS_AT_A_TIME):
        pairs = slice(start, start + _PAIRS_AT_A_TIME)
        sums = np.abs(signs @ values[:, pairs])
        slack = 1e-9 * np.abs(values[:, pairs]).sum(axis=0)  # equal sums differ by rounding
        p[pairs] = (sums >= sums[0] - slack).mean(axis=0)
    return np.where(present.any(axis=0), p, np.nan)


def noninferiority_p(differences: Array, margin: float) -> Array:
    """One-sided test that the mean difference is above -margin: Student's t, and with Hall's transformation.

    The transformation takes out the skewness (Hall 1992, JRSS B 54:221, g1). Where single persons do much worse
    (skewness -2) a plain t test finds a method that is worse by just the margin not inferior in 9 to 13% of studies of
    12 to 40 persons, this one in 6 to 8%. Of few persons, at the levels of a correction, the transformed test alone
    errs two or three times as often as promised: the larger of both p counts.

    Args:
        differences: (person, pair), above 0 where the first is better.
        margin: Largest mean difference that does not matter.

    Returns:
        (pair,); NaN with fewer than three persons; 0 or 1 where all differences are one value.
    """
    differences = np.round(differences, _DECIMALS)
    persons = (~np.isnan(differences)).sum(axis=0)
    mean, sd = mean_and_sd(differences)
    skew, enough = np.full(persons.shape, np.nan), (persons > 2) & (sd > 10.0**-_DECIMALS)
    if enough.any():  # scipy warns of columns of fewer, or of one value
        skew[enough] = stats.skew(differences[:, enough], axis=0, bias=False, nan_policy="omit")
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (mean + margin) / sd
        g = x + skew * x**2 / 3 + skew**2 * x**3 / 27 + skew / (6 * persons)
        p = stats.t.sf(np.sqrt(persons) * np.minimum(g, x), persons - 1)
    certain = np.where(mean > -margin, 0.0, 1.0)
    return np.asarray(np.where(persons > 2, np.where(enough, p, certain), np.nan))


def equivalence_p(differences: Array, margin: float) -> Array:
    """Two one-sided tests (TOST; Schuirmann 1987): small where the mean lies within +-margin for sure.

    Each is that of `noninferiority_p`, whose arguments it has.

    Returns:
        (pair,), the larger of the two p values; NaN with fewer than three persons.
    """
    return np.maximum(noninferiority_p(differences, margin), noninferiority_p(-differences, margin))


def signed_rank_posterior(differences: Array, rope: float, weights: Array) -> tuple[float, float, float]:
    """Bayesian signed-rank test with a region of practical equivalence (Benavoli et al. 2017, JMLR 18:77, sec. 4.2).

    Args:
        differences: (person,), without NaN.
        rope: Differences up to this size are practically none.
        weights: (draw, 1 + person), from `dirichlet_weights`.

    Returns:
        Probabilities that a difference is below -rope, within, and above rope; they sum to 1.
    """
    # not baycomp: it goes through the draws one by one, seconds a pair; the tests compare with it
    values = np.concatenate([[0.0], differences])  # the prior's one pseudo-observation lies in the region
    sums = values[:, None] + values
    # what lies on an edge is within: two methods with the same scores are the same, also where the region is a point
    above, below = ((sign * sums > 2 * rope).astype(float) for sign in (1, -1))
    shares = np.stack([((weights @ side) * weights).sum(axis=1) for side in (below, above)])
    regions = np.stack([shares[0], 1 - shares.sum(axis=0), shares[1]])
    left, within, right = np.bincount(regions.argmax(axis=0), minlength=3) / len(weights)
    return float(left), float(within), float(right)


def dirichlet_weights(persons: int, draws: int, rng: np.random.Generator, *, prior: float = 0.5) -> Array:
    """Draws of the Dirichlet process's weights of the prior (first) and of each person: (draw, 1 + person)."""
    return rng.dirichlet(np.concatenate([[prior], np.ones(persons)]), draws)


def welch(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Two-sided Welch's t test (Welch 1947) of the means of two independent groups, and the 95% interval.

    Args:
        a: (person, column), NaN left out.
        b: (other person, column).

    Returns:
        p, lower and upper limit of mean(a) - mean(b), each (column,); NaN where a group has fewer than two persons.
    """
    (mean_a, error_a, df_a), (mean_b, error_b, df_b) = _squared_error(a), _squared_error(b)
    difference, error = mean_a - mean_b, np.sqrt(error_a + error_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = error**4 / (error_a**2 / df_a + error_b**2 / df_b)
    return _t_test(difference, error, df)


def paired_t(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Two-sided paired t test of the means of the same persons, and the 95% interval.

    Args:
        a: (person, column), NaN left out.
        b: (the same person, column).

    Returns:
        p, lower and upper limit of mean(a) - mean(b), each (column,); NaN with fewer than two persons.
    """
    mean, squared_error, df = _squared_error(a - b)
    return _t_test(mean, np.sqrt(squared_error), df)


def _t_test(difference: Array, error: Array, df: Array) -> tuple[Array, Array, Array]:
    """P and 95% interval of a difference with its standard error; without any, there is no doubt of it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(error == 0, difference == 0, 2 * stats.t.sf(np.abs(difference) / error, df))
    half_width = np.where(error == 0, 0.0, stats.t.ppf(0.975, df) * error)
    return p, difference - half_width, difference + half_width


def _squared_error(values: Array) -> tuple[Array, Array, Array]:
    """Mean, squared standard error and degrees of freedom of each column."""
    persons = (~np.isnan(values)).sum(axis=0)
    mean, sd = mean_and_sd(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        return mean, sd**2 / persons, persons - 1.0


def mean_and_sd(values: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (n - 1) over the first axis, NaN left out; NaN where too few remain."""
    present = ~np.isnan(values)
    number = present.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(present, values, 0.0).sum(axis=0) / number
        squares = np.where(present, (values - mean) ** 2, 0.0).sum(axis=0)
        sd = np.sqrt(squares / np.where(number > 1, number - 1, np.nan))
    return mean, sd


def holm(p: Array) -> Array:
    """P values adjusted for their number (Holm 1979); NaN entries stay and do not count.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]

    Args:
        p: The p values of one family, any shape.
    """
    flat = np.asarray(p, float).ravel()
    adjusted = np.full(flat.shape, np.nan)
    order = np.argsort(flat)[: np.count_nonzero(~np.isnan(flat))]  # NaN sorts last
    # not statsmodels' multipletests: it collects garbage in every call, which takes longer than all tests together
    adjusted[order] = np.minimum(np.maximum.accumulate(flat[order] * np.arange(order.size, 0, -1)), 1)
    return adjusted.reshape(np.shape(p))


def resample_persons(persons: int, resamples: int, rng: np.random.Generator) -> Array:
    """How often each person is drawn in each bootstrap resample.

    Returns:
        (resample, person), each row summing to `persons`.
    """
    return rng.multinomial(persons, np.full(persons, 1 / persons), size=resamples).astype(float)


def bootstrap_means(sums: Array, counts: Array, draws: Array) -> Array:
    """Means of cases in each resample of persons: a person brings all of their cases (cluster bootstrap).

    Args:
        sums: (person, column), sum of a person's cases.
        counts: (person, column), how many cases that is.
        draws: (resample, person), from `resample_persons`.

    Returns:
        (resample, column); NaN where a resample holds no case.
    """
    # where nobody lacks a value one column of counts stands for all
    number = draws @ (counts[:, :1] if np.all(counts == counts[:, :1]) else counts)
    with np.errstate(invalid="ignore"):
        return np.asarray((draws @ sums) / number)


def interval(resampled: Array, persons: npt.ArrayLike, *, level: float = 0.95) -> tuple[Array, Array]:
    """Bootstrap percentile interval, widened for few persons (Hesterberg 2015, expanded percentile interval).

    Plain percentile intervals are too narrow by about sqrt((n - 1) / n) and the gap between normal and t quantiles.
    Of fewer than eight persons it is Student's, with the bootstrap's standard error: no resample's mean lies beyond the
    largest value, which of two is below the true mean in a quarter of all studies.

    Args:
        resampled: (resample, column).
        persons: How many persons each column rests on.
        level: Coverage.

    Returns:
        Lower and upper limits (column,); NaN with fewer than two persons.
    """
    number = np.broadcast_to(np.asarray(persons), resampled.shape[1:])
    limits = np.full((2, *number.shape), np.nan)
    for n in np.unique(number[number > 1]):
        columns, reach = number == n, stats.t.ppf((1 + level) / 2, n - 1) * np.sqrt(n / (n - 1))
        if n < _FEW_PERSONS:
            mean, sd = mean_and_sd(resampled[:, columns])
            limits[:, columns] = mean - reach * sd, mean + reach * sd
        else:
            tail = stats.norm.cdf(-reach)
            limits[:, columns] = quantiles(resampled[:, columns], [tail, 1 - tail])
    return limits[0], limits[1]


def mean_interval(values: Array, draws: Array) -> tuple[Array, Array]:
    """Bootstrap interval of means over persons, as `interval`.

    Args:
        values: (person, column); NaN is left out.
        draws: (resample, person), from `resample_persons`.
    """
    present = ~np.isnan(values)
    means = bootstrap_means(np.where(present, values, 0.0), present.astype(float), draws)
    return interval(means, present.sum(axis=0))


def quantiles(values: Array, shares: list[float]) -> Array:
    """Quantiles over the first axis (share, column), NaN left out."""
    # nanquantile goes through the columns one by one
    quantile = np.nanquantile if np.isnan(values).any() else np.quantile
    return np.asarray(quantile(values, shares, axis=0))


def _wilcoxon_p(differences: Array) -> Array:
    persons, pairs = differences.shape
    p = np.full(pairs, np.nan)
    plain = _without_ties(differences) & (persons > 1)
    if plain.any():
        p[plain] = stats.wilcoxon(differences[:, plain].copy(), axis=0).pvalue
    for pair in np.flatnonzero(~plain):
        values = differences[:, pair]
        values = values[~np.isnan(values)]
        if values.size > _MOST_EXACT:
            p[pair] = stats.wilcoxon(values).pvalue if np.any(values != 0) else 1.0
        elif values.size:
            p[pair] = _exact_wilcoxon_p(values[values != 0])
    return p


def _exact_wilcoxon_p(values: Array) -> float:
    """By all signs that the ranks might have had; 1 where there is no difference."""
    # not scipy's: with ties it goes through the signs one by one, a second for 13 persons
    signed = np.sign(values) * stats.rankdata(np.abs(values))
    return float(permutation_p(signed[:, None], _every_sign(values.size))[0]) if values.size else 1.0


def _without_ties(differences: Array) -> npt.NDArray[np.bool_]:
    """Columns without NaN, zeros or equal magnitudes."""
    magnitudes = np.sort(np.abs(differences), axis=0)
    distinct = np.all(np.diff(magnitudes, axis=0) > 0, axis=0) & ~np.isnan(magnitudes).any(axis=0)
    return np.asarray(distinct & np.all(magnitudes > 0, axis=0))
