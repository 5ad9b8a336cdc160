"""Runs of the same data and splits become one report; others are refused, with every reason."""

import json

import numpy as np
import pandas as pd
import pytest

from dlfbench.errors import InputError
from dlfbench.records.declared import Declaration, write_declarations
from dlfbench.records.merge import merge
from dlfbench.records.record import Origin, read_record
from dlfbench.records.results import write_table
from dlfbench.report.basis.account import times
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.registrations import by_registration
from dlfbench.report.sections.claims import make as make_claims
from dlfbench.report.sections.registrations import make as make_section
from dlfbench.report.sections.settings import facts, separation_in_words
from dlfbench.report.write import _default_folder, write_report
from synthetic_run import make_results, make_run

IDENTITY = {
    "seed": 3,
    "protocol": {"folds": 1, "match": []},
    "registration": {"use": "greedy"},
    "metrics": {"surface_dice_tolerance_mm": 1.0},
    "data": {"uint8-00L": ["image", "reference"], "atlas-1": ["image", "reference"]},
}


def results_of(*methods):
    results = make_results(persons=6)
    return results[results["method"].isin(methods) | (results["kind"] == "bound")].reset_index(drop=True)


def make(folder, results, **changes):
    run = make_run(folder, results)
    run.joinpath("identity.json").write_text(json.dumps({**IDENTITY, **changes}))
    return run


@pytest.fixture
def first(tmp_path):
    return make(tmp_path / "first", results_of("mv", "svwv"))


def merged(*runs):
    return merge([read_record(run) for run in runs])


def refused(*runs):
    with pytest.raises(InputError) as caught:
        merged(*runs)
    return str(caught.value)


def test_methods_come_together(tmp_path, first):
    both = read_basis(first, make(tmp_path / "second", results_of("jlf")))
    alone = read_basis(make(tmp_path / "whole", make_results(persons=6)))
    assert both.methods == ("mv", "svwv", "jlf")
    assert both.bounds == alone.bounds
    assert both.summary.equals(alone.summary)
    assert both.comparisons.equals(alone.comparisons)
    assert dict(facts(both))["Merged runs"] == "first: mv, svwv; second: jlf"


def test_a_person_on_both_sides_of_several_folds_is_one_person(tmp_path, first):
    splits = json.loads((first / "splits.json").read_text())
    one = {**splits["folds"][0], "train": ["uint8-00L", "uint8-00R"]}
    (first / "splits.json").write_text(json.dumps({"folds": [{**one, "fold": fold} for fold in range(5)]}))
    assert separation_in_words(read_record(first)).startswith("1 person in both")


def test_a_method_with_the_same_results_is_kept_once(tmp_path, first):
    assert merged(first, make(tmp_path / "second", results_of("mv", "jlf"))).methods == ("mv", "svwv", "jlf")


def test_a_method_with_other_results_is_kept_twice(tmp_path, first):
    results = results_of("mv")
    results.loc[results["method"] == "mv", "dice"] -= 0.001
    both = merged(first, make(tmp_path / "second", results))
    assert both.methods == ("mv (first)", "svwv", "mv (second)")
    assert both.origins["mv (second)"] == Origin(tmp_path / "second", "mv")
    assert set(both.timings["method"].dropna()) == set(both.methods)


def test_results_scored_elsewhere_need_results_only(tmp_path, first):
    results = results_of("jlf")
    other = make(tmp_path / "theirs", results[results["kind"] == "method"])
    for path in other.iterdir():
        if path.name != "results.parquet":
            path.unlink()
    both = merged(first, other)
    assert both.methods == ("mv", "svwv", "jlf")
    assert separation_in_words(both).endswith("what jlf had seen of the test cases is not recorded")
    assert merged(other, first).seed == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seed": 4}, "seed 4 against 3"),
        ({"protocol": {"folds": 5, "match": []}}, "protocol.folds 5 against 1"),
        ({"registration": {"use": "elastix"}}, "registration.use 'elastix' against 'greedy'"),
        ({"metrics": {"surface_dice_tolerance_mm": 2.0}}, "metrics.surface_dice_tolerance_mm 2.0 against 1.0"),
        ({"data": {"atlas-1": ["image", "another"]}}, "reference of 1 cases differ, such as atlas-1"),
    ],
)
def test_other_settings_are_refused(tmp_path, first, changes, reason):
    text = refused(first, make(tmp_path / "second", results_of("jlf"), **changes))
    assert reason in text
    assert "second and" in text


