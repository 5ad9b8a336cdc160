"""Groups of labels are scored like labels: the union of their voxels, in no mean over labels, unknown to methods."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import dlfbench as public
from builders import write_dataset
from dlfbench.datasets.cases import ALL_LABELS, FIRST_GROUP, LabelSet
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.engine.plan import make_plan, open_data
from dlfbench.errors import InputError
from dlfbench.images import UNKNOWN, read_labels
from dlfbench.metrics.scores import score_labels
from dlfbench.records.merge import merge
from dlfbench.records.record import read_record
from dlfbench.records.results import CANDIDATES, CURVE
from dlfbench.report.basis.basis import Basis
from dlfbench.study.tables import make_study
from synthetic_run import make_results, make_run

Cli = Callable[..., tuple[int, str]]
WHOLE = {"whole": ("front", "back")}
LABELS = LabelSet((0, 1, 2, 5), ("background", "front", "back", "tail"))
MM = (1.0, 2.0, 3.0)


def row_of_labels(*values: int) -> np.ndarray[Any, Any]:
    """A line of voxels along x in a field of background."""
    labels = np.zeros((len(values), 3, 3), np.int32)
    labels[:, 1, 1] = values
    return labels


def test_a_group_is_the_union_of_its_labels() -> None:
    reference, prediction = row_of_labels(0, 1, 1, 2, 5, 0), row_of_labels(1, 2, 2, 1, 0, 0)
    found = score_labels(prediction, reference, labels=LABELS.with_groups(WHOLE), spacing_mm=MM)
    assert [score.label for score in found] == [1, 2, 5, FIRST_GROUP]
    assert [score.dice for score in found] == [0, 0, 0, pytest.approx(2 * 3 / 7)]
    whole = found[-1]
    assert (whole.reference_volume_mm3, whole.prediction_volume_mm3) == (18, 24)
    joined = score_labels(
        np.minimum(prediction, 1), np.where(reference == 5, 0, np.minimum(reference, 1)),
        labels=LabelSet((0, 1), ("background", "one")), spacing_mm=MM,
    )[0]  # fmt: skip
    assert (whole.hd95_mm, whole.assd_mm) == (joined.hd95_mm, joined.assd_mm)


def test_a_group_that_holds_what_was_not_drawn_has_no_number() -> None:
    groups = LABELS.with_groups({**WHOLE, "ends": (1, "tail")})
    found = score_labels(row_of_labels(1, 2, 5), row_of_labels(1, 0, 5), labels=groups, spacing_mm=MM, undrawn=(2,))
    assert [np.isnan(score.dice) for score in found] == [False, True, False, True, False]


def test_borders_with_what_is_to_be_ignored_are_no_surface() -> None:
    reference = np.zeros((12, 7, 7), np.int32)
    reference[1:9, 1:6, 1:6] = 1
    prediction = reference.copy()
    prediction[8] = 0  # a slice less at the far end, where the reference's border is known
    plain = score_labels(prediction, reference, labels=LABELS, spacing_mm=(1, 1, 1))[0]
    cut = reference.copy()
    cut[:5] = UNKNOWN
    known = score_labels(prediction, cut, labels=LABELS, spacing_mm=(1, 1, 1))[0]
    inside = 3 * 16 + 9  # the known surface of the prediction: rims of three slices, the rest of the last one
    rims = 4 * 16 + 9
    assert known.hd95_mm == plain.hd95_mm == 1
    # 9 voxels of each end face are 1 mm off the other's surface, and so are the 16 of the reference's last rim
    assert known.assd_mm == pytest.approx((9 + 9 + 16) / (inside + rims))


def test_a_mask_among_what_is_to_be_ignored_alone_has_that_border() -> None:
    reference = np.full((5, 5, 5), UNKNOWN, np.int32)
    reference[1:4, 1:4, 1:4] = 1
    prediction = np.ones_like(reference)
    assert score_labels(prediction, reference, labels=LABELS, spacing_mm=(1, 1, 1))[0].hd95_mm == 0
    prediction[1] = 0
    assert score_labels(prediction, reference, labels=LABELS, spacing_mm=(1, 1, 1))[0].hd95_mm == 1


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"whole": ("front", "bock")}, "group 'whole': unknown label 'bock'"),
        ({"whole": (1, 9)}, "group 'whole': unknown label '9'"),
        ({"front": (1, 2)}, "2 labels are called 'front'"),
        ({"nothing": ()}, "group 'nothing' has no label but the background"),
        ({"all": ("background", "front")}, "group 'all' has no label but the background"),
        ({ALL_LABELS: (1, 2)}, "cannot be told apart in tables"),
    ],
)
def test_groups_that_cannot_be_used_are_refused(groups: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        LABELS.with_groups(groups)


def test_methods_know_nothing_of_groups(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "tiny", people=4, sides="L")
    keys = []
    for groups in ({}, {"whole": [1, 2]}):
        study = make_study({"data": {"dataset": str(data)}, "groups": groups, "protocol": {"folds": 2},
                            "methods": {"mv": {}, "unet": {"preset": "quick"}}})  # fmt: skip
        plan = make_plan(study, open_data(study))
        keys.append({kind: {t.key for t in plan.of_kind(kind)} for kind in ("fit", "segmentation", "score", "bounds")})
    plain, grouped = keys
    assert plain["fit"] == grouped["fit"]
    assert plain["segmentation"] == grouped["segmentation"]
    assert not plain["score"] & grouped["score"]
    assert not plain["bounds"] & grouped["bounds"]


def with_group(results: pd.DataFrame) -> pd.DataFrame:
    """Made-up results with one more row a case: of a group of the first two labels."""
    rows = results[results["label"] == 1].copy()
    values = results[results["label"] < 3].groupby(["test_set", "method", "case"], sort=False)
    for column in ("reference_volume_mm3", "prediction_volume_mm3"):
        rows[column] = values[column].sum().to_numpy()
    return pd.concat([results, rows.assign(label=FIRST_GROUP, label_name="whole", dice=0.5)], ignore_index=True)


def test_a_report_has_groups_beside_labels_and_in_no_mean_over_them(tmp_path: Path) -> None:
    plain = Basis(read_record(make_run(tmp_path / "plain")))
    grouped = Basis(read_record(make_run(tmp_path / "grouped", with_group(make_results()))))
    assert grouped.labels == (*plain.labels[:-1], "whole", ALL_LABELS)
    for of in (plain, grouped):
        assert of.record.labels == ("anterior", "posterior", "tail <b>")
    assert grouped.row("in-domain", "jlf", "whole", "dice")["mean"] == 0.5
    pd.testing.assert_frame_equal(
        *(of.summary[of.summary["label"] == ALL_LABELS].reset_index(drop=True) for of in (plain, grouped))
    )
    volumes = (of.scores[0].volumes_mm3["reference_volume_mm3"] for of in (plain, grouped))
    np.testing.assert_array_equal(*(found[:, :, -1] for found in volumes))
    assert "whole" in set(grouped.comparisons["label"])
    assert "whole" in set(grouped.summary.query("kind == 'bound'")["label"])


def test_merging_leaves_out_groups_that_not_all_runs_scored(tmp_path: Path) -> None:
    results = make_results()
    one = results[results["method"] != "jlf"]
    other = results[(results["method"] == "jlf") | (results["kind"] == "bound")]
    runs = [make_run(tmp_path / "one", with_group(one)), make_run(tmp_path / "other", other)]
    assert merge([read_record(run) for run in runs]).groups == ()
    runs[1] = make_run(tmp_path / "both", with_group(other))
    merged = merge([read_record(run) for run in runs])
    assert merged.groups == ("whole",)
    assert Basis(merged).row("in-domain", "jlf", "whole", "dice")["n"] == 24


def with_groups(results: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Made-up results with groups of these names, numbered in this order; equal names have equal results."""
    rows = with_group(results).query("label == @FIRST_GROUP")
    dice = {"whole": 0.5, "odd": 0.25}
    groups = [
        rows.assign(label=FIRST_GROUP + place, label_name=name, dice=dice[name]) for place, name in enumerate(names)
    ]
    return pd.concat([results, *groups], ignore_index=True)


