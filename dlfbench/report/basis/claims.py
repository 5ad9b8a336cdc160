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

HOLDS, FAILS, OPEN = "holds", "does not hold", "undecided"
CLAIM_COLUMNS = [
    *("claim", "relation", "margin", "test_set", "metric", "label", "a", "b", "persons", "persons_planned"),
    *("difference", "low", "high", "p", "p_holm", "verdict", "worse", "same", "better"),
]
_DRAWS = 20_000


@dataclass(frozen=True)
class _Question:
    """One claim in one test set for one label; differences (person,), above 0 where a is better."""

    claim: Claim
    scores: Scores
    label: str
    differences: Array

    @property
    def persons_planned(self) -> int:
        """Who was to be tested by both methods."""
        both = [self.scores.methods.index(name) for name in (self.claim.a, self.claim.b)]
        return len(set(self.scores.person_of[self.scores.planned[:, both].all(axis=1)]))

    def supported(self, verdict: str, *better: str) -> str:
        """A verdict; undecided where a method that does well in it has no result for some cases."""
        return verdict if all(self.scores.complete(name) for name in better) else OPEN


@dataclass(frozen=True)
class _Test:
    """What a claim's test found.

    Attributes:
        p: Not corrected.
        toward: Above 0 where a is better than b by ranks and by mean, below where b is; 0 where ranks and mean
            disagree, and of claims about a margin.
    """

    p: float
    toward: float = 0.0


def judge_claims(analysis: DeclaredAnalysis, test_sets: Sequence[Scores]) -> pd.DataFrame:
    """One row per claim, test set and label: `CLAIM_COLUMNS`.

    Superiority by Wilcoxon's signed-rank test, where the mean points the same way; not inferior and equivalent by
    one-sided tests of the mean difference at the margin (see `noninferiority_p`). No verdict is in favour of a method
    that has no result for some cases: it may have failed on the worst. `p_holm` is corrected over all rows. `persons`
    of `persons_planned` have a difference; `difference`, `low` and `high` (95%, bootstrap over persons) are a - b in
    the metric's own direction. A superiority does not hold where b is significantly better; a margin where the interval
    lies beyond it, of enough persons for a test. worse, same, better: the Bayesian signed-rank test's probabilities
    that a is worse or better than b by more than the margin.

    Claims about methods or test sets that the results do not have are left out: `missing_claims` names them.
    """
    questions = _questions(analysis, test_sets)
    if not questions:
        return pd.DataFrame(columns=CLAIM_COLUMNS)
    tests = [_test(question, analysis) for question in questions]
    p = np.array([test.p for test in tests])
    p_holm = np.where(np.isnan(p), np.nan, holm(np.nan_to_num(p, nan=1.0)))  # what cannot be tested counts as well
    answers = zip(questions, tests, p_holm, strict=True)
    rows = [_row(question, test, analysis, float(adjusted)) for question, test, adjusted in answers]
    return pd.DataFrame(rows, columns=CLAIM_COLUMNS)


def missing_claims(analysis: DeclaredAnalysis, test_sets: Sequence[Scores]) -> list[str]:
    """Claims that no result answers, as declared."""
    asked = {question.claim.text for question in _questions(analysis, test_sets)}
    return [claim.text for claim in analysis.claims if claim.text not in asked]


def direction_of(name: str) -> int:
    """Of a metric: 1 where higher is better, -1 where lower is."""
    return next(metric.direction for metric in METRICS if metric.name == name)


def place_of_claim(row: pd.Series) -> str:
    """A row of `judge_claims` by name: `dlf > jlf (uint8, hippocampus)`; the label only where it is one of several."""
    label = "" if row["label"] == ALL_LABELS else f", {row['label']}"
    return f"{row['claim']} ({row['test_set']}{label})"


def _questions(analysis: DeclaredAnalysis, test_sets: Sequence[Scores]) -> list[_Question]:
    chosen = [one for one in test_sets if not analysis.test_sets or one.test_set in analysis.test_sets]
    labels = analysis.labels or (ALL_LABELS,)
    return [
        _Question(claim, scores, label, scores.differences(claim.a, claim.b, metric=analysis.metric, label=label))
        for claim in analysis.claims
        for scores in (chosen if claim.test_set is None else test_sets)
        for label in labels
        if claim.test_set in (None, scores.test_set) and {claim.a, claim.b} <= set(scores.methods)
        if label in scores.labels
    ]


def _test(question: _Question, analysis: DeclaredAnalysis) -> _Test:
    column = question.differences[:, None]
    margin = analysis.margin_of(question.claim)
    if question.claim.relation == "superior":
        tests = paired_tests(column)
        p, toward = float(tests.p[0]), float(tests.rank_biserial[0])
        agreed = toward if toward * tests.mean[0] > 0 else 0.0
        return _Test(p if analysis.direction == "two-sided" else (p / 2 if toward > 0 else 1 - p / 2), agreed)
    assert margin is not None
    not_worse, not_better = (float(noninferiority_p(sign * column, margin)[0]) for sign in (1, -1))
    return _Test(not_worse if question.claim.relation == "not inferior" else max(not_worse, not_better))


def _row(question: _Question, test: _Test, analysis: DeclaredAnalysis, p_holm: float) -> dict[str, Any]:
    claim, scores = question.claim, question.scores
    sign = direction_of(analysis.metric)
    low, high = (float(end[0]) for end in mean_interval(question.differences[:, None], scores.draws))
    worse, same, better = _posterior(question, analysis)
    return {
        "claim": claim.text,
        "relation": claim.relation,
        "margin": analysis.margin_of(claim) if claim.relation != "superior" else np.nan,
        "test_set": scores.test_set,
        "metric": analysis.metric,
        "label": question.label,
        "a": claim.a,
        "b": claim.b,
        "persons": int((~np.isnan(question.differences)).sum()),
        "persons_planned": question.persons_planned,
        "difference": sign * float(mean_and_sd(question.differences[:, None])[0][0]),
        "low": min(sign * low, sign * high),
        "high": max(sign * low, sign * high),
        "p": test.p,
        "p_holm": p_holm,
        "verdict": _verdict(question, test.toward, analysis, p_holm, (low, high)),
        "worse": worse,
        "same": same,
        "better": better,
    }


def _posterior(question: _Question, analysis: DeclaredAnalysis) -> tuple[float, float, float]:
    values = question.differences[~np.isnan(question.differences)]
    rope = analysis.margin_of(question.claim) or 0.0
    if values.size == 0:
        return (np.nan,) * 3
    return signed_rank_posterior(values, rope, dirichlet_weights(values.size, _DRAWS, np.random.default_rng(0)))


def _verdict(
    question: _Question, toward: float, analysis: DeclaredAnalysis, p_holm: float, limits: tuple[float, float]
) -> str:
    claim, margin, (low, high) = question.claim, analysis.margin_of(question.claim), limits
    significant = p_holm < analysis.alpha
    if significant and (claim.relation != "superior" or toward > 0):
        return question.supported(HOLDS, claim.a, *([claim.b] if claim.relation == "equivalent" else []))
    if claim.relation == "superior":
        against = significant and toward < 0 and analysis.direction == "two-sided"
        return question.supported(FAILS, claim.b) if against else OPEN
    assert margin is not None
    if np.isnan(p_holm):
        return OPEN
    if high < -margin:
        return question.supported(FAILS, claim.b)
    beyond = claim.relation == "equivalent" and low > margin
    return question.supported(FAILS, claim.a) if beyond else OPEN
