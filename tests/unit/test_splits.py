import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import write_dataset
from dlfbench.datasets.cases import Case
from dlfbench.engine.plan import make_plan, open_data
from dlfbench.errors import InputError
from dlfbench.registration.greedy import Greedy
from dlfbench.study.given import folds_text
from dlfbench.study.protocol import Protocol
from dlfbench.study.splits import atlases_for, make_folds
from dlfbench.study.tables import make_study


def people(count: int, **groups: int) -> list[Case]:
    """Left and right case of each person; groups by name and number of people."""
    labels = [name for name, n in groups.items() for _ in range(n)] or ["one"] * count
    return [
        Case(f"p{i:02d}_{side}", (Path("x"),), Path("y"), {"person": f"p{i:02d}", "side": side, "group": label})
        for i, label in enumerate(labels)
        for side in "LR"
    ]


def protocol(**settings: object) -> Protocol:
    return Protocol.model_validate(settings)


@given(count=st.integers(4, 30), folds=st.integers(2, 4), repeats=st.integers(1, 3), seed=st.integers(0, 99))
def test_each_case_is_tested_once_a_repeat_and_people_stay_whole(
    count: int, folds: int, repeats: int, seed: int
) -> None:
    made = make_folds(people(count), protocol(folds=folds, repeats=repeats), seed)
    tested = Counter(name for fold in made for name in fold.tests["in-domain"])
    assert set(tested.values()) == {repeats}
    assert len(tested) == 2 * count
    for fold in made:
        assert not {name[:3] for name in fold.train} & {name[:3] for name in fold.test_cases}


def test_folds_can_be_given_by_a_column() -> None:
    cases = [
        Case(
            c.name,
            c.images,
            c.reference,
            {**c.columns, "fold": {"p00": "x10", "p01": "x2", "p02": "x2"}.get(c.name[:3], "")},
        )
        for c in people(4)
    ]
    made = make_folds(cases, protocol(fold_column="fold"), 0)
    assert [sorted(fold.tests["in-domain"]) for fold in made] == [
        ["p01_L", "p01_R", "p02_L", "p02_R"],
        ["p00_L", "p00_R"],
    ]
    assert {name[:3] for name in made[1].train} == {"p01", "p02", "p03"}  # who has no fold always trains


def test_a_scan_without_a_fold_is_tested_with_its_person() -> None:
    given = {"p00_L": "1", "p01_L": "2", "p01_R": "2"}
    cases = [Case(c.name, c.images, c.reference, {**c.columns, "fold": given.get(c.name, "")}) for c in people(3)]
    first, second = make_folds(cases, protocol(fold_column="fold"), 0)
    assert first.tests["in-domain"] == ("p00_L", "p00_R")
    assert set(second.train) == {"p00_L", "p00_R", "p02_L", "p02_R"}
    assert "people without a value always train" in str(Protocol.model_fields["fold_column"].description)


def test_given_folds_keep_people_whole() -> None:
    cases = [Case(c.name, c.images, c.reference, {**c.columns, "fold": c.columns["side"]}) for c in people(3)]
    with pytest.raises(InputError, match="person p00 has the values L, R; expected one fold a person") as caught:
        make_folds(cases, protocol(fold_column="fold"), 0)
    assert len(caught.value.problems) == 3
    with pytest.raises(ValueError, match="fold_column gives the folds"):
        protocol(fold_column="fold", folds=3)


def _file(folder: Path, *folds: tuple[str, str]) -> str:
    path = folder / "splits_final.json"
    path.write_text(json.dumps([{"train": train.split(), "val": val.split()} for train, val in folds]))
    return str(path)


def test_folds_can_be_those_of_nnunet(tmp_path: Path) -> None:
    path = _file(tmp_path, ("p00_L p00_R p01_L", "p02_L p02_R"), ("p02_L", "p01_R"))
    first, second = make_folds(people(4), protocol(folds_from=path), 0)
    assert set(first.train) == {"p00_L", "p00_R", "p01_L"}
    assert first.tests == {"in-domain": ("p02_L", "p02_R")}
    assert (second.train, second.tests) == (("p02_L",), {"in-domain": ("p01_R",)})
    again = tmp_path / "again.json"
    again.write_text(folds_text([(fold.train, fold.tests["in-domain"]) for fold in (first, second)]))
    assert make_folds(people(4), protocol(folds_from=str(again)), 0) == (first, second)


