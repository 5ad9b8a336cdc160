"""What the page says of declared claims and of groups of people."""

import json

import pandas as pd
import pytest

from dlfbench.records.declared import declare
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.sections.claims import CLAIMS
from dlfbench.report.sections.subgroups import SUBGROUPS
from dlfbench.report.shown.verdict import declared
from dlfbench.study.claims import DeclaredAnalysis
from synthetic_run import make_results, make_run

pytestmark = pytest.mark.figures

DECLARED = '[analysis]\nclaims = ["jlf > mv", "svwv >= jlf within 0.03 on uint8", "dlf > mv"]\n'


def declared_run(folder, *, said=DECLARED):
    run = make_run(folder)
    study = run / "study.toml"
    study.write_text(study.read_text() + said)
    return run


def test_claims_are_judged_and_told_from_exploration(tmp_path):
    run = declared_run(tmp_path / "run")
    declare(run, DeclaredAnalysis(claims=("jlf > mv",)), scores_made=0)
    content = CLAIMS.make(read_basis(run))
    assert list(content.frames["claims"]["verdict"]) == ["holds", "holds", "holds", "no result", "no result"]
    assert [str(cell) for cell in content.tables["claims"].rows[0]][:3] == ["jlf > mv", "in-domain", "all labels"]
    assert "before any result. All else on this page is exploration" in content.text[0]
    assert declared(read_basis(run)) == "3 of 5 claims hold. No result: dlf > mv (in-domain), dlf > mv (uint8)."


def test_a_declaration_changed_after_results_is_shown_as_such(tmp_path):
    run = declared_run(tmp_path / "run")
    declare(run, DeclaredAnalysis(claims=("jlf > mv",)), scores_made=0)
    declare(run, DeclaredAnalysis(claims=("jlf > svwv",)), scores_made=7)
    text = CLAIMS.make(read_basis(run)).text
    assert "after 7 scores had been made" in text[0]
    assert "jlf > mv; then 7 scores had been made" in text[1]


def test_without_claims_there_is_no_such_section(tmp_path):
    assert CLAIMS.make(read_basis(make_run(tmp_path / "run"))) is None


def test_groups_of_people_come_from_the_columns_of_the_cases(tmp_path):
    run = make_run(tmp_path / "run", make_results())
    cases = pd.read_parquet(run / "results.parquet")["case"].unique()
    about = {case: {"columns": {"age": "old" if case[-3:-1] < "06" else "young"}} for case in cases}
    (run / "cases.json").write_text(json.dumps({"cases": about}))
    content = SUBGROUPS.make(read_basis(run))
    rows = content.frames["subgroups"]
    assert set(rows["method"]) == {"mv", "svwv", "jlf"}
    assert set(zip(rows["persons_a"], rows["persons_b"], strict=True)) == {(6, 6)}
    assert len(content.frames["subgroup_interactions"]) == 2 * 3


def test_without_columns_nothing_is_said_of_groups(tmp_path):
    assert SUBGROUPS.make(read_basis(make_run(tmp_path / "run"))) is None