def test_other_versions_of_the_registration_are_refused_unless_they_are_the_question(tmp_path, first):
    old, new = (
        make(tmp_path / version, results_of(method), registration_version=f"greedy {version}")
        for version, method in (("1", "svwv"), ("2", "jlf"))
    )
    assert "registration_version 'greedy 2' against 'greedy 1'" in refused(old, new)
    assert merged(first, new).methods == ("mv", "svwv", "jlf")  # a run of an earlier build does not say it
    assert merge([read_record(old), read_record(new)], across_registrations=True).methods == ("svwv", "jlf")


def test_other_scores_of_the_warped_atlases_are_refused(tmp_path, first):
    results = results_of("jlf")
    candidate = results["method"] == "candidate"
    results.loc[candidate & (results["case"] == "uint8-00L"), "dice"] += 0.01
    results.loc[candidate & (results["case"] == "uint8-00R"), "dice"] = np.nan
    text = refused(first, make(tmp_path / "second", results))
    assert "the scores of the warped atlases of 1 cases differ, such as uint8-00L" in text


def test_a_setting_that_one_run_does_not_know_is_no_difference(tmp_path, first):
    protocol = {**IDENTITY["protocol"], "newer": None}
    assert merged(first, make(tmp_path / "second", results_of("jlf"), protocol=protocol)).methods[-1] == "jlf"


def test_other_cases_are_refused(tmp_path, first):
    results = results_of("jlf")
    second = make(tmp_path / "second", results[results["case"] != "uint8-00L"])
    assert "their test cases differ: none against uint8-00L" in refused(first, second)


def test_other_persons_are_refused(tmp_path, first):
    results = results_of("jlf")
    results.loc[results["case"] == "uint8-00L", "person"] = "stranger"
    assert "their persons differ: stranger against none" in refused(first, make(tmp_path / "second", results))


def test_other_references_are_refused(tmp_path, first):
    results = results_of("jlf")
    results["reference_volume_mm3"] *= 1.01
    assert "volumes of their references differ" in refused(first, make(tmp_path / "second", results))


def test_other_training_cases_are_refused(tmp_path, first):
    second = make(tmp_path / "second", results_of("jlf"))
    splits = json.loads((second / "splits.json").read_text())
    splits["folds"][0]["train"].append("atlas-3")
    (second / "splits.json").write_text(json.dumps(splits))
    assert "their training cases differ" in refused(first, second)


def test_every_difference_is_named_at_once(tmp_path, first):
    text = refused(first, make(tmp_path / "second", results_of("jlf"), seed=4, registration={"use": "none"}))
    assert len(text.splitlines()) == 2


def test_the_registration_becomes_a_factor_where_that_is_asked_for(tmp_path, first):
    results = results_of("mv", "svwv")
    results.loc[results["method"] == "mv", "dice"] += 0.01
    results.loc[results["method"] == "candidate", "dice"] += 0.02
    second = make(tmp_path / "second", results, registration={"use": "own.py:elastix", "spacing": 4})
    both = read_basis(first, second, across_registrations=True)
    assert both.methods == ("mv (greedy)", "svwv", "mv (elastix)")  # svwv says the same on both: kept once
    found = by_registration(both).set_index(["test_set", "method", "registration"]).sort_index()
    for test_set in both.record.test_sets:
        more = found.loc[test_set, "mv", "elastix"]
        assert more["difference"] == pytest.approx(0.01)
        assert more["p_holm"] == more["p"] < 0.05
        assert np.isnan(found.loc[test_set, "mv", "greedy"]["difference"])
        candidates = found.loc[test_set, "candidate"]["dice"]
        assert candidates["elastix"] - candidates["greedy"] == pytest.approx(0.02)
    assert "svwv" not in found.index.get_level_values("method")
    assert make_section(read_basis(first)) is None
    page = write_report(first, second, out=tmp_path / "report", across_registrations=True)
    written = pd.read_csv(page.with_name("tables") / "by_registration.csv")
    assert len(written) == len(found)
    assert "could not be made" not in page.read_text()
    other = make(tmp_path / "third", results, seed=4, registration={"use": "elastix"})
    with pytest.raises(InputError, match="seed 4 against 3"):
        read_basis(first, other, across_registrations=True)