def test_a_run_on_given_folds_goes_on_with_more_trainings(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", people=2, sides="L")
    (tmp_path / "folds").mkdir()
    folds = {"folds_from": _file(tmp_path / "folds", ("p00L", "p01L"))}
    studies = [
        make_study({"data": {"dataset": str(data)}, "protocol": {**folds, "seeds": seeds}, "methods": {"mv": {}}})
        for seeds in (1, 2)
    ]
    once, twice = (make_plan(study, open_data(study)) for study in studies)
    assert (len(once.folds), len(twice.folds)) == (1, 2)
    assert once.identity == twice.identity


def _copy_of_p00(data: Path) -> None:
    """The image and label map of a case once more, as if of another person."""
    for old, new in (
        ("imagesTr/p00L_0000.nii.gz", "imagesTr/zz_0000.nii.gz"),
        ("labelsTr/p00L.nii.gz", "labelsTr/zz.nii.gz"),
    ):
        (data / new).symlink_to(data / old)


@pytest.mark.parametrize("person", ["stranger", "person00"])
def test_the_same_image_of_two_people_must_not_be_on_both_sides(tmp_path: Path, person: str) -> None:
    data = write_dataset(tmp_path / "data", people=3, sides="L")
    _copy_of_p00(data)
    with (data / "cases.tsv").open("a") as file:
        file.write(f"zz\t{person}\tL\ta\n")
    protocol = {"folds": 2, "repeats": 3, "shifts": {"noisy": "noise:1"}}
    study = make_study({"data": {"dataset": str(data)}, "protocol": protocol, "methods": {"mv": {}}})
    if person == "person00":
        assert make_plan(study, open_data(study)).folds
        return
    with pytest.raises(InputError, match=r"cases p00L and zz have the same image, and fold \d") as caught:
        make_plan(study, open_data(study))
    assert len(caught.value.problems) == 1


def test_folds_of_nnunet_that_share_a_person_or_name_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"1 people \(such as p00\) are in the training set and in test set 'in-domain'"
    ):
        make_folds(people(4), protocol(folds_from=_file(tmp_path, ("p00_L", "p00_R"))), 0)
    with pytest.raises(InputError, match="fold 0: 1 cases in val that the data set lacks, such as p99_L"):
        make_folds(people(4), protocol(folds_from=_file(tmp_path, ("p00_L", "p99_L"))), 0)
    (tmp_path / "odd.json").write_text('{"train": []}')
    with pytest.raises(InputError, match="expected a list of folds, each with the lists train and val"):
        make_folds(people(4), protocol(folds_from=str(tmp_path / "odd.json")), 0)
    with pytest.raises(ValueError, match="folds_from gives the folds"):
        protocol(folds_from="x", folds=3)


def test_folds_are_stratified_by_group() -> None:
    cases = people(0, young=8, old=4)
    group = {case.name: case.columns["group"] for case in cases}
    for fold in make_folds(cases, protocol(folds=4), 3):
        assert Counter(group[name] for name in fold.test_cases) == {"young": 4, "old": 2}


