"""The declared claims of a study, tested: one family, corrected together, apart from all exploration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dlfbench.metrics.known import METRICS
from dlfbench.report.basis.scores import ALL_LABELS, Scores
from dlfbench.report.basis.statistics import (
    Array,
    dirichlet_weights,
    holm,
    mean_and_sd,
    mean_interval,
    noninferiority_p,
    paired_tests,
    signed_rank_posterior,
)
from dlfbench.study.claims import Claim, DeclaredAnalysis

HOLDS, FAILS, OPEN, UNANSWERED = "holds", "does not hold", "undecided", "no result"
CLAIM_COLUMNS = [
    *("claim", "relation", "margin", "test_set", "metric", "label", "a", "b", "persons", "persons_planned"),
    *("difference", "low", "high", "p", "p_holm", "verdict", "worse", "same", "better"),
]
_DRAWS = 20_000


@dataclass(frozen=True)
class _Question:
    """One claim in one test set for one label.

    Attributes:
        claim: As declared.
        test_set: Its name.
        label: A label, a group of labels, or `ALL_LABELS`.
        scores: Of the test set; None where there are none of it, of one of the methods or of the label.
        differences: (person,), above 0 where a is better.
    """

    claim: Claim
    test_set: str
    label: str
    scores: Scores | None
    differences: Array

    @property
    def persons_planned(self) -> int:
        """Who was to be tested by both methods."""
        if self.scores is None:
            return 0
        both = [self.scores.methods.index(name) for name in (self.claim.a, self.claim.b)]
        return len(set(self.scores.person_of[self.scores.planned[:, both].all(axis=1)]))

    def supported(self, verdict: str, *better: str) -> str:
        """A verdict; undecided where a method that does well in it has no result for some cases."""
        assert self.scores is not None
        return verdict if all(self.scores.complete(name) for name in better) else OPEN


@dataclass(frozen=True)
class _Test:
    """What a claim's test found.

    Attributes:
        p: Not corrected; NaN where there are too few people.
        against: P of the opposite: that b is better, or that the mean lies beyond the margin.
        toward: Above 0 where a is better than b, below where b is: by ranks and by mean, 0 where these disagree; of
            claims about a margin by the mean.
    """

    p: float = np.nan
    against: float = np.nan
    toward: float = 0.0


def judge_claims(analysis: DeclaredAnalysis, test_sets: Sequence[Scores]) -> pd.DataFrame:
    """One row per claim, test set and label: `CLAIM_COLUMNS`.

    Superiority by Wilcoxon's signed-rank test, where the mean points the same way; not inferior and equivalent by
    one-sided tests of the mean difference at the margin (see `noninferiority_p`). No verdict is in favour of a method
    that has no result for some cases: it may have failed on the worst. `p_holm` is corrected over all rows. `persons`
    of `persons_planned` have a difference; `difference`, `low` and `high` (95%, bootstrap over persons) are a - b in
    the metric's own direction. A superiority does not hold where b is significantly better; a margin where the mean is
    significantly beyond it, corrected likewise. worse, same, better: the Bayesian signed-rank test's probabilities
    that a is worse or better than b by more than the margin.

    What was declared has a row, and counts in the correction, also where there are no results: else the family could be
    chosen by what is run.
    """
    questions = _questions(analysis, test_sets)
    if not questions:
        return pd.DataFrame(columns=CLAIM_COLUMNS)
    tests = [_test(question, analysis) for question in questions]
    p_holm, against = (_corrected([getattr(test, name) for test in tests]) for name in ("p", "against"))
    rows = [
        _row(question, analysis, test.p, float(adjusted), _verdict(question, test, adjusted < analysis.alpha, no))
        for question, test, adjusted, no in zip(questions, tests, p_holm, against < analysis.alpha, strict=True)
    ]
    return pd.DataFrame(rows, columns=CLAIM_COLUMNS)


def _corrected(p: Sequence[float]) -> Array:
    """Holm's correction in which what cannot be tested counts as well."""
    return np.where(np.isnan(p), np.nan, holm(np.nan_to_num(np.array(p), nan=1.0)))


def direction_of(name: str) -> int:
    """Of a metric: 1 where higher is better, -1 where lower is."""
    return next(metric.direction for metric in METRICS if metric.name == name)