def test_groups_of_one_name_come_together_whatever_their_number(tmp_path: Path) -> None:
    results = make_results(persons=6)
    mine, theirs = (
        results[results["method"].isin([*names]) | (results["kind"] == "bound")]
        for names in (["mv", "svwv"], ["mv", "jlf"])
    )
    runs = [make_run(tmp_path / "both", with_groups(mine, "whole", "odd"))]
    runs += [make_run(tmp_path / "one", with_groups(theirs, "odd"))]
    runs += [make_run(tmp_path / "turned", with_groups(theirs, "odd", "whole"))]
    values = {"whole": [1, 2], "odd": [1, 3]}
    for run, names in zip(runs, (("whole", "odd"), ("odd",), ("odd", "whole")), strict=True):
        labels = {"background": 0, "anterior": 1, "posterior": 2, "tail <b>": 3}
        about = {"labels": labels, "groups": {name: values[name] for name in names}}
        (run / "cases.json").write_text(json.dumps(about))
    both, one, turned = (read_record(run) for run in runs)
    for parts, groups in (((both, one), ("odd",)), ((one, both), ("odd",)), ((both, turned), ("whole", "odd"))):
        merged = merge(parts)
        assert merged.groups == groups
        assert set(merged.methods) == {"mv", "svwv", "jlf"}
        assert Basis(merged).row("in-domain", "jlf", "odd", "dice")["mean"] == 0.25
        numbers = merged.results.drop_duplicates("label").set_index("label_name")["label"]
        for name in groups:
            assert merged.data.values_of(int(numbers[name])) == tuple(values[name])
    (runs[1] / "cases.json").write_text(json.dumps({"labels": labels, "groups": {"odd": [2, 3]}}))
    with pytest.raises(InputError, match="the groups of labels odd are of other labels"):
        merge([both, read_record(runs[1])])