def test_several_other_registrations_are_one_family_of_tests(tmp_path, first):
    runs = [first]
    for use, gain in (("elastix", 0.01), ("demons", 0.02)):
        results = results_of("mv")
        results.loc[results["method"] == "mv", "dice"] += gain
        runs.append(make(tmp_path / use, results, registration={"use": use}))
    found = by_registration(read_basis(*runs, across_registrations=True)).dropna(subset="p")
    for _, family in found.groupby("test_set"):
        assert family["registration"].tolist() == ["elastix", "demons"]
        assert family["p_holm"].tolist() == pytest.approx((2 * family["p"]).tolist())


def test_a_runs_atlases_are_not_anothers_where_registrations_differ(tmp_path, first):
    results = results_of("mv")
    results.loc[results["method"] == "mv", "dice"] -= 0.01
    results.loc[results["method"] == "oracle_one", "dice"] -= 0.2
    second = make(tmp_path / "second", results, registration={"use": "elastix"})
    for run, wall_s, flags in ((first, 5.0, ""), (second, 500.0, "turned")):
        registrations = pd.read_parquet(run / "registrations.parquet")
        write_table(registrations.assign(wall_s=wall_s, flags=flags), run / "registrations.parquet")
    both, turned = (read_basis(*runs, across_registrations=True) for runs in ((first, second), (second, first)))
    for basis in (both, turned):
        found = times(basis.record, basis.costs)
        alone = {run.name: times(read_record(run), read_basis(run).costs)["mv"] for run in (first, second)}
        assert found["mv (greedy)"].case_registration_s == alone["first"].case_registration_s
        assert found["mv (elastix)"].case_registration_s == alone["second"].case_registration_s
        assert not basis.bounds, "the oracle of one registration is not a bound of the other's methods"
        text = " ".join(make_section(basis).text)
        assert "elastix: 2 of 2 registrations look wrong" in text
        assert "greedy: 0 of 2 registrations look wrong" in text
        found = by_registration(basis).set_index(["test_set", "method", "registration"])["dice"].sort_index()
        oracle = found.loc["in-domain", "oracle_one"]
        assert oracle["greedy"] - oracle["elastix"] == pytest.approx(0.2)


def test_every_pair_of_runs_must_agree(tmp_path, first):
    silent = make(tmp_path / "silent", results_of("jlf"))
    for path in silent.iterdir():
        if path.name != "results.parquet":
            path.unlink()
    other = make(tmp_path / "other", results_of("jlf"), seed=4)
    assert "seed 4 against 3" in refused(silent, first, other)


def test_what_runs_say_of_their_methods_comes_together(tmp_path, first):
    results = results_of("mv", "jlf")
    results.loc[results["method"] == "mv", "dice"] -= 0.001
    second = make(tmp_path / "second", results)
    said = {"registers": {"mv": ["cases"], "jlf": ["cases", "training"]}, "members": {"jlf": ["mv", "svwv"]}}
    second.joinpath("environment.json").write_text(json.dumps(said))
    environment = merged(first, second).environment
    assert environment.registers["jlf"] == ("cases", "training")
    assert environment.members == {"jlf": ("mv (second)", "svwv")}


def with_claims(run, *claims):
    with run.joinpath("study.toml").open("a") as study:
        study.write(f"[analysis]\nclaims = {list(claims)}\n")
    tables = {"claims": list(claims)}
    write_declarations(run, [Declaration("digest", "2026-01-01T00:00:00+00:00", 0, tables)])
    return run


