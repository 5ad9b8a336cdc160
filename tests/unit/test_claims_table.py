"""The page of published studies says of the declared claims what the published results say."""

from pathlib import Path

from benchmarks.claims_table import END, START, published_claims, table

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_says_what_the_published_results_say():
    page = (ROOT / "reports" / "README.md").read_text(encoding="utf-8")
    assert page[page.index(START) : page.index(END) + len(END)] == table()


def test_every_published_study_with_claims_answers_some():
    judged = dict(published_claims())
    assert {"hippocampus-cv", "hippocampus-generalization"} <= set(judged)
    assert set(judged["hippocampus-cv"]["verdict"]) <= {"holds", "does not hold", "undecided"}
    assert all(claims["persons"].any() for claims in judged.values())
