"""Expected Dice: signs by hand, a bound that holds as often as it says, and nobody asked of what they taught."""

import numpy as np
import pandas as pd
import pytest

from dlfbench.datasets.cases import LabelSet
from dlfbench.fusion.posterior import Posterior
from dlfbench.images import Grid
from dlfbench.metrics.expectation import FEWEST_PEOPLE, Expectation
from dlfbench.metrics.signs import SIGN_COLUMNS, SIGNS, signs
from dlfbench.report.basis.trust import caught, expectations, learned_from, trusted
from dlfbench.study.splits import Fold
from dlfbench.use.quality import Teacher, mean_signs
from dlfbench.volumes import AtlasSet, Segmentation, Target

LABELS = (0, 2, 5)
FOUND = np.array([0, 2, 2, 2, 5, 0], np.int16).reshape(6, 1, 1)


def _target(voxels: list[float]) -> Target:
    return Target("one", np.reshape(voxels, (1, 6, 1, 1)).astype(np.float32), Grid.of((6, 1, 1), np.eye(4)))


def _atlases(*labels: list[int], images: list[list[float]] | None = None) -> AtlasSet:
    maps = np.reshape(labels, (len(labels), 6, 1, 1)).astype(np.int16)
    voxels = np.reshape(images or [[0.0] * 6] * len(labels), (len(labels), 1, 6, 1, 1)).astype(np.float32)
    return AtlasSet(tuple(map(str, range(len(labels)))), voxels, maps, LABELS)


def test_signs_by_hand():
    image = [0, 1, 2, 3, 4, 5]
    atlases = _atlases([0, 2, 2, 0, 5, 0], [-1, 2, 2, 2, 5, 5], images=[image, image[::-1]])
    share = np.array([[1, 0, 0, 0.4, 0, 1], [0, 1, 1, 0.6, 0, 0], [0, 0, 0, 0, 1, 0]], np.float32)
    outcome = Segmentation(FOUND, Posterior.of_dense(share.reshape(3, 6, 1, 1), LABELS))
    two, five = signs(outcome, _target(image), atlases, LABELS)
    assert two["label"] == 2
    assert two["agreement"] == pytest.approx((4 / 5 + 1) / 2)
    assert two["best_agreement"] == 1
    assert two["certainty"] == pytest.approx(2 * 2.6 / (3 + 2.6))
    assert five["agreement"] == pytest.approx((1 + 2 / 3) / 2)
    assert five["certainty"] == pytest.approx(1)
    assert two["similarity"] == pytest.approx(0, abs=1e-6)  # one atlas is the image, the other its mirror image


def test_what_a_method_has_not_is_no_sign():
    none = AtlasSet((), np.empty((0, 0, 0, 0, 0), np.float32), np.empty((0, 0, 0, 0), np.int16), LABELS)
    rows = signs(Segmentation(FOUND), _target([0.0] * 6), none, LABELS)
    assert [row["label"] for row in rows] == [2, 5]
    assert all(np.isnan(row[name]) for row in rows for name in SIGNS)


