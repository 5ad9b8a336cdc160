"""How numbers and findings are put into words."""

import json
import re
from itertools import pairwise

import pandas as pd
import pytest

from dlfbench.errors import InputError
from dlfbench.report import compare_methods
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.comparison import smallest_adjusted_p
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.sections.settings import facts, separation_in_words
from dlfbench.report.shown import format as say
from dlfbench.report.shown.badges import badges
from dlfbench.report.shown.figure_style import HALF_IN, in_lines, new_axes, rows_in
from dlfbench.report.shown.verdict import declared, finding
from synthetic_run import fail, make_results, make_run

NAN = float("nan")


def findings(basis):
    return {scores.test_set: finding(basis, scores) for scores in basis.scores}


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("jlf", ["jlf"]),
        ("jlf[patch_radius=1,search_radius=1]", ["jlf[patch_radius=1,", "search_radius=1]"]),
        ('ensemble[of="mv;jlf"]', ['ensemble[of="mv;', 'jlf"]']),
        ("a name of several words", ["a name of several", "words"]),
    ],
)
def test_long_names_break_where_they_can_be_read(name, lines):
    assert in_lines(name).split("\n") == lines


@pytest.mark.parametrize(
    ("value", "text"), [(0.8834, "0.883"), (-0.01, "−0.010"), (-0.0001, "0.000"), (NAN, "–"), (1, "1.000")]
)
def test_fixed(value, text):
    assert say.fixed(value, 3) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.00049, "<0.001"), (0.04126, "0.041"), (0.04996, "<0.050"), (0.0504, "0.050"), (1.0, "1.000"), (NAN, "–")],
)
def test_p_value(p, text):
    assert say.p_value(p) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0834, "0.083 s"), (1.04, "1.0 s"), (12.4, "12 s"), (60, "1 min 00 s"), (3725, "1 h 02 min"), (NAN, "–")],
)
def test_seconds(value, text):
    assert say.seconds(value) == text


def test_memory_and_counts():
    assert (say.memory(4.2e8), say.memory(1.34e9)) == ("420 MB", "1.3 GB")
    assert (say.count(1, "case"), say.count(0, "case"), say.count(2, "person")) == ("1 case", "0 cases", "2 persons")


def test_the_best_and_what_is_below_it(tmp_path):
    text = (findings(read_basis(make_run(tmp_path, make_results()))))["in-domain"]
    assert text.startswith("jlf has the highest mean Dice 0.854 (95% CI 0.845 to 0.861).")
    assert "Significantly below it, corrected for all 3 pairs: svwv (0.841), mv (0.834)." in text


def test_methods_with_the_same_scores_share_the_first_place(tmp_path):
    results = make_results()
    twin = results[results["method"] == "jlf"].assign(method="twin")
    basis = read_basis(make_run(tmp_path, pd.concat([results, twin], ignore_index=True)))
    text = findings(basis)["in-domain"]
    assert text.startswith("jlf and twin have the highest mean Dice 0.854 (95% CI 0.845 to 0.861). Significantly below")
    means = basis.summary[(basis.summary["label"] == ALL_LABELS) & (basis.summary["metric"] == "dice")]
    assert set(means.loc[means["mark"] == "best", "method"]) == {"jlf", "twin"}


def test_claims_changed_by_hand_into_none_are_told(tmp_path):
    folder = make_run(tmp_path, make_results())
    with folder.joinpath("study.toml").open("a") as study:
        study.write('[analysis]\nclaims = ["jlf > mv", "jlf = mv within 0.01"]\n')
    with pytest.raises(InputError, match=r"study\.toml.*analysis\.claims\.1: expected A > B, .* found 'jlf = mv"):
        read_basis(folder)


def test_what_was_declared_is_said_first(tmp_path):
    folder = make_run(tmp_path, make_results())
    assert declared(read_basis(folder)) == ""
    with folder.joinpath("study.toml").open("a") as study:
        study.write(
            '[analysis]\ntest_sets = ["in-domain"]\nclaims = ["jlf > mv", "mv > svwv", "jlf == svwv within 0.014"]\n'
        )
    assert declared(read_basis(folder)) == (
        "1 of 3 claims holds. Does not hold: mv > svwv (in-domain). Undecided: jlf == svwv within 0.014 (in-domain)."
    )


def test_of_many_methods_a_few_are_named(tmp_path):
    methods = {f"m{n}": 0.7 + 0.02 * n for n in range(9)}
    results = make_results(persons=24, methods=methods, bounds={}, labels={1: "one"})
    text = (findings(read_basis(make_run(tmp_path, results))))["uint8"]
    assert text.startswith("m8 has the highest")
    assert re.search(r"Significantly below it, corrected for all 36 pairs: m7 .* and 2 more\.$", text)


def test_too_few_persons_are_said_to_be_too_few(tmp_path):
    text = (findings(read_basis(make_run(tmp_path, make_results(persons=4)))))["uint8"]
    assert (
        "With 4 people no difference can be significant, corrected for all 3 pairs: the smallest p possible is 0.375."
        in text
    )
    assert "ignificantly below" not in text


