"""Posteriors of several methods as one, and what an ensemble may and may not be made of."""

import json
from pathlib import Path

import numpy as np
import pytest

from dlfbench.errors import InputError
from dlfbench.fusion.combination import combined, learned_weights
from dlfbench.fusion.posterior import Posterior
from dlfbench.segmenters.contract.scene import LABEL_VALUES, Scene
from dlfbench.segmenters.interface import Context, Training
from dlfbench.segmenters.registry import Method, make_method
from dlfbench_baselines.ensemble import Ensemble
from held_out_cases import CaseAmongOthers, Spy

LABELS = (0, 3)


def _posterior(*of_label: float) -> Posterior:
    share = np.reshape(of_label, (1, 1, -1)).astype(np.float32)
    return Posterior.of_dense(np.stack([1 - share, share]), LABELS)


def _together(by, weights, *posteriors: Posterior) -> list[float]:
    return combined(posteriors, weights, by).dense()[1].ravel().tolist()


def test_mean_odds_and_majority_by_hand():
    one, other, third = _posterior(0.8, 0, 1), _posterior(0.5, 0, 0.2), _posterior(0.1, 0, 0.4)
    assert _together("mean", [1, 3], one, other) == pytest.approx([(0.8 + 3 * 0.5) / 4, 0, 0.4])
    # 1 counts as 1 beside a least share of 0.01: odds of 100, times 1/4
    assert _together("odds", [1, 1], one, other) == pytest.approx([0.8, 0, 25 / 26])
    assert _together("odds", [2, 0], one, other)[0] == pytest.approx(16 / 17)
    assert _together("majority", [1, 1, 1], one, other, third) == pytest.approx([1 / 3, 0, 1 / 3])


def test_a_label_that_no_method_has_gets_nothing():
    shares = np.array([[0.5, 0.5, 0.0], [0.2, 0.8, 0.0]], np.float32).reshape(2, 3, 1, 1, 1)
    found = combined([Posterior.of_dense(one, (0, 1, 2)) for one in shares], [1, 1], "odds").dense()
    assert found.ravel().tolist() == pytest.approx([0.2, 0.8, 0])


def test_whom_to_trust_is_learned_from_the_truth():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 4000)
    calibrated = generator.beta(4, 2, 4000)  # of the true class, and what it says of it is so
    noise = generator.uniform(0.05, 0.95, 4000)
    shares = np.empty((4000, 2, 2))
    for method, own in enumerate((calibrated, noise)):
        shares[np.arange(4000), method, truth] = own
        shares[np.arange(4000), method, 1 - truth] = 1 - own
    for by in ("odds", "mean"):
        good, bad = learned_weights(shares, truth, by)
        assert good > 5 * bad


def test_labels_that_no_member_names_in_a_voxel_weigh_nothing():
    """They get no share when log odds are summed, so they must not count where weights are learned."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 2000)
    shares = np.zeros((2000, 2, 2), np.float32)
    for member, right in enumerate((0.8, 0.7)):
        says = np.where(rng.random(2000) < right, truth, 1 - truth)
        shares[np.arange(2000), member, says], shares[np.arange(2000), member, 1 - says] = 0.9, 0.1
    alone = learned_weights(shares, truth, "odds")
    among_many = learned_weights(np.pad(shares, ((0, 0), (0, 0), (0, 60))), truth, "odds")
    assert among_many == pytest.approx(alone, rel=1e-3)
    unnamed = np.concatenate([truth, np.full(500, 9)])  # true, and named by nobody: no weights help
    more = np.pad(np.concatenate([shares, shares[:500]]), ((0, 0), (0, 0), (0, 60)))
    assert learned_weights(more, unnamed, "odds") == pytest.approx(alone, rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"of": "mv"}, "two methods or more"),
        ({"of": "mv;mv"}, "each method once"),
        ({"of": "mv;nothing"}, "unknown method 'nothing'"),
        ({"of": "mv;jlf", "by": "majority"}, "majority of two"),
        ({"of": "mv;jlf", "weights": "1;2;3"}, "2 numbers of 0 or more"),
        ({"of": "mv;jlf", "weights": "1;-1"}, "2 numbers of 0 or more"),
        ({"of": "mv;jlf;svwv", "by": "majority", "weights": "stacked"}, "cannot be learned"),
    ],
)
def test_what_makes_no_ensemble_is_refused(settings, said):
    with pytest.raises(InputError, match=said):
        make_method("ours", "ensemble", settings)


def test_it_needs_what_its_members_need():
    fusing, learning = Ensemble("mv;jlf"), Ensemble("jlf_cl;unet")
    assert (fusing.needs_atlases, fusing.needs_training, fusing.trains_on_atlases) == (True, False, False)
    assert (learning.needs_training, learning.trains_on_atlases, learning.uses_gpu) == (True, True, True)
    stacked = Ensemble("mv;jlf", weights="stacked")
    assert (stacked.needs_training, stacked.trains_on_atlases) == (True, True)
    assert not Ensemble("unet;nnunet", weights="stacked").trains_on_atlases


def test_stacked_weights_are_learned_from_cases_that_members_know_nothing_of(tmp_path: Path):
    cases = [CaseAmongOthers(Scene(), number, tmp_path) for number in range(1, 5)]
    ours, spy = Ensemble("mv;unet", weights="stacked"), Spy()
    members = (make_method("mv", "mv", {}), Method("spy", "spy", spy))
    vars(ours)["members"] = members
    ours.fit(Training(cases, LABEL_VALUES, ("m0",)), Context(tmp_path / "model"))
    assert sorted(name for name, _, _ in spy.asked) == [f"train{number:02d}" for number in range(1, 5)]
    for name, trained, used in spy.asked:
        assert len(trained) == 2
        assert name not in trained | used
    weights = json.loads((tmp_path / "model" / "weights.json").read_text())
    assert weights["mv"] > weights["spy"] >= 0
    assert not (tmp_path / "model" / "halves").exists()
    ours.segment(Scene().target(), Scene().atlas_set(), Context(tmp_path / "model"))
    assert len(spy.asked[-1][1]) == 4  # those that segment know the whole training set


def test_a_model_that_is_there_is_taken_and_not_trained(tmp_path: Path):
    ours, spy = Ensemble("mv;unet"), Spy()
    vars(ours)["members"] = (make_method("mv", "mv", {}), Method("spy", "spy", spy))
    known = tmp_path / "known"
    known.mkdir()
    (known / "seen.json").write_text('[["somebody"], []]')
    ours.fit(Training([], LABEL_VALUES, ("m0",)), Context(tmp_path / "model", members={"spy": known}))
    ours.segment(Scene().target(), Scene().atlas_set(), Context(tmp_path / "model"))
    assert spy.asked == [("target", frozenset({"somebody"}), frozenset())]


def test_images_that_a_model_that_is_taken_links_to_are_not_copied(tmp_path: Path):
    ours = Ensemble("mv;unet")
    vars(ours)["members"] = (make_method("mv", "mv", {}), Method("spy", "spy", Spy()))
    (tmp_path / "known" / "raw").mkdir(parents=True)
    (tmp_path / "image.nii.gz").write_text("large")
    (tmp_path / "known" / "raw" / "image.nii.gz").symlink_to(tmp_path / "image.nii.gz")
    for _ in ("at once", "after an interrupted fit"):
        ours.fit(Training([], LABEL_VALUES, ("m0",)), Context(tmp_path / "m", members={"spy": tmp_path / "known"}))
    assert (tmp_path / "m" / "spy" / "raw" / "image.nii.gz").is_symlink()
