"""One comparison over several studies: the effect of each, pooled, and how far they disagree."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from dlfbench.report.basis.statistics import Array, mean_and_sd


@dataclass(frozen=True)
class Effect:
    """Paired differences of one study.

    Attributes:
        study: Its name, with the test set where it has several.
        differences: (person,), of the first method less the second; NaN left out.
    """

    study: str
    differences: Array


@dataclass(frozen=True)
class Pooled:
    """A random-effects meta-analysis.

    Attributes:
        studies: One row each: study, persons, difference, error, low, high, weight (share).
        left_out: Studies with fewer than two persons, or in which no difference varies: nothing says how sure they are.
        difference: Pooled mean difference.
        low, high: Its 95% interval (Hartung-Knapp-Sidik-Jonkman, modified).
        p: Two-sided, of the pooled difference.
        tau: Standard deviation of the true effects between studies.
        i2: Share of the variance that is between studies (Higgins 2002).
        expected: 95% prediction interval of a further study's true effect; NaN with fewer than three studies.
    """

    studies: pd.DataFrame
    left_out: tuple[str, ...]
    difference: float
    low: float
    high: float
    p: float
    tau: float
    i2: float
    expected: tuple[float, float]


def pool(effects: Sequence[Effect]) -> Pooled:
    """Pools effects by random effects: Paule and Mandel's variance, Hartung and Knapp's interval.

    Its standard error is no smaller than without Hartung and Knapp's factor: of few studies that happen to agree the
    factor is near 0 (Roever, Knapp and Friede 2015, BMC Med Res Methodol 15:99).

    Raises:
        ValueError: Fewer than two studies have two persons or more whose differences vary.
    """
    from statsmodels.stats.meta_analysis import combine_effects

    table = pd.DataFrame([_study(effect) for effect in effects])
    usable = table if table.empty else table[table["error"] > 0].reset_index(drop=True)
    left_out = () if table.empty else tuple(table.loc[~(table["error"] > 0), "study"])
    if len(usable) < 2:
        raise ValueError(f"expected two studies with persons whose differences vary, found {len(usable)}")
    with np.errstate(divide="ignore", invalid="ignore"):  # effects that are all the same
        pooled = combine_effects(
            usable["difference"].to_numpy(), usable["error"].to_numpy() ** 2, method_re="iterated", use_t=True
        )
    mean, df = float(pooled.mean_effect_re), len(usable) - 1
    error = float(max(pooled.sd_eff_w_re_hksj, pooled.sd_eff_w_re))
    half = float(stats.t.ppf(0.975, df)) * error
    tau = float(np.sqrt(max(pooled.tau2, 0.0)))
    return Pooled(
        usable.assign(weight=pooled.weights_rel_re),
        left_out,
        difference=mean,
        low=mean - half,
        high=mean + half,
        p=float(2 * stats.t.sf(abs(mean) / error, df)) if error > 0 else float("nan"),
        tau=tau,
        i2=float(max(pooled.i2, 0.0)) if pooled.q > 1e-9 else 0.0,  # equal effects: 0 by 0
        expected=_expected(mean, tau, error, len(usable)),
    )


def shared_people(studies: Mapping[str, Collection[str]]) -> list[str]:
    """Which studies, by name, have people of the same names, in words; if they are the same, they count more than once.

    Args:
        studies: The people of each.
    """
    found = ((one, other, len({*studies[one]} & {*studies[other]})) for one, other in combinations(studies, 2))
    return [f"{one} and {other}: {count}" for one, other, count in found if count]


def consensus_ranking(means: Array) -> npt.NDArray[np.float64]:
    """Mean rank of each method over studies, 1 is best.

    Args:
        means: (study, method), higher is better; studies without a value for every method are left out.
    """
    whole = means[~np.isnan(means).any(axis=1)]
    return np.asarray(stats.rankdata(-whole, axis=1).mean(axis=0) if len(whole) else np.full(means.shape[1], np.nan))


def _study(effect: Effect) -> dict[str, object]:
    column = effect.differences[:, None]
    persons = int((~np.isnan(column)).sum())
    mean, sd = (float(value[0]) for value in mean_and_sd(column))
    error = sd / np.sqrt(persons) if persons > 1 else float("nan")
    half = float(stats.t.ppf(0.975, persons - 1)) * error if persons > 1 else float("nan")
    limits = {"low": mean - half, "high": mean + half}
    return {"study": effect.study, "persons": persons, "difference": mean, "error": error, **limits}


def _expected(mean: float, tau: float, error: float, studies: int) -> tuple[float, float]:
    """Where a further study's true effect is expected (Higgins, Thompson and Spiegelhalter 2009, eq. 12)."""
    if studies < 3:
        return float("nan"), float("nan")
    half = float(stats.t.ppf(0.975, studies - 2)) * float(np.hypot(tau, error))
    return mean - half, mean + half
