"""The sentences of a report: what was asked, what was found, and by which statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dlfbench.records.record import Record
from dlfbench.report.basis.analysis import Analysis
from dlfbench.report.basis.comparison import EQUIVALENCE_MARGIN, LEVEL, MANY_METHODS
from dlfbench.report.basis.scores import ALL_LABELS, FLIPS, RESAMPLES, Scores
from dlfbench.report.shown import format as say

_MOST_NAMED = 6


def facts(analysis: Analysis) -> list[tuple[str, str]]:
    """What was asked, as heads and entries."""
    record = analysis.record
    description = record.data.get("description")
    sets = [
        f"{s.test_set}: {say.count(len(s.cases), 'case')} of {say.count(len(s.persons), 'person')}"
        for s in analysis.scores
    ]
    runs = "; ".join(f"{run.folder.resolve().name}: {', '.join(run.methods)}" for run in record.parts)
    found = [
        ("Merged runs", runs),
        ("Dataset", record.dataset + (f": {description}" if description else "")),
        ("Methods", ", ".join(analysis.methods)),
        ("Labels", ", ".join(analysis.labels[:-1])),
        ("Test sets", "; ".join(sets)),
        ("Protocol", _protocol(record)),
        ("Separation", separation(record)),
    ]
    return [(head, text) for head, text in found if text]


def _protocol(record: Record) -> str:
    parts = [say.count(len(record.folds), "fold")] if record.folds else []
    sizes = sorted({len(fold.get("train", ())) for fold in record.folds})
    if sizes:
        span = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        parts.append(f"{span} training cases, which are also the atlases")
    protocol = record.study.get("protocol", {})
    wording = {
        "repeats": "repeats: {}",
        "hold_out": "share held out: {}",
        "train": "train on {}",
        "match": "atlas and target agree on {}",
        "atlases": "at most {} atlases a target",
        "cases": "at most {} cases a group",
    }
    for key, text in wording.items():
        value = protocol.get(key)
        if value and not (key == "repeats" and value == 1):
            parts.append(text.format(", ".join(value) if isinstance(value, list) else value))
    parts += [f"test set {name} is {where}" for name, where in protocol.get("test", {}).items()]
    return "; ".join([*parts, f"seed {record.seed}"])


def separation(record: Record) -> str:
    """Whether any case or person is in both sides of a fold, as far as persons are known."""
    if not record.folds:
        return ""
    untold = [method for run in record.parts if not run.folds for method in run.methods]
    if untold:
        known = separation(replace(record, parts=()))
        return f"{known}; what {', '.join(untold)} had seen of the test cases is not recorded"
    cases = record.data.get("cases", {})
    people = dict(zip(record.results["case"], record.results["person"], strict=True))
    people |= {name: str(case.get("person", name)) for name, case in cases.items()}
    shared = sum(_shared(fold, people) for fold in record.folds)
    unknown = sum(not _person_known(case) for case in cases.values())
    if shared:
        return f"{say.count(shared, 'person')} in both the training and the test cases of a fold: results are too good"
    text = "no case and no person is in both the training and the test cases of a fold"
    if unknown:
        text += (
            f"; the data do not say whose image {say.count(unknown, 'case')} {'is' if unknown == 1 else 'are'}, each "
            "counts as a person of its own: two cases of one person may be on both sides, and intervals may be too "
            "narrow"
        )
    return text


def _shared(fold: Mapping[str, Any], people: Mapping[str, str]) -> int:
    train = {people.get(case, case) for case in fold.get("train", ())}
    test = {people.get(case, case) for cases in fold.get("tests", {}).values() for case in cases}
    return len(train & test)


def _person_known(case: Mapping[str, Any]) -> bool:
    columns = case.get("columns", {})
    return bool(columns.get("person") or columns.get("session"))


def findings(analysis: Analysis) -> list[tuple[str, str]]:
    """Per test set, what the mean Dice over all labels says: (test set, sentences)."""
    return [(scores.test_set, _finding(analysis, scores)) for scores in analysis.scores]


def _finding(analysis: Analysis, scores: Scores) -> str:
    rows = {m: analysis.row(scores.test_set, m, ALL_LABELS, "dice") for m in analysis.methods}
    ranked = {m: row for m, row in rows.items() if row is not None and row["complete"]}
    sentences = [
        f"{method} is not ranked: {row['planned'] - row['scored']} of {row['planned']} cases have no result."
        for method, row in rows.items()
        if row is not None and not row["complete"]
    ]
    if not ranked:
        return " ".join(sentences)
    best = max(ranked, key=lambda method: ranked[method]["mean"])
    about = f"mean Dice {_with_interval(ranked[best])}"
    if len(ranked) == 1:
        return " ".join([f"{best}: {about}.", *sentences])
    smallest_p = smallest_adjusted_p(len(scores.persons), len(analysis.methods))
    if smallest_p >= LEVEL:
        return " ".join([f"{best} has the highest {about}.", _too_few(len(scores.persons), smallest_p), *sentences])
    others = [method for method in ranked if method != best]
    close = [method for method in others if ranked[method]["mark"] == "not worse"]
    beaten = [method for method in others if method not in close]
    sentences.insert(0, f"{best} has the highest {about}.")
    if beaten:
        sentences.insert(1, f"Significantly below it: {_listed(ranked, beaten)}.")
    if close:
        sentences.insert(1, f"Not significantly below it: {_listed(ranked, close)}.")
    return " ".join(sentences)


def smallest_adjusted_p(persons: int, methods: int) -> float:
    """The smallest Holm-adjusted p of the signed-rank test that so many persons and methods allow."""
    pairs = methods * (methods - 1) // 2
    return min(1.0, pairs * 2.0 ** (1 - persons))


def _too_few(persons: int, smallest_p: float) -> str:
    return (
        f"With {say.count(persons, 'person')} no difference can be significant: the smallest adjusted p possible is "
        f"{say.p_value(smallest_p)}."
    )


def _listed(rows: Mapping[str, Any], methods: list[str]) -> str:
    """The methods with their means, the highest first; of many, the first few and how many more."""
    ordered = sorted(methods, key=lambda method: -rows[method]["mean"])
    named = [f"{method} ({say.number(rows[method]['mean'], 'dice')})" for method in ordered[:_MOST_NAMED]]
    more = len(ordered) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _with_interval(row: Any) -> str:
    return f"{say.number(row['mean'], 'dice')} (95% CI {say.limits(row['low'], row['high'], 'dice')})"


def statistical_methods(analysis: Analysis) -> list[str]:
    """Paragraphs to paste into a paper."""
    margin = EQUIVALENCE_MARGIN["dice"]
    many = [f"With more than {MANY_METHODS} methods, metrics other than Dice are compared over all labels only."] * (
        len(analysis.methods) > MANY_METHODS
    )
    return [
        "Each case gives one value per method, label and metric; where it was tested in several folds, their mean. "
        "The value over all labels is the mean over a case's labels. A label that is in neither the reference nor the "
        "prediction has no value and is counted; where it is in only one of them the metric takes its worst value. "
        "Means, standard deviations and quartiles are over cases.",
        "The unit of inference is the person. 95% confidence intervals of means are percentile bootstrap intervals "
        f"that resample persons with all their cases ({RESAMPLES} resamples), widened for small samples (expanded "
        "percentile interval, Hesterberg 2015).",
        "Two methods are compared by the Wilcoxon signed-rank test (two-sided; exact without ties up to 50 persons) on "
        "each person's mean difference over the cases that both methods scored. P values are adjusted by Holm's "
        f"method; a family is all pairs of methods within one test set, metric and label. The level is {LEVEL}. "
        f"{_permutation(analysis)}Effect size is the matched-pairs rank-biserial correlation. "
        "Two methods are called equivalent in Dice if two "
        f"one-sided paired t tests (TOST, Holm-adjusted in the same family) put the mean difference within ±{margin}.",
        "A method that gave no result for a planned case is shown with the number of cases behind its means and is not "
        "ranked. Bounds (oracle, single candidate) use the reference and are never ranked.",
        *many,
        *_loss_paragraph(analysis.scores),
        *_repeat_paragraph(analysis),
    ]


def _permutation(analysis: Analysis) -> str:
    if len(analysis.methods) > MANY_METHODS:
        return ""
    persons = max(len(scores.persons) for scores in analysis.scores)
    how = "all" if 2**persons <= FLIPS else f"{FLIPS} random"
    return (
        f"Beside it stands a permutation test of the mean difference ({how} sign flips of the persons' differences), "
        "adjusted alike; verdicts and marks follow the signed-rank test. "
    )


def _repeat_paragraph(analysis: Analysis) -> list[str]:
    if analysis.repeatability.empty:
        return []
    return [
        "Repeatability: volumes of two scans of one person are compared as they are, scan by scan and side by side. "
        "For Dice the second image is aligned to the first rigidly (highest correlation of intensities), and its "
        "segmentation follows by nearest neighbour; the reference's own Dice contains the same resampling."
    ]


def _loss_paragraph(scores: Sequence[Scores]) -> list[str]:
    if len(scores) < 2:
        return []
    return [
        f"The loss of a method is its mean in {scores[0].test_set} less its mean in another test set (the other way "
        "round where lower is better), with a bootstrap interval that resamples the persons of both. Losses of two "
        "methods are compared by Welch's t test on the per-person differences between the methods (by a paired t test "
        "where both test sets are of the same persons), adjusted by Holm's method within test set and label."
    ]


def gaps(analysis: Analysis) -> str:
    """How many results there are not, by what became of them."""
    counts = analysis.failures["status"].value_counts()
    said = {"failed": "{} failed", "missing": "{} not run yet"}
    parts = [said.get(str(status), "{} " + str(status)).format(count) for status, count in counts.items()]
    return f"{say.count(int(counts.sum()), 'result')} missing: {', '.join(parts)}." if parts else ""


def how_to_cite(analysis: Analysis) -> list[str]:
    """What a paper that uses these numbers should name."""
    record = analysis.record
    versions = record.environment.get("versions", {})
    description = record.data.get("description")
    return [
        f"Software: dlfbench {versions.get('dlfbench', '')}".rstrip() + ", with the versions listed under Settings.",
        f"Data: {record.dataset}{f' ({description})' if description else ''}, as its authors ask to be cited; the "
        "split and seed above, so that others can test on the same cases.",
        f"Methods: the papers of {', '.join(analysis.methods)} as `dlfbench list methods` names them, with the "
        "parameters of the study file.",
        "Statistics: the paragraphs under Statistical methods, with their sources.",
    ]


def citations() -> list[str]:
    """Works that the statistics and metrics rest on."""
    return [
        "Dice 1945, Measures of the amount of ecologic association between species. Ecology 26:297.",
        "Nikolov et al. 2021, Clinically applicable segmentation of head and neck anatomy. JMIR 23:e26151.",
        "Wilcoxon 1945, Individual comparisons by ranking methods. Biometrics Bulletin 1:80.",
        "Holm 1979, A simple sequentially rejective multiple test procedure. Scand J Stat 6:65.",
        "Fisher 1935, The Design of Experiments, section 21. Oliver and Boyd.",
        "Kerby 2014, The simple difference formula. Comprehensive Psychology 3:11.IT.3.1.",
        "Schuirmann 1987, A comparison of the two one-sided tests procedure. J Pharmacokinet Biopharm 15:657.",
        "Demšar 2006, Statistical comparisons of classifiers over multiple data sets. JMLR 7:1.",
        "Benavoli et al. 2016, Should we really use post-hoc tests based on mean-ranks? JMLR 17:5.",
        "Hesterberg 2015, What teachers should know about the bootstrap. Am Stat 69:371.",
        "Bland and Altman 1986, Statistical methods for assessing agreement. Lancet 327:307.",
    ]
