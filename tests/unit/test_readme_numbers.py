"""Figures of README.md, reports/README.md and of the studies are those of the published results."""

import shutil
from pathlib import Path

import pytest

import benchmarks.check_readme
from benchmarks.check_readme import PAGES, ROOT, STUDIES, faults, faults_of_study, with_table


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


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_a_study_says_what_its_tables_say(study: Path):
    assert faults_of_study(study) == []


def test_a_figure_that_no_table_of_a_study_has_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(benchmarks.check_readme, "ROOT", tmp_path)
    (tmp_path / "tables").mkdir()
    shutil.copy(STUDIES[0] / "tables" / "summary.csv", tmp_path / "tables")
    (tmp_path / "README.md").write_text("The gain is 0.217 (0.012\nto 0.022; p 0.03).")
    assert faults_of_study(tmp_path) == ["README.md: no row of its tables has 0.217 (0.012 to 0.022)"]
