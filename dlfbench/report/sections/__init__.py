"""The sections of a report: one file and one template each. Their order here is their order on the page."""

from dlfbench.report.section import Section
from dlfbench.report.sections.bounds import BOUNDS
from dlfbench.report.sections.budgets import BUDGETS
from dlfbench.report.sections.calibration import CALIBRATION
from dlfbench.report.sections.cases import CASES
from dlfbench.report.sections.claims import CLAIMS
from dlfbench.report.sections.comparisons import COMPARISONS
from dlfbench.report.sections.completeness import COMPLETENESS
from dlfbench.report.sections.costs import COSTS
from dlfbench.report.sections.curves import CURVES
from dlfbench.report.sections.definitions import DEFINITIONS
from dlfbench.report.sections.ensembles import ENSEMBLES
from dlfbench.report.sections.generalization import GENERALIZATION
from dlfbench.report.sections.labels import LABELS
from dlfbench.report.sections.losses import LOSSES
from dlfbench.report.sections.metrics import METRIC_RANKS
from dlfbench.report.sections.more_cases import MORE_CASES
from dlfbench.report.sections.pair import PAIR
from dlfbench.report.sections.ranking import RANKING
from dlfbench.report.sections.registrations import REGISTRATIONS
from dlfbench.report.sections.repeatability import REPEATABILITY
from dlfbench.report.sections.results import RESULTS
from dlfbench.report.sections.settings import SETTINGS
from dlfbench.report.sections.shares import SHARES
from dlfbench.report.sections.subgroups import SUBGROUPS
from dlfbench.report.sections.summary import SUMMARY
from dlfbench.report.sections.training import TRAINING
from dlfbench.report.sections.trainings import TRAININGS
from dlfbench.report.sections.trust import TRUST
from dlfbench.report.sections.volumes import VOLUMES

OWN_SECTIONS: tuple[Section, ...] = (
    RESULTS,
    CLAIMS,
    TRAININGS,
    CURVES,
    BUDGETS,
    PAIR,
    METRIC_RANKS,
    ENSEMBLES,
    REGISTRATIONS,
    CASES,
    GENERALIZATION,
    COSTS,
    LABELS,
    COMPARISONS,
    SUMMARY,
    RANKING,
    LOSSES,
    BOUNDS,
    SHARES,
    VOLUMES,
    REPEATABILITY,
    SUBGROUPS,
    MORE_CASES,
    TRAINING,
    CALIBRATION,
    TRUST,
    COMPLETENESS,
    DEFINITIONS,
    SETTINGS,
)
