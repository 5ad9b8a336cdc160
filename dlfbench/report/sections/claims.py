"""The declared claims, judged: what was planned, apart from what was found."""

from collections.abc import Iterator

import pandas as pd

from dlfbench.records.record import Record
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.claims import HOLDS, UNANSWERED, direction_of, place_of_claim
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import FULL_IN, INK, PALETTE, ROW_IN, RULE, Picture, finish, new_axes
from dlfbench.report.shown.tables import Cell, Table
from dlfbench.study.claims import DeclaredAnalysis

_COLOURS = {HOLDS: PALETTE[0], "does not hold": PALETTE[1], "undecided": "#767676"}


def make(basis: Basis) -> Content | None:
    """The claims that the study declared, each with its test, and when they were declared."""
    if (analysis := basis.analysis) is None:
        return None
    judged = basis.claims
    answered = judged[judged["verdict"] != UNANSWERED]
    return Content(
        text=[*_declared(basis.record), *_of_other_runs(basis.record), _held(basis)],
        tables={"claims": claims_table(judged, analysis)},
        frames={"claims": judged},
        pictures=[_forest(answered, analysis)] if len(answered) else (),
    )


CLAIMS = Section(name="claims", title="Declared claims", make=make)


def _declared(record: Record) -> Iterator[str]:
    declarations = record.declarations
    if not declarations:
        yield "The run does not say when these claims were declared. All else on this page is exploration."
        return
    *earlier, last = declarations
    when = "before any result" if last.before_results else f"after {say.count(last.scores_made, 'score')} had been made"
    when += f" of the run {_run_that_declared(record).folder.resolve().name}" if record.parts else ""
    yield f"Declared on {last.at[:10]}, {when}. All else on this page is exploration."
    for other, after in zip(earlier, declarations[1:], strict=True):
        claims = "; ".join(other.tables["claims"]) if other.tables else "none"
        changed = say.count(after.scores_made, "score")
        yield f"Changed: declared on {other.at[:10]} were {claims}; then {changed} had been made."


def _run_that_declared(record: Record) -> Record:
    """Of merged runs the first with an analysis, which is theirs."""
    return next((run for run in record.runs if run.study.analysis is not None), record)


def _of_other_runs(record: Record) -> Iterator[str]:
    """What merged runs bring that the declaration of one of them does not speak of."""
    own = _run_that_declared(record)
    for run in (run for run in record.parts if run is not own):
        name = run.folder.resolve().name
        if came := [method for method in record.methods if record.origin(method).folder == run.folder]:
            yield f"Results of the run {name} ({', '.join(came)}) may be older than this: when they came is not known."
        if run.study.analysis not in (None, own.study.analysis):
            claims = "; ".join(run.study.analysis.get("claims", ()))
            yield f"The run {name} declared claims of its own, which are judged on its own page alone: {claims}."


def _held(basis: Basis) -> str:
    return f"Intervals hold {basis.variance_held}."


def claims_table(judged: pd.DataFrame, analysis: DeclaredAnalysis) -> Table:
    """One row per claim, test set and label."""
    tested = ("people", "difference", "95% CI", "p", "p (Holm)", "P(better)", "P(same)", "P(worse)")
    rows = tuple(
        (
            Cell(row["claim"]),
            Cell(row["test_set"]),
            Cell(row["label"]),
            Cell(_people(row), row["persons"]),
            Cell(say.number(row["difference"], row["metric"], signed=True), row["difference"]),
            Cell(say.limits(row["low"], row["high"], row["metric"], signed=True), row["low"]),
            Cell(say.p_value(row["p"]), row["p"]),
            Cell(say.p_value(row["p_holm"]), row["p_holm"]),
            *(Cell(say.fixed(row[name], 2), row[name]) for name in ("better", "same", "worse")),
            Cell(row["verdict"], style="best" if row["verdict"] == HOLDS else "text"),
        )
        for _, row in judged.iterrows()
    )
    tests = say.count(len(judged), "test")
    note = (
        f"{say.TITLES[analysis.metric]}; difference of the first and the second method, mean over people with its "
        f"bootstrap interval. “>”: Wilcoxon's signed-rank test, {analysis.direction}, which can decide where the "
        "interval of the mean holds 0; “>=” and “==”: one-sided tests of the mean at the margin, with Hall's "
        f"correction for skewness where that is stricter. Holm over these {tests}, those without a result too, level "
        f"{analysis.alpha:g}. Nothing holds where ranks and mean point in different ways, or of a method that has no "
        "result for some cases; a margin does not hold where the mean is significantly beyond it. P(better), P(same), "
        "P(worse): Bayesian signed-rank test, by more than the claim's margin or the metric's; without one, at all."
    )
    columns = ("claim", "test set", "label", *tested, "verdict")
    return Table(title="Declared claims", columns=columns, rows=rows, text_columns=3, note=note)


def margins_of(row: pd.Series) -> list[float]:
    """Where the margins of a row of `judge_claims` lie, in the metric's own direction; the worse side first."""
    if pd.isna(row["margin"]):
        return []
    worse = -direction_of(row["metric"]) * row["margin"]
    return [worse, -worse] if row["relation"] == "equivalent" else [worse]


def _people(row: pd.Series) -> str:
    there, planned = row["persons"], row["persons_planned"]
    return str(there) if there == planned else f"{there} of {planned}"


def _forest(judged: pd.DataFrame, analysis: DeclaredAnalysis) -> Picture:
    axes = new_axes(FULL_IN, 0.7 + ROW_IN * len(judged))
    axes.axvline(0, color=RULE, zorder=0)
    for place, (_, row) in enumerate(judged.iterrows()):
        colour = _COLOURS[row["verdict"]]
        axes.hlines(place, row["low"], row["high"], color=colour, linewidth=2)
        axes.plot(row["difference"], place, "o", color=colour, markersize=6)
        margins = margins_of(row)
        axes.plot(margins, [place] * len(margins), "|", color=INK, markersize=10)
    axes.set_yticks(range(len(judged)), [place_of_claim(row) for _, row in judged.iterrows()])
    axes.set_ylim(len(judged) - 0.5, -0.5)
    axes.set_xlabel(f"difference in {say.TITLES[analysis.metric]}; bar: 95% interval; tick: margin")
    verdicts = "; ".join(f"{place_of_claim(row)}: {row['verdict']}" for _, row in judged.iterrows())
    return finish(axes, name="claims", title="Declared claims", alt=f"Differences and intervals. {verdicts}")
