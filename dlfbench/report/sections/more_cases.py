"""More cases: the best, a median one, the worst of each method."""

from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.chosen import choose
from dlfbench.report.section import Content, Section
from dlfbench.report.sections.cases import in_turn, legend, worst_choices
from dlfbench.report.shown.slices import draw_case

_MOST = 6


def make(basis: Basis) -> Content | None:
    """The first few that are not shown above: of each test set its last choice, then of each the one before, .."""
    above = {(choice.test_set, choice.case) for choice in worst_choices(basis)}
    by_set = [reversed(choose(basis, basis.scores_of(name))) for name in basis.main_sets]
    others = [one for one in in_turn(by_set) if (one.test_set, one.case) not in above][:_MOST]
    kept = [one for name in basis.main_sets for one in others if one.test_set == name]
    pictures = [picture for choice in kept if (picture := draw_case(basis, choice))]
    if not pictures:
        return None
    return Content(pictures=[case.picture for case in pictures], shown={"cases": pictures, **legend(basis)})


MORE_CASES = Section(name="more-cases", title="More cases", make=make, folded=True)