def place_of_claim(row: pd.Series) -> str:
    """A row of `judge_claims` by name: `dlf > jlf (uint8, hippocampus)`; the label only where it is one of several."""
    label = "" if row["label"] == ALL_LABELS else f", {row['label']}"
    return f"{row['claim']} ({row['test_set']}{label})"


def _questions(analysis: DeclaredAnalysis, test_sets: Sequence[Scores]) -> list[_Question]:
    known = {one.test_set: one for one in test_sets}
    return [
        _question(claim, name, label, known.get(name), analysis.metric)
        for claim in analysis.claims
        for name in ([claim.test_set] if claim.test_set else analysis.test_sets or known)
        for label in analysis.labels or (ALL_LABELS,)
    ]


def _question(claim: Claim, test_set: str, label: str, scores: Scores | None, metric: str) -> _Question:
    if scores is None or label not in scores.labels or not {claim.a, claim.b} <= set(scores.methods):
        return _Question(claim, test_set, label, None, np.empty(0))
    return _Question(claim, test_set, label, scores, scores.differences(claim.a, claim.b, metric=metric, label=label))


def _test(question: _Question, analysis: DeclaredAnalysis) -> _Test:
    if question.scores is None:
        return _Test()
    column, margin = question.differences[:, None], analysis.margin_of(question.claim)
    if question.claim.relation == "superior":
        tests = paired_tests(column)
        p, toward = float(tests.p[0]), float(tests.rank_biserial[0])
        agreed = toward if toward * tests.mean[0] > 0 else 0.0
        if analysis.direction == "two-sided":
            return _Test(p, p, agreed)
        return _Test(p / 2 if toward > 0 else 1 - p / 2, toward=agreed)
    assert margin is not None
    mean = float(mean_and_sd(column)[0][0])
    not_worse, not_better = (float(noninferiority_p(sign * column, margin)[0]) for sign in (1, -1))
    worse, better = (float(noninferiority_p(sign * column, -margin)[0]) for sign in (-1, 1))
    if question.claim.relation == "not inferior":
        return _Test(not_worse, worse, mean)
    return _Test(max(not_worse, not_better), min(1.0, 2 * min(worse, better)), mean)


def _row(question: _Question, analysis: DeclaredAnalysis, p: float, p_holm: float, verdict: str) -> dict[str, Any]:
    claim, sign = question.claim, direction_of(analysis.metric)
    difference, low, high = _estimate(question)
    worse, same, better = _posterior(question, analysis)
    return {
        "claim": claim.text,
        "relation": claim.relation,
        "margin": analysis.margin_of(claim) if claim.relation != "superior" else np.nan,
        "test_set": question.test_set,
        "metric": analysis.metric,
        "label": question.label,
        "a": claim.a,
        "b": claim.b,
        "persons": int((~np.isnan(question.differences)).sum()),
        "persons_planned": question.persons_planned,
        "difference": sign * difference,
        "low": min(sign * low, sign * high),
        "high": max(sign * low, sign * high),
        "p": p,
        "p_holm": p_holm,
        "verdict": verdict,
        "worse": worse,
        "same": same,
        "better": better,
    }


def _estimate(question: _Question) -> tuple[float, float, float]:
    """The mean difference and its interval, above 0 where a is better."""
    if question.scores is None:
        return (np.nan,) * 3
    column = question.differences[:, None]
    low, high = mean_interval(column, question.scores.draws)
    return float(mean_and_sd(column)[0][0]), float(low[0]), float(high[0])


def _posterior(question: _Question, analysis: DeclaredAnalysis) -> tuple[float, float, float]:
    values = question.differences[~np.isnan(question.differences)]
    rope = analysis.margin_of(question.claim) or 0.0
    if values.size == 0:
        return (np.nan,) * 3
    return signed_rank_posterior(values, rope, dirichlet_weights(values.size, _DRAWS, np.random.default_rng(0)))


def _verdict(question: _Question, test: _Test, holds: bool, fails: bool) -> str:
    """What follows, where the claim's test and that of its opposite are significant or not."""
    claim = question.claim
    if question.scores is None:
        return UNANSWERED
    if holds and (claim.relation != "superior" or test.toward > 0):
        return question.supported(HOLDS, claim.a, *([claim.b] if claim.relation == "equivalent" else []))
    if fails and test.toward < 0:
        return question.supported(FAILS, claim.b)
    return question.supported(FAILS, claim.a) if fails and claim.relation == "equivalent" else OPEN
