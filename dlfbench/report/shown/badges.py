"""What to know before the numbers are believed: who was tested, what failed, what leaked, how much was trained."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from dlfbench.datasets.cases import FIRST_GROUP
from dlfbench.report.basis.account import registration_counts
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.budgets import own_lengths
from dlfbench.report.basis.comparison import LEVEL, smallest_adjusted_p
from dlfbench.report.basis.separation import separation
from dlfbench.report.basis.shares import MISSES, atlases_that_miss, judged_atlases
from dlfbench.report.shown import format as say

State = Literal["good", "note", "bad"]
QUICK = "quick"
_ENOUGH_CASES = 3  # in which a label is missed: a rule, not chance


@dataclass(frozen=True, kw_only=True)
class Badge:
    """One thing to know.

    Attributes:
        text: A few words.
        state: `bad` says that the numbers mislead, `note` that they want a second look.
        section: Name of the section that says more.
        sentence: What follows from it; empty where the few words are enough.
    """

    text: str
    state: State
    section: str
    sentence: str = ""


def badges(basis: Basis) -> list[Badge]:
    """People, failures, leakage, registrations, training, labels that a method never gives."""
    every = [
        _people(basis),
        _failures(basis),
        _leakage(basis),
        *_registrations(basis),
        *_training(basis),
        _never_given(basis),
    ]
    return [badge for badge in every if badge is not None]


def _people(basis: Basis) -> Badge:
    counts = {scores.test_set: len(scores.persons) for scores in basis.scores if scores.test_set in basis.main_sets}
    persons = {person for scores in basis.scores for person in scores.persons}
    cases = {case for scores in basis.scores for case in scores.cases if scores.test_set in basis.main_sets}
    text = f"{say.count(len(persons), 'person', 'people')}, {say.count(len(cases), 'case')}"
    methods = len(basis.methods)
    few = methods > 1 and any(
        smallest_adjusted_p(count, methods * (methods - 1) // 2) >= LEVEL for count in counts.values()
    )  # the verdict on each of these sets says so
    return Badge(text=text, state="note" if few else "good", section="settings")


def _failures(basis: Basis) -> Badge:
    methods = basis.failures[basis.failures["kind"] == "method"]
    if methods.empty and basis.failed_metrics:
        broken = ", ".join(metric.name for metric in basis.failed_metrics)
        sentence = f"{broken} raised errors in some cases, and no value of it is shown."
        return Badge(text="a metric failed", state="bad", section="completeness", sentence=sentence)
    if methods.empty:
        return Badge(text="no failures", state="good", section="completeness")
    sentence = f"Results of {', '.join(basis.incomplete)} are missing: no rank, and means are over fewer cases."
    return Badge(
        text=f"{say.count(len(methods), 'result')} missing", state="bad", section="completeness", sentence=sentence
    )


def _leakage(basis: Basis) -> Badge:
    separated = separation(basis.record)
    if separated.shared_persons:
        persons = say.count(separated.shared_persons, "person", "people")
        sentence = f"{persons} in both the training and the test cases of a fold: results are too good."
        return Badge(text="people on both sides", state="bad", section="settings", sentence=sentence)
    if not separated.recorded:
        sentence = "The splits are not recorded here: whether training and test cases share people cannot be checked."
        return Badge(text="separation not recorded", state="note", section="settings", sentence=sentence)
    if separated.untold_methods:
        sentence = f"What {', '.join(separated.untold_methods)} had seen of the test cases is not recorded."
        return Badge(text="separation partly recorded", state="note", section="settings", sentence=sentence)
    if separated.unknown_cases:
        sentence = (
            f"The data do not say whose image {say.count(separated.unknown_cases, 'case')} "
            f"{'is' if separated.unknown_cases == 1 else 'are'}: each counts as a person of its own."
        )
        return Badge(text="no case on both sides, people unknown", state="note", section="settings", sentence=sentence)
    return Badge(text="nobody on both sides", state="good", section="settings")


def _registrations(basis: Basis) -> Iterator[Badge]:
    planned = registration_counts(basis.record)["planned"]
    if not planned:
        return
    flagged = len(basis.flagged_registrations)
    candidate = [basis.row(name, "candidate", basis.labels[-1], "dice") for name in basis.main_sets]
    quality = ", ".join(say.number(row["mean"], "dice") for row in candidate if row is not None)
    text = f"{flagged} of {say.count(planned, 'registration')} flagged" + (f", Dice {quality}" if quality else "")
    share = flagged / planned
    sentence = (
        f"{100 * share:.0f}% of the registrations look wrong: methods that use atlases may be judged by their "
        "registration."
    )
    bad = share > 0.1
    yield Badge(text=text, state="note" if bad else "good", section="bounds", sentence=sentence if bad else "")
    candidates = basis.record.candidates
    missing = atlases_that_miss(candidates)
    if len(missing):
        told = f"{len(missing)} of {say.count(judged_atlases(candidates), 'warped atlas', 'warped atlases')}"
        where = say.count(missing["case"].nunique(), "case")
        sentence = (
            f"{told} hardly meet the reference (mean Dice below {MISSES}), in {where}: their registrations failed, "
            "flagged or not."
        )
        yield Badge(text=f"{told} miss", state="note", section="bounds", sentence=sentence)


def _training(basis: Basis) -> Iterator[Badge]:
    tables = {method: basis.record.study.methods.get(method, {}) for method in basis.methods}
    presets = {method: str(table["preset"]) for method, table in tables.items() if table.get("preset")}
    if not presets:
        return
    quick = [method for method, preset in presets.items() if preset == QUICK]
    if not quick:
        text = f"training: {', '.join(sorted(set(presets.values())))}"
        if own := [f"{method}{length}" for method in presets if (length := _length(tables[method]))]:
            sentence = f"{', '.join(own)}: trained for a length of its own, not that of the budget."
            yield Badge(text=f"{text}, other lengths", state="note", section="settings", sentence=sentence)
        else:
            yield Badge(text=text, state="good", section="settings")
        return
    named = ", ".join(f"{method}{_length(tables[method])}" for method in quick)
    sentence = (
        f"{named}: trained with the budget “{QUICK}”, which is made to try things out. Their scores do not say what "
        "these methods can do."
    )
    yield Badge(text=f"training: {QUICK}", state="bad", section="settings", sentence=sentence)


def _never_given(basis: Basis) -> Badge | None:
    """Of methods that give a label in none of the cases whose references have it."""
    results = basis.record.results
    there = results[
        (results["label"] < FIRST_GROUP) & (results["status"] == "ok") & ~results["reference_empty"].eq(True)
    ]
    never = (
        there["prediction_empty"]
        .eq(True)
        .groupby([there["method"], there["label_name"]], sort=False)
        .agg(["all", "size"])
    )
    missed = never[never["all"] & (never["size"] >= _ENOUGH_CASES)].index
    named = [
        f"{method} ({', '.join(labels)})"
        for method in basis.methods
        if (labels := [str(label) for of, label in missed if of == method])
    ]
    if not named:
        return None
    sentence = (
        f"Labels that a method gives in no case that has them: {'; '.join(named)}. It has not learned "
        "them (trained too little?) or names them otherwise; its means do not say how well it can segment."
    )
    return Badge(text="labels never given", state="bad", section="labels", sentence=sentence)


def _length(table: Any) -> str:
    said = [f"{value} {name}" for name, value in own_lengths(table).items()]
    return f" ({', '.join(said)})" if said else ""