def test_the_smallest_p_that_is_possible():
    assert smallest_adjusted_p(persons=6, tests=1) == pytest.approx(2 / 2**6)
    assert smallest_adjusted_p(persons=6, tests=3) == pytest.approx(3 * 2 / 2**6)
    assert smallest_adjusted_p(persons=1, tests=3) == 1


def test_when_nothing_is_complete_nothing_is_ranked(tmp_path):
    results = make_results()
    for method in ("mv", "svwv", "jlf"):
        results = fail(results, method, "uint8-00L")
    text = (findings(read_basis(make_run(tmp_path, results))))["uint8"]
    assert text.count("is not ranked") == 3
    assert "highest" not in text


def with_cases(run, cases):
    run.joinpath("cases.json").write_text(json.dumps({"dataset": "d", "description": "what it is", "cases": cases}))
    return read_basis(run)


def test_a_length_of_its_own_is_not_that_of_the_budget(tmp_path):
    run = make_run(tmp_path, make_results())
    study = run / "study.toml"
    plain = study.read_text()

    def training(table):
        study.write_text(plain.replace('use = "jlf"', table))
        return next(badge for badge in badges(read_basis(run)) if badge.text.startswith("training"))

    whole, short = training('use = "unet"\npreset = "cpu"'), training('use = "unet"\npreset = "cpu"\nsteps = 300')
    assert (whole.text, whole.state) == ("training: cpu", "good")
    assert (short.text, short.state) == ("training: cpu, other lengths", "note")
    assert short.sentence == "jlf (300 steps): trained for a length of its own, not that of the budget."


def test_facts_name_dataset_and_sizes(tmp_path):
    found = dict(facts(with_cases(make_run(tmp_path), {})))
    assert found["Dataset"] == "d: what it is"
    assert found["Test sets"] == "in-domain: 24 cases of 12 persons; uint8: 24 cases of 12 persons"
    assert found["Protocol"].startswith("1 fold; 2 training cases, which are also the atlases")


def test_a_person_on_both_sides_is_said(tmp_path):
    cases = {"atlas-1": {"person": "uint8-00", "columns": {"person": "uint8-00"}}}
    assert separation_in_words(with_cases(make_run(tmp_path), cases).record).startswith("1 person in both")


def test_unknown_persons_are_said(tmp_path):
    cases = {"atlas-1": {"person": "atlas-1", "columns": {"group": "a"}}}
    text = separation_in_words(with_cases(make_run(tmp_path), cases).record)
    assert text.startswith("no case and no person is in both")
    assert "whose image 1 case is" in text
    published = {"atlas-1": {"person": "somebody"}}  # without what cases.tsv says
    assert "whose image" not in separation_in_words(with_cases(make_run(tmp_path / "other"), published).record)


def test_two_methods_are_compared_either_way(tmp_path):
    run = make_run(tmp_path)
    forward, back = compare_methods(run, a="mv", b="jlf"), compare_methods(run, a="jlf", b="mv")
    assert len(forward.rows) == 2 * 5 * 4
    assert forward.rows[0][5].sort == pytest.approx(-back.rows[0][5].sort)
    assert str(forward.rows[0][-1]) == str(back.rows[0][-1]) == "jlf better"
    low, high = str(forward.rows[0][6]).split(" to ")
    assert str(back.rows[0][6]) == f"{high} to {low}".replace("−", "+")


@pytest.mark.parametrize(("b", "message"), [("jfl", "did you mean 'jlf'"), ("mv", "given twice")])
def test_methods_that_cannot_be_compared(tmp_path, b, message):
    with pytest.raises(InputError, match=message):
        compare_methods(make_run(tmp_path), a="mv", b=b)


def test_names_of_several_lines_do_not_reach_into_each_other():
    names = ["jlf_cl", "dlf[steps=200,voting_steps=40,patch_vox=40]", "jlf", "unet[patch_vox=40,steps=1200]", "mv"]
    axes = new_axes(HALF_IN, 0.9 + rows_in(names))
    axes.set_yticks(range(len(names)), [in_lines(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(above.y0 >= below.y1 for above, below in pairwise(boxes))


def test_a_label_that_a_method_never_gives_is_told(tmp_path):
    results = make_results(persons=4, labels={1: "head", 2: "tail"})
    jlf = (results["method"] == "jlf") & (results["label_name"] == "tail")

    def told(results, folder):
        return [badge for badge in badges(read_basis(make_run(folder, results))) if badge.text == "labels never given"]

    results.loc[jlf, "prediction_empty"] = True
    (badge,) = told(results, tmp_path / "never")
    assert badge.state == "bad"
    assert "jlf (tail)." in badge.sentence
    results.loc[results[jlf].index[0], "prediction_empty"] = False
    assert not told(results, tmp_path / "once")
    results.loc[jlf, ["prediction_empty", "reference_empty"]] = True
    assert not told(results, tmp_path / "in no reference either")