def test_fold_sizes_differ_by_one_person_at_most() -> None:
    sizes = [len(fold.test_cases) // 2 for fold in make_folds(people(0, a=3, b=4, c=4), protocol(folds=4), 0)]
    assert max(sizes) - min(sizes) <= 1


def test_the_seed_decides_the_split() -> None:
    cases = people(10)
    assert make_folds(cases, protocol(folds=5), 1) == make_folds(cases, protocol(folds=5), 1)
    assert make_folds(cases, protocol(folds=5), 1) != make_folds(cases, protocol(folds=5), 2)


def test_order_of_the_dataset_does_not_matter_to_who_is_tested_together() -> None:
    cases = people(10)
    forward, backward = (make_folds(order, protocol(folds=5), 1) for order in (cases, cases[::-1]))
    assert [set(fold.test_cases) for fold in forward] == [set(fold.test_cases) for fold in backward]


def test_train_on_one_group_test_on_others_and_held_out() -> None:
    cases = people(0, a=10, b=3, c=2)
    (fold,) = make_folds(cases, protocol(train="group=a", hold_out=0.3, test={"B": "group=b", "C": "group=c"}), 0)
    assert {name: len(names) for name, names in fold.tests.items()} == {"in-domain": 6, "B": 6, "C": 4}
    assert len(fold.train) == 14


def test_caps_limit_training_and_test_cases() -> None:
    cases = people(0, a=10, b=10)
    (fold,) = make_folds(cases, protocol(train="group=a", test={"B": "group=b"}, cases=6, train_cases=4), 0)
    assert (len(fold.train), len(fold.tests["B"])) == (4, 6)


@pytest.mark.parametrize("how", [{}, {"folds": 2}, {"hold_out": 0.5}])
def test_what_a_cap_leaves_out_of_a_test_set_trains_nobody(how: dict[str, float]) -> None:
    cases = people(0, a=20, b=20)
    for fold in make_folds(cases, protocol(test={"B": "group=b"}, cases=6, **how), 0):
        home = [*fold.train, *fold.tests.get("in-domain", ())]
        assert {name[:3] for name in home} <= {f"p{i:02d}" for i in range(20)}
        assert len(fold.tests["B"]) == 6


def test_a_cap_on_test_cases_leaves_the_training_set_as_it_is() -> None:
    cases = people(0, a=10, b=10)
    (whole, capped) = (
        make_folds(cases, protocol(train="group=a", test={"B": "group=b"}, hold_out=0.4, **cap), 0)[0]
        for cap in ({}, {"test_cases": 3})
    )
    assert capped.train == whole.train
    assert {name: len(names) for name, names in capped.tests.items()} == {"in-domain": 3, "B": 3}
    assert all(set(names) < set(whole.tests[name]) for name, names in capped.tests.items())


def test_overlapping_sets_are_refused() -> None:
    with pytest.raises(InputError, match="2 people .* are in the training set and in test set 'L'"):
        make_folds(people(2), protocol(train="side=R", test={"L": "side=L"}), 0)


def test_fewer_people_than_folds_is_refused() -> None:
    with pytest.raises(InputError, match="expected at most 3 folds, as many as there are people, found 5"):
        make_folds(people(3), protocol(folds=5), 0)


def test_empty_selection_names_the_values() -> None:
    with pytest.raises(InputError, match="'group=z' selects no case; values of 'group': a, b"):
        make_folds(people(0, a=2, b=2), protocol(train="group=z", test={"B": "group=b"}), 0)


def test_unknown_column_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown column 'sides'.* did you mean 'side'"):
        make_folds(people(4), protocol(folds=2, match=["sides"]), 0)


def test_sessions_keep_together_where_no_person_is_known() -> None:
    cases = [Case(f"{s}{side}", (Path("x"),), Path("y"), {"session": s}) for s in "abcd" for side in "LR"]
    for fold in make_folds(cases, protocol(folds=2), 0):
        assert not {name[0] for name in fold.train} & {name[0] for name in fold.test_cases}


def test_atlases_are_other_people_and_match() -> None:
    cases = people(4)
    chosen = atlases_for(cases[0], cases, protocol(folds=2, match=["side"], atlases=2))
    assert [case.columns["side"] for case in chosen] == ["L", "L"]
    assert "p00" not in {case.person for case in chosen}


def test_no_atlas_left_says_what_was_wanted() -> None:
    cases = [case for case in people(4) if case.columns["side"] == "R"]
    target = people(5)[-2]
    with pytest.raises(InputError, match=r"case p04_L: no atlas is left among 4 training cases \(wanted: side=L\)"):
        atlases_for(target, cases, protocol(folds=2, match=["side"]))


def test_every_fold_gets_the_same_atlases_for_targets_of_one_side() -> None:
    cases = people(12)
    targets, train = cases[:4], cases[4:]
    sets = [atlases_for(t, train, protocol(folds=2, match=["side"], atlases=3)) for t in targets]
    assert sets[0] == sets[2]
    assert sets[1] == sets[3]


@pytest.mark.parametrize(
    "method",
    [
        {"use": "cv_ensemble", "host": "votenet", "folds": 2},
        {"use": "tuned", "host": "jlf_cl", "grid": "rounds=10"},
        {"use": "ensemble", "of": "mv;jlf_cl", "weights": "stacked"},
    ],
)
def test_no_training_without_part_of_the_people_is_without_atlases(tmp_path: Path, method: dict[str, object]) -> None:
    data = write_dataset(tmp_path / "data", people=8, sides="L")
    tables = {"data": {"dataset": str(data)}, "methods": {"m": method}}
    few, enough = (make_study({**tables, "protocol": {"hold_out": 0.25, "atlases": atlases}}) for atlases in (1, 6))
    with pytest.raises(InputError, match=r"then no atlas is left of \d others \(such as p0\dL\)"):
        make_plan(few, open_data(few))
    assert make_plan(enough, open_data(enough)).folds


def test_the_version_of_the_registration_is_said_where_something_is_registered(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", people=3, sides="L")
    tables = {"data": {"dataset": str(data)}, "protocol": {"folds": 3}}
    for method, said in (("mv", Greedy().version()), ("unet", None)):
        study = make_study({**tables, "methods": {method: {}}})
        assert make_plan(study, open_data(study)).identity.registration_version == said
