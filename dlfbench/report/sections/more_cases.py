"""More cases: the worst of each method, a median one, the best."""

from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.chosen import choose
from dlfbench.report.section import Content, Section
from dlfbench.report.sections.cases import legend, worst_choices
from dlfbench.report.shown.slices import draw_case

_MOST = 6


def make(basis: Basis) -> Content | None:
    """Per test set the choices that are not among the worst cases above."""
    above = {(choice.test_set, choice.case) for choice in worst_choices(basis)}
    pictures = []
    for name in basis.main_sets:
        choices = [one for one in choose(basis, basis.scores_of(name)) if (one.test_set, one.case) not in above]
        kept = choices if len(choices) <= _MOST else [*choices[: _MOST - 2], *choices[-2:]]
        pictures += [picture for choice in kept if (picture := draw_case(basis, choice))]
    if not pictures:
        return None
    return Content(pictures=[case.picture for case in pictures], shown={"cases": pictures, **legend(basis)})


MORE_CASES = Section(name="more-cases", title="More cases", make=make, folded=True)
