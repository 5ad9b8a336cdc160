"""Figures of README.md and reports/README.md are those of the published results."""

import pytest

from benchmarks.check_readme import PAGES, ROOT, faults, with_table


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_the_table_is_made_of_the_published_results():
    assert with_table(read("README.md")) == read("README.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_is_made_of_results(page: str):
    assert faults(page, read(page)) == []


def test_a_figure_that_nothing_published_says_is_a_fault():
    page = "README.md"
    assert faults(page, read(page) + "\nDice of 0.999.\n") == [f"{page}: 0.999 stands in no block and no sentence"]
    assert "expected the sentence" in faults(page, read(page).replace("tested on", "tried on"))[0]
