"""What the numbers are: metrics, statistics, sources, and what to cite."""

import math
from collections.abc import Sequence

from dlfbench.metrics.known import METRICS
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.comparison import EQUIVALENCE_MARGIN, LEVEL, MANY_METHODS
from dlfbench.report.basis.repeatability import repeated_scans
from dlfbench.report.basis.scores import FLIPS, RESAMPLES, Scores
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say


def make(basis: Basis) -> Content:
    """Definitions to read, and paragraphs to paste into a paper."""
    return Content(
        text=statistical_methods(basis),
        shown={
            "metrics": [(say.TITLES[metric.name], metric) for metric in METRICS],
            "tolerance_mm": basis.record.identity.tolerance_mm,
            "how_to_cite": how_to_cite(basis),
            "citations": citations(),
        },
    )


DEFINITIONS = Section(name="definitions", title="Definitions and statistics", make=make, folded=True)


def statistical_methods(basis: Basis) -> list[str]:
    """Paragraphs to paste into a paper."""
    margin = EQUIVALENCE_MARGIN["dice"]
    many = [f"With more than {MANY_METHODS} methods, metrics other than Dice are compared over all labels only."] * (
        len(basis.methods) > MANY_METHODS
    )
    return [
        "Each case gives one value per method, label and metric; where it was tested in several folds, or by several "
        "trainings, their mean. "
        "The value over all labels is the mean over a case's labels. A label that is in neither the reference nor the "
        "prediction has no value and is counted; where it is in only one of them the metric takes its worst value. "
        "Means, standard deviations and quartiles are over cases."
        f"{_groups(basis)}",
        "The unit of inference is the person. 95% confidence intervals of means are percentile bootstrap intervals "
        f"that resample persons with all their cases ({RESAMPLES} resamples), widened for small samples (expanded "
        f"percentile interval, Hesterberg 2015); Student's of fewer than eight. They hold {basis.variance_held}.",
        "Two methods are compared by the Wilcoxon signed-rank test (two-sided; exact without ties up to 50 persons, "
        "with ties up to 13) on each person's mean difference over the cases that both methods scored. P values are "
        "adjusted by Holm's method; a family is all pairs of methods within one test set, metric and label. The level "
        f"is {LEVEL}. "
        f"{_permutation(basis)}Effect size is the matched-pairs rank-biserial correlation. "
        "Two methods are called equivalent in Dice if two one-sided t tests with Hall's correction for skewness (TOST, "
        f"Holm-adjusted in the same family) put the mean difference within ±{margin}.",
        "A method that gave no result for a planned case is shown with the number of cases behind its means and is not "
        "ranked. Bounds (oracle, single candidate) use the reference and are never ranked.",
        *many,
        *_loss_paragraph(basis.scores),
        *_repeat_paragraph(basis),
    ]


def _groups(basis: Basis) -> str:
    if not basis.record.groups:
        return ""
    return (
        " A group of labels is scored as one structure: the union of its labels' voxels; it is in no mean over labels."
    )


def _permutation(basis: Basis) -> str:
    if len(basis.methods) > MANY_METHODS:
        return ""
    flips = _flips([len(scores.persons) for scores in basis.scores])
    return (
        f"Beside it stands a permutation test of the mean difference ({flips}), adjusted alike; verdicts and marks "
        "follow the signed-rank test. "
    )


def _flips(persons: Sequence[int]) -> str:
    """Which sign flips are taken in test sets of so many persons; see `sign_flips`."""
    most, what = int(math.log2(FLIPS)), "sign flips of the persons' differences"
    if max(persons) <= most:
        return f"all {what}"
    if min(persons) > most:
        return f"{FLIPS} random {what}"
    return f"all {what} in test sets of up to {most} persons, {FLIPS} random ones in others"


def _repeat_paragraph(basis: Basis) -> list[str]:
    if not any(repeated_scans(basis.record, scores) for scores in basis.scores):
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
        "where both test sets are of the same persons), adjusted by Holm's method within test set and label. Where "
        "both test sets are of the same persons, losses and their differences are of those who have a value in both."
    ]


def how_to_cite(basis: Basis) -> list[str]:
    """What a paper that uses these numbers should name."""
    record = basis.record
    versions = record.environment.versions
    description = record.data.description
    return [
        f"Software: dlfbench {versions.get('dlfbench', '')}".rstrip() + ", with the versions listed under Settings.",
        f"Data: {record.dataset}{f' ({description})' if description else ''}, as its authors ask to be cited; the "
        "split and seed under Settings, so that others can test on the same cases.",
        f"Methods: the papers of {', '.join(basis.methods)} as `dlfbench list methods` names them, with the "
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
