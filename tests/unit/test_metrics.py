"""Metrics by hand, against MedPy and surface-distance, and the rule for empty masks."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from dlfbench.datasets.cases import LabelSet
from dlfbench.metrics import scores
from dlfbench.metrics.definitions import Metric
from dlfbench.metrics.known import METRICS
from dlfbench.metrics.masks import pair_masks
from dlfbench.metrics.scores import score_labels

ISOTROPIC = (1.0, 1.0, 1.0)
ANISOTROPIC = (0.7, 1.1, 2.5)
ONE = LabelSet((0, 1), ("background", "organ"))
TWO = LabelSet((0, 2, 5), ("background", "head", "tail"))


def block(shape=(9, 9, 9), corner=(2, 2, 2), size=(3, 3, 3)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))] = True
    return mask


def blob(rng, shape=(24, 26, 18)):
    centre = np.array(shape) / 2 + rng.uniform(-2, 2, 3)
    radius = np.array(shape) * rng.uniform(0.25, 0.45, 3)
    where = (np.indices(shape).T - centre) / radius
    noise = gaussian_filter(rng.standard_normal(shape), 2)
    return np.linalg.norm(where, axis=-1).T + 3 * noise < 1


def score(prediction, reference, spacing_mm=ISOTROPIC, **settings):
    maps = prediction.astype(np.int16), reference.astype(np.int16)
    (found,) = score_labels(*maps, labels=ONE, spacing_mm=spacing_mm, **settings)
    return found


def test_a_block_moved_by_one_voxel():
    found = score(block(corner=(3, 2, 2)), block(), spacing_mm=(2.0, 1.0, 1.0))
    assert found.dice == pytest.approx(2 * 18 / 54)
    # 9 of 26 surface voxels on the far side and the face's centre, inside the other block, are 2 and 1 mm away
    assert found.hd95_mm == 2
    assert found.assd_mm == pytest.approx((9 * 2 + 1) / 26)
    assert found.surface_dice == pytest.approx(17 / 26)
    assert found.volume_error == 0


def test_two_voxels_apart_along_each_axis():
    for axis, spacing in enumerate(ANISOTROPIC):
        corner = [2, 2, 2]
        corner[axis] += 3
        found = score(block(corner=tuple(corner), size=(1, 1, 1)), block(size=(1, 1, 1)), spacing_mm=ANISOTROPIC)
        assert found.hd95_mm == pytest.approx(3 * spacing)
        assert found.assd_mm == pytest.approx(3 * spacing)


def test_hd95_is_the_larger_directed_percentile():
    reference = block(shape=(60, 3, 3), corner=(0, 1, 1), size=(1, 1, 1))
    prediction = block(shape=(60, 3, 3), corner=(0, 1, 1), size=(41, 1, 1))
    assert score(prediction, reference).hd95_mm == pytest.approx(38)  # percentile of 0, 1, ..., 40
    assert score(reference, prediction).hd95_mm == pytest.approx(38)


def test_the_image_border_is_a_surface():
    whole = np.ones((5, 5, 5), bool)
    inner = block(shape=(5, 5, 5), corner=(1, 1, 1))
    pair = pair_masks(whole, inner, ISOTROPIC)
    assert pair.to_reference_mm.size == 98
    assert pair.to_prediction_mm.size == 26
    assert pair.to_prediction_mm.max() == 1


def test_volumes_are_in_mm3_and_the_error_is_signed():
    found = score(block(size=(2, 3, 3)), block(), spacing_mm=(0.5, 2.0, 3.0))
    assert found.reference_volume_mm3 == pytest.approx(27 * 3)
    assert found.prediction_volume_mm3 == pytest.approx(18 * 3)
    assert found.volume_error == pytest.approx(-1 / 3)


@pytest.mark.parametrize(("tolerance_mm", "expected"), [(0.29, 0.0), (0.3, 1.0)])
def test_a_distance_that_equals_the_tolerance_counts(tolerance_mm, expected):
    spacing_mm = (0.1, 1.0, 1.0)
    far = score(block(corner=(5, 2, 2), size=(1, 1, 1)), block(size=(1, 1, 1)), spacing_mm, tolerance_mm=tolerance_mm)
    assert far.surface_dice == expected


def test_each_label_is_scored_on_its_own():
    reference = np.where(block(), 2, 0) + np.where(block(corner=(6, 6, 6)), 5, 0)
    prediction = np.where(block(), 5, 0)
    head, tail = score_labels(prediction, reference, labels=TWO, spacing_mm=ISOTROPIC)
    assert (head.label, tail.label) == (2, 5)
    assert (head.dice, head.prediction_empty) == (0, True)
    assert tail.dice == 0
    assert not tail.prediction_empty


def test_both_empty_is_not_a_number():
    found = score(np.zeros((4, 4, 4)), np.zeros((4, 4, 4)))
    assert all(np.isnan(getattr(found, metric.name)) for metric in METRICS)
    assert found.reference_empty
    assert found.prediction_empty
    assert found.reference_volume_mm3 == found.prediction_volume_mm3 == 0


@pytest.mark.parametrize("missing", ["prediction", "reference"])
def test_one_empty_takes_the_worst_value(missing):
    masks = {"prediction": block(), "reference": block()} | {missing: np.zeros((9, 9, 9), bool)}
    found = score(masks["prediction"], masks["reference"], spacing_mm=(1.0, 2.0, 2.0))
    assert (found.dice, found.surface_dice) == (0, 0)
    assert found.hd95_mm == found.assd_mm == pytest.approx(27)
    assert found.volume_error == (-1 if missing == "prediction" else 1)
    assert (found.prediction_empty, found.reference_empty) == (missing == "prediction", missing == "reference")


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"4x4x4 voxels and the reference 4x4x5 voxels"):
        score(np.zeros((4, 4, 4)), np.zeros((4, 4, 5)))


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (1.0, 0.0, 1.0)])
def test_a_spacing_that_cannot_be_is_refused(spacing_mm):
    with pytest.raises(ValueError, match="positive lengths"):
        score(block(), block(), spacing_mm)


def test_against_medpy_on_fifty_masks():
    medpy = pytest.importorskip("medpy.metric.binary", exc_type=ImportError)
    rng = np.random.default_rng(0)
    for _ in range(50):
        prediction, reference = blob(rng), blob(rng)
        spacing_mm = tuple(rng.uniform(0.5, 3, 3))
        found = score(prediction, reference, spacing_mm)
        directed = [
            np.percentile(distances(a, b, spacing_mm), 95)
            for distances in [medpy.__dict__["__surface_distances"]]
            for a, b in [(prediction, reference), (reference, prediction)]
        ]
        assert found.hd95_mm == pytest.approx(max(directed), abs=1e-9)
        assert found.assd_mm == pytest.approx(medpy.assd(prediction, reference, spacing_mm), abs=1e-9)
        assert found.dice == pytest.approx(medpy.dc(prediction, reference), abs=1e-12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # importing monai warns
def test_surface_dice_against_monai():
    torch, monai = pytest.importorskip("torch"), pytest.importorskip("monai.metrics")
    rng = np.random.default_rng(1)
    for _ in range(20):
        masks, spacing_mm = (blob(rng), blob(rng)), tuple(rng.uniform(0.5, 3, 3))
        channels = [torch.as_tensor(np.stack([~mask, mask])[None]) for mask in masks]
        theirs = monai.compute_surface_dice(*channels, class_thresholds=[1.5], spacing=spacing_mm)
        assert score(*masks, spacing_mm, tolerance_mm=1.5).surface_dice == pytest.approx(float(theirs), abs=1e-6)


def test_masks_in_the_box_around_the_two() -> None:
    prediction, reference = np.zeros((2, 6, 5, 4), bool)
    prediction[1, 2, 3] = reference[2:4, 1, 1] = True
    pair = pair_masks(prediction, reference, (1.0, 2.0, 3.0))
    box = (slice(1, 4), slice(1, 3), slice(1, 4))
    assert np.array_equal(pair.arrays[0], prediction[box])
    assert np.array_equal(pair.arrays[1], reference[box])
    assert [int(mask.sum()) for mask in pair.arrays] == [int(prediction.sum()), int(reference.sum())]
    assert pair.spacing_mm == (1.0, 2.0, 3.0)
    empty = pair_masks(np.zeros_like(prediction), reference, (1.0, 2.0, 3.0)).arrays
    assert not empty[0].any()
    assert empty[1].all()


@pytest.mark.parametrize("spacing_mm", [ISOTROPIC, ANISOTROPIC, (0.1, 0.1, 4.0)])
def test_distances_are_those_of_every_pair_of_surface_voxels(spacing_mm) -> None:
    masks = np.random.default_rng(2).random((2, 20, 9, 14)) < 0.02
    masks[0, 9:], masks[1, :5] = False, False  # some near, some too far to be looked for from near to far
    pair = pair_masks(*masks, spacing_mm)
    places = [np.argwhere(mask) * spacing_mm for mask in masks]  # scattered voxels: all are surface
    apart = np.linalg.norm(places[0][:, None] - places[1], axis=-1)
    np.testing.assert_allclose(pair.to_reference_mm, apart.min(axis=1), rtol=1e-12)
    np.testing.assert_allclose(pair.to_prediction_mm, apart.min(axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    ("value", "said"),
    [(float("nan"), "expected a number, found nan"), (float("inf"), "found inf"), (83.0, "at most its best value, 1")],
)
def test_a_value_of_a_plugin_that_cannot_be_fails_the_metric(value, said, monkeypatch):
    made_up = Metric("mine", "Mine", "", True, "", lambda pair: value, lambda pair: 0.0, best=1.0)
    monkeypatch.setattr(scores, "MORE_METRICS", (made_up,))
    reference = np.zeros((4, 4, 4), np.int16)
    reference[1:3, 1:3, 1:3] = 1
    labels = LabelSet((0, 1, 2), ("background", "organ", "nothing"))
    one, nothing = scores.score_labels(reference, reference, labels=labels, spacing_mm=(1.0, 1.0, 1.0))
    assert said in one.reason
    assert np.isnan(one.more["mine"])
    assert (nothing.reason, np.isnan(nothing.more["mine"])) == ("", True)  # in neither map: no value, no failure
