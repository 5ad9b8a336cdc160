"""What must hold of the metrics for any two masks."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dlfbench.datasets.cases import LabelSet
from dlfbench.metrics.known import METRICS
from dlfbench.metrics.scores import score_labels

SHAPE = (5, 4, 6)
LABELS = LabelSet((0, 1, 2), ("background", "a", "b"))
label_maps = arrays(np.int16, SHAPE, elements=st.integers(0, 2))
spacings = st.tuples(*[st.floats(0.2, 5)] * 3)
SYMMETRIC = ["dice", "hd95_mm", "assd_mm", "surface_dice"]


def scores(prediction, reference, spacing_mm=(1.0, 1.0, 1.0), labels=LABELS):
    return score_labels(prediction, reference, labels=labels, spacing_mm=spacing_mm)


def values(found, names=tuple(metric.name for metric in METRICS)):
    return np.array([[getattr(one, name) for name in names] for one in found])


@given(label_maps, label_maps, spacings)
def test_swapping_the_maps_changes_nothing_but_the_sign(prediction, reference, spacing_mm):
    one, other = scores(prediction, reference, spacing_mm), scores(reference, prediction, spacing_mm)
    np.testing.assert_allclose(values(one, SYMMETRIC), values(other, SYMMETRIC))


@given(label_maps, spacings)
def test_the_reference_itself_is_perfect(reference, spacing_mm):
    assume(set(np.unique(reference)) >= {1, 2})
    perfect = [[1, 0, 0, 1, 0]] * 2
    np.testing.assert_array_equal(values(scores(reference, reference, spacing_mm)), perfect)


@given(label_maps, label_maps, st.tuples(*[st.integers(0, 3)] * 3))
def test_a_common_translation_changes_nothing(prediction, reference, shift):
    def moved(labels):
        return np.pad(labels, [(by, 3 - by) for by in shift])

    assume({1, 2} <= set(np.unique(prediction)) & set(np.unique(reference)))  # the diagonal grows with the padding
    found = scores(moved(prediction), moved(reference))
    np.testing.assert_allclose(values(found), values(scores(prediction, reference)))


@given(label_maps, label_maps, st.floats(0.1, 10))
def test_distances_scale_with_the_spacing(prediction, reference, factor):
    one, other = scores(prediction, reference), scores(prediction, reference, (factor,) * 3)
    np.testing.assert_allclose(values(other, ["hd95_mm", "assd_mm"]), factor * values(one, ["hd95_mm", "assd_mm"]))
    np.testing.assert_array_equal(values(other, ["dice", "volume_error"]), values(one, ["dice", "volume_error"]))


@given(label_maps, label_maps)
def test_renaming_the_labels_renames_the_scores(prediction, reference):
    renamed = LabelSet((0, 7, 9), ("background", "b", "a"))
    names = np.array([0, 9, 7], np.int16)
    found = scores(names[prediction], names[reference], labels=renamed)
    np.testing.assert_array_equal(values(found), values(scores(prediction, reference))[::-1])


@given(label_maps, label_maps, st.permutations(range(3)))
def test_turning_the_axes_changes_nothing(prediction, reference, axes):
    spacing_mm = (0.5, 1.0, 3.0)
    turned = scores(prediction.transpose(axes), reference.transpose(axes), tuple(spacing_mm[a] for a in axes))
    np.testing.assert_allclose(values(turned), values(scores(prediction, reference, spacing_mm)))


@given(label_maps, label_maps)
def test_values_stay_in_their_range(prediction, reference):
    for found in scores(prediction, reference):
        if found.reference_empty and found.prediction_empty:
            continue
        assert 0 <= found.dice <= 1
        assert 0 <= found.surface_dice <= 1
        assert found.assd_mm >= 0
        assert 0 <= found.hd95_mm <= np.linalg.norm(SHAPE) + 1e-9


def test_every_metric_says_what_it_is():
    for metric in METRICS:
        assert len(metric.definition) > 40
        assert metric.comparable(-0.5) == pytest.approx(0.5 if metric.absolute else -0.5)
