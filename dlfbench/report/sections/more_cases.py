"""More cases: the best, a median one, the worst of each method."""

from itertools import chain, zip_longest

from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.chosen import choose
from dlfbench.report.section import Content, Section
from dlfbench.report.sections.cases import legend, worst_choices
from dlfbench.report.shown.slices import draw_case

_MOST = 6


def make(basis: Basis) -> Content | None:
    """The first few that are not shown above: of each test set its last choice, then of each the one before, .."""
    above = {(choice.test_set, choice.case) for choice in worst_choices(basis)}
    by_set = [reversed(choose(basis, basis.scores_of(name))) for name in basis.main_sets]
    in_turn = [
        one for one in chain.from_iterable(zip_longest(*by_set)) if one and (one.test_set, one.case) not in above
    ]
    kept = [one for name in basis.main_sets for one in in_turn[:_MOST] if one.test_set == name]
    pictures = [picture for choice in kept if (picture := draw_case(basis, choice))]
    if not pictures:
        return None
    return Content(pictures=[case.picture for case in pictures], shown={"cases": pictures, **legend(basis)})


MORE_CASES = Section(name="more-cases", title="More cases", make=make, folded=True)