def _people(generator: np.random.Generator, number: int, images: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signs (case, 4), Dice and person: a person's images have much in common."""
    person = np.repeat(np.arange(number), images)
    own = generator.normal(0, 0.03, number)[person]
    seen = generator.uniform(0.5, 0.9, (number * images, 4))
    dice = 0.2 + 0.8 * seen[:, 0] + own + generator.normal(0, 0.02, number * images)
    return seen, dice.clip(0, 1), person


@pytest.mark.parametrize(("people", "images"), [(9, 1), (20, 1), (30, 2)])
def test_the_bound_holds_as_often_as_it_says(people, images):
    generator, covered, widths = np.random.default_rng(1), [], []
    for _ in range(400):
        seen, dice, person = _people(generator, people + 1, images)
        new = person == people
        learned = Expectation.learned(seen[~new], dice[~new], person[~new])
        expected, bound = learned.of(seen[new])
        covered.append((dice[new] >= bound).mean())
        widths.append((expected - bound).mean())
    assert 0.87 < np.mean(covered) < 0.97  # of 9 people the lowest of ten is below, of 20 two of 21
    assert np.mean(widths) < 0.12


def test_too_few_people_teach_nothing_and_signs_that_some_lack_are_left_out():
    seen, dice, person = _people(np.random.default_rng(0), FEWEST_PEOPLE)
    assert Expectation.learned(seen[1:], dice[1:], person[1:]) is None
    seen[:, 1] = np.nan
    learned = Expectation.learned(seen, dice, person)
    assert learned.used.tolist() == [True, False, True, True]
    asked = seen[:2].copy()
    asked[1, 0] = np.nan
    expected, bound = learned.of(asked)
    assert np.isfinite([expected[0], bound[0]]).all()
    assert np.isnan([expected[1], bound[1]]).all()


def _table(people: int = 20) -> pd.DataFrame:
    seen, dice, person = _people(np.random.default_rng(3), people)
    names = [f"p{number:02d}" for number in person]
    about = {"method": "mv", "fold": 0, "case": names, "person": names, "label": 1, "label_name": "whole"}
    mine = pd.DataFrame({**about, **dict(zip(SIGNS, seen.T, strict=True)), "dice": dice}).assign(test_set="in-domain")
    changed = mine.assign(test_set="blur", case=mine["case"] + "~blur")
    other = mine.assign(test_set="older", person="o" + mine["person"], case="o" + mine["case"], dice=0.1)
    return pd.concat([other, mine, changed], ignore_index=True)[list(SIGN_COLUMNS)]


def test_nobody_is_asked_of_what_they_taught():
    table = _table()
    assert learned_from(table, ("in-domain", "older", "blur")) == "in-domain"
    before = expectations(table, "in-domain")
    of_one = table["person"] == "p05"
    table.loc[of_one & (table["test_set"] == "in-domain"), "dice"] = 0.0
    after = expectations(table, "in-domain")
    own = (before["person"] == "p05").to_numpy()
    assert own.sum() == 2  # its changed image too
    assert np.array_equal(before.loc[own, ["expected", "bound"]], after.loc[own, ["expected", "bound"]])
    assert not np.allclose(before.loc[~own, "expected"], after.loc[~own, "expected"])


def test_what_became_of_the_bound_is_told_set_by_set():
    found = trusted(expectations(_table(), "in-domain")).set_index("test_set")
    assert found.loc["in-domain", "covered"] >= 0.8
    assert found.loc["older", "covered"] == 0  # all are worse than anything that was learned
    assert found.loc["older", "bad"] == 20
    assert found.loc["in-domain", "correlation"] > 0.8
    assert set(found["people"]) == {20}


def test_what_is_expected_of_a_new_image_and_what_is_odd_about_it():
    table = _table()
    folds = (Fold(0, (), {"in-domain": (), "older": ()}),)
    teacher = Teacher.of(table, "mv", folds)
    labels = LabelSet((0, 1), ("background", "whole"))
    assert "20 people of in-domain" in teacher.told
    usual = {"agreement": 0.7, "best_agreement": 0.7, "certainty": 0.7, "similarity": 0.7}
    (good,) = teacher.judged({1: usual}, labels)
    assert good.bound < good.expected == pytest.approx(0.76, abs=0.05)
    assert not good.flags
    (bad,) = teacher.judged({1: {**usual, "agreement": 0.1}}, labels)
    assert bad.expected < 0.5
    assert "worse than 19 of 20" in bad.flags[0]
    assert "agreement 0.10 is outside of all that was learned from" in bad.flags[1]


def test_without_enough_people_nothing_is_expected():
    table = _table(people=8)
    teacher = Teacher.of(table, "mv", (Fold(0, (), {"in-domain": ()}),))
    assert teacher.told == "No expected Dice: 8 people were held out (in-domain), and 9 are needed."
    (nothing,) = teacher.judged({1: dict.fromkeys(SIGNS, 0.7)}, LabelSet((0, 1), ("background", "whole")))
    assert np.isnan([nothing.expected, nothing.bound]).all()
    assert "start it again" in Teacher.of(table, "dlf", ()).told


def test_signs_of_several_folds_are_averaged():
    rows = [[{"label": 2, **dict.fromkeys(SIGNS, value)}] for value in (0.2, 0.6)]
    assert mean_signs(rows) == {2: dict.fromkeys(SIGNS, pytest.approx(0.4))}


def test_how_many_bad_ones_are_caught_by_hand():
    good = np.array([0.9, 0.8, 0.85, 0.7, 0.95, 0.92, 0.91, 0.88, 0.87, 0.86])
    assert caught(np.array([0.5, 0.75, 0.9]), good) == pytest.approx(2 / 3)  # one of ten good ones is below 0.8
    assert np.isnan(caught(np.array([]), good))