def test_claims_are_those_of_the_run_that_declares_them_wherever_it_stands(tmp_path, first):
    with_claims(first, "mv > svwv")
    second = make(tmp_path / "second", results_of("jlf"))
    both, turned = read_basis(first, second), read_basis(second, first)
    assert both.analysis == turned.analysis is not None
    assert both.main_sets == turned.main_sets
    said = " ".join(make_claims(turned).text)
    assert "before any result of the run first" in said
    assert "Results of the run second (jlf) may be older" in said
    assert "declared claims of its own" not in said
    with_claims(second, "jlf > mv")
    assert "second declared claims of its own, which are judged on its own page alone: jlf > mv" in " ".join(
        make_claims(read_basis(first, second)).text
    )


def test_predictions_say_nothing_of_training(tmp_path, first):
    other = make(tmp_path / "theirs", results_of("jlf"))
    splits = json.loads((other / "splits.json").read_text())
    folds = [{name: value for name, value in fold.items() if name != "train"} for fold in splits["folds"]]
    (other / "splits.json").write_text(json.dumps({"folds": folds}))
    (other / "identity.json").unlink()
    assert separation_in_words(read_record(other)) == ""
    assert "training cases" not in dict(facts(read_basis(other)))["Protocol"]
    for both in (merged(first, other), merged(other, first)):
        assert separation_in_words(both).endswith("what jlf had seen of the test cases is not recorded")
        assert both.seed == 3
        assert both.says_who_trained


def test_two_settings_of_one_registration_are_told_apart_by_what_differs(tmp_path, first):
    results = results_of("mv")
    results["dice"] += 0.01
    second = make(tmp_path / "second", results, registration={"use": "greedy", "affine_dof": 6, "seed": 1})
    third = make(tmp_path / "third", results.assign(dice=results["dice"] + 0.01), registration={"use": "elastix"})
    both = read_basis(first, second, third, across_registrations=True)
    named = ["greedy[affine_dof=None,seed=None]", "greedy[affine_dof=6,seed=1]", "elastix"]
    assert [name for name in both.methods if "mv" in name] == [f"mv ({name})" for name in named]
    assert set(by_registration(both)["registration"]) == set(named)


def test_a_merged_report_lies_beside_the_first_run(tmp_path):
    assert _default_folder([tmp_path / "a"]) == tmp_path / "a" / "report"
    assert _default_folder([tmp_path / "a", tmp_path / "c" / "b"]) == tmp_path / "report-a+b"


def test_compare_on_the_terminal(dlfbench, tmp_path, first):
    second = make(tmp_path / "second", results_of("jlf"))
    code, text = dlfbench("compare", first, second, "jlf", "mv")
    assert code == 0
    assert "jlf − mv" in text
    assert "all pairs of 3 methods within a test set, metric and label" in " ".join(text.split())
    assert text.count("Dice") > text.count("HD95") > 0
    code, everything = dlfbench("compare", first, second, "jlf", "mv", "--all")
    assert everything.count("HD95") == 4 * text.count("HD95")


def test_compare_says_what_it_needs(dlfbench, first):
    code, text = dlfbench("compare", first, "mv")
    assert code == 2
    assert "two methods" in text
    code, text = dlfbench("compare", first, "mv", "jlff")
    assert (code, "unknown method 'jlff'; known: mv, svwv" in text) == (2, True)


def test_report_takes_several_runs_and_a_place(dlfbench, tmp_path):
    small = make_results(persons=2, labels={1: "whole"})
    runs = [make(tmp_path / m, small[small["method"] == m].reset_index(drop=True)) for m in ("mv", "jlf")]
    code, text = dlfbench("report", *runs, "--out", tmp_path / "both")
    assert code == 0, text
    assert "| jlf |" in (tmp_path / "both" / "tables" / "results_uint8.md").read_text()
    assert "mv: mv; jlf: jlf" in (tmp_path / "both" / "index.html").read_text()