def test_learning_curves_and_candidates_of_merged_runs_have_shared_groups_alone(tmp_path: Path) -> None:
    records = []
    for name, groups in (("both", ("whole", "odd")), ("one", ("odd",))):
        rows = with_groups(make_results(persons=2), *groups)
        run = make_run(tmp_path / name, rows)
        CURVE.write(rows[rows["kind"] == "method"], run)
        CANDIDATES.write(rows[rows["method"] == "candidate"].assign(atlas="a"), run)
        records.append(read_record(run))
    merged = merge(records)
    for table in (merged.curve, merged.candidates):
        numbers = table.loc[table["label"] >= FIRST_GROUP, ["label", "label_name"]].drop_duplicates()
        assert numbers.to_numpy().tolist() == [[FIRST_GROUP, "odd"]]


@pytest.mark.slow
def test_a_run_scores_shows_and_tests_groups(tmp_path: Path, shared_cache: Path, dlfbench: Cli) -> None:
    data = write_dataset(tmp_path / "tiny", people=6, sides="L")
    claims = {"claims": ["mv > simple"], "labels": ["whole"]}
    tables = {"data": {"dataset": str(data)}, "groups": WHOLE, "protocol": {"folds": 2},
              "methods": {"mv": {}, "simple": {}}, "analysis": claims}  # fmt: skip
    folder = public.run(tables, out=tmp_path / "run", cache=shared_cache).folder
    basis = Basis(read_record(folder))
    assert basis.labels == ("front", "back", "whole", ALL_LABELS)
    rows = basis.record.results.query("method == 'mv'").set_index(["case", "label_name"]).dice
    cases = {case.name: case for case in read_decathlon(data).cases}
    for fold in basis.record.folds:
        for name in fold.tests["in-domain"]:
            found = read_labels(folder / f"segmentations/mv/fold{fold.index}/{name}.nii.gz")[0]
            true = cases[name].read_reference()[0]
            both = 2 * ((found > 0) & (true > 0)).sum() / ((found > 0).sum() + (true > 0).sum())
            assert rows[name, "whole"] == pytest.approx(both)
    alone = rows.unstack()[["front", "back"]].mean(axis=1).mean()
    assert basis.row("in-domain", "mv", ALL_LABELS, "dice")["mean"] == pytest.approx(alone)
    assert "whole" in set(basis.comparisons["label"])
    assert "whole" in set(basis.summary[basis.summary["kind"] == "bound"]["label"])
    volumes = basis.scores[0].volumes_mm3["reference_volume_mm3"][:, 0]
    np.testing.assert_allclose(volumes[:, 2], volumes[:, :2].sum(axis=1))
    np.testing.assert_allclose(volumes[:, 3], volumes[:, :2].sum(axis=1))
    page = (folder / "report" / "index.html").read_text()
    assert "whole: front and back" in page
    predictions = tmp_path / "theirs"
    predictions.mkdir()
    for path in (folder / "segmentations" / "mv").glob("fold*/*.nii.gz"):
        (predictions / path.name).write_bytes(path.read_bytes())
    code, text = dlfbench("score", "--predictions", predictions, "--run", folder, "--out", tmp_path / "scored")
    assert code == 0, text
    scored = read_record(tmp_path / "scored")
    again = scored.results.set_index(["case", "label_name"]).dice
    np.testing.assert_array_equal(again.sort_index(), rows.sort_index())
    assert merge([basis.record, scored]).groups == ("whole",)
