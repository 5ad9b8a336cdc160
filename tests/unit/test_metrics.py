import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from dlfbench.cases import LabelSet
from dlfbench.metrics import assd, dice, hd95, score_labels, surface_dice, surface_distances

ONE = LabelSet((0, 1), ("background", "a"))
ISOTROPIC = (1.0, 1.0, 1.0)
Masks = arrays(bool, (5, 4, 6))


def block(start: tuple[int, int, int], size: tuple[int, int, int], shape: tuple[int, int, int] = (9, 9, 9)) -> npt.NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))] = True
    return mask


def smooth_mask(generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    noise = ndimage.gaussian_filter(generator.normal(size=(18, 22, 14)), 2.5)
    return noise > np.quantile(noise, 0.8)


def test_dice_of_two_blocks_by_hand() -> None:
    # 2x2x2 and its shift by one: 4 voxels shared of 8 and 8
    assert dice(block((1, 1, 1), (2, 2, 2)), block((2, 1, 1), (2, 2, 2))) == 0.5


def test_distances_of_two_single_voxels_use_the_spacing() -> None:
    found = surface_distances(block((1, 1, 1), (1, 1, 1)), block((1, 3, 2), (1, 1, 1)), (1.0, 2.0, 3.0))
    assert found.to_reference_mm.tolist() == [5.0]  # 2 x 2 mm and 1 x 3 mm: a 3-4-5 triangle
    assert hd95(found) == assd(found) == 5.0


def test_distances_of_a_plate_and_its_shift_by_hand() -> None:
    found = surface_distances(block((2, 2, 2), (1, 3, 3)), block((4, 2, 2), (1, 3, 3)), (1.5, 1.0, 1.0))
    assert set(found.to_reference_mm) == {3.0}
    assert surface_dice(found, 2.9) == 0.0
    assert surface_dice(found, 3.0) == 1.0


def test_hd95_takes_the_larger_direction() -> None:
    # every voxel of the single one is 0 mm from the row, the row's far end is 7 mm from the single one
    row, single = block((1, 1, 1), (8, 1, 1)), block((1, 1, 1), (1, 1, 1))
    assert hd95(surface_distances(row, single, ISOTROPIC)) == pytest.approx(np.percentile(range(8), 95))


def test_the_inside_of_a_mask_is_no_surface() -> None:
    found = surface_distances(block((1, 1, 1), (5, 5, 5)), block((1, 1, 1), (5, 5, 5)), ISOTROPIC)
    assert found.to_reference_mm.size == 5**3 - 3**3


def test_masks_at_the_image_border_have_a_surface_there() -> None:
    found = surface_distances(np.ones((3, 3, 3), bool), np.ones((3, 3, 3), bool), ISOTROPIC)
    assert found.to_reference_mm.size == 26


def test_one_empty_mask_takes_the_worst_values_and_says_so() -> None:
    (score,) = score_labels(np.zeros((3, 4, 12), int), block((1, 1, 1), (1, 1, 1), (3, 4, 12)).astype(int), labels=ONE, spacing_mm=ISOTROPIC)
    assert (score.dice, score.surface_dice, score.hd95_mm, score.assd_mm, score.volume_error) == (0, 0, 13, 13, -1)
    assert (score.prediction_empty, score.reference_empty) == (True, False)


def test_two_empty_masks_are_undefined() -> None:
    (score,) = score_labels(np.zeros((3, 3, 3), int), np.zeros((3, 3, 3), int), labels=ONE, spacing_mm=ISOTROPIC)
    assert all(math.isnan(v) for v in (score.dice, score.hd95_mm, score.assd_mm, score.surface_dice, score.volume_error))
    assert score.prediction_empty
    assert score.reference_empty


def test_volumes_are_in_mm3() -> None:
    maps = [block((1, 1, 1), (2, 2, n)).astype(int) for n in (3, 2)]
    (score,) = score_labels(*maps, labels=ONE, spacing_mm=(0.5, 1, 2))
    assert (score.prediction_volume_mm3, score.reference_volume_mm3, score.volume_error) == (12, 8, 0.5)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"prediction has shape \(2, 2, 2\), the reference \(2, 2, 3\)"):
        score_labels(np.zeros((2, 2, 2), int), np.zeros((2, 2, 3), int), labels=ONE, spacing_mm=ISOTROPIC)


@given(Masks, Masks)
def test_dice_is_symmetric_and_within_0_and_1(one: npt.NDArray[np.bool_], two: npt.NDArray[np.bool_]) -> None:
    assert dice(one, two) == dice(two, one) or not (one.any() or two.any())
    assert not dice(one, two) > 1


@given(Masks, Masks, st.floats(0.1, 10))
def test_distances_scale_with_the_spacing(one: npt.NDArray[np.bool_], two: npt.NDArray[np.bool_], scale: float) -> None:
    if one.any() and two.any():
        base, scaled = (surface_distances(one, two, (s, 2 * s, 3 * s)) for s in (1.0, scale))
        assert hd95(scaled) == pytest.approx(scale * hd95(base))
        assert assd(scaled) == pytest.approx(scale * assd(base))


@given(Masks, Masks)
def test_a_perfect_prediction_has_perfect_scores(one: npt.NDArray[np.bool_], two: npt.NDArray[np.bool_]) -> None:
    (same,) = score_labels(one.astype(int), one.astype(int), labels=ONE, spacing_mm=(1, 2, 3))
    if one.any():
        assert (same.dice, same.hd95_mm, same.assd_mm, same.surface_dice, same.volume_error) == (1, 0, 0, 1, 0)


def test_against_medpy_on_50_random_masks_with_anisotropic_spacing() -> None:
    binary = pytest.importorskip("medpy.metric.binary")
    directed = binary.__dict__["__surface_distances"]
    generator = np.random.default_rng(0)
    for _ in range(50):
        one, two = smooth_mask(generator), smooth_mask(generator)
        spacing = tuple(generator.uniform(0.5, 3, 3))
        found = surface_distances(one, two, spacing)
        assert dice(one, two) == pytest.approx(binary.dc(one, two), abs=1e-12)
        directions = directed(one, two, spacing, 1), directed(two, one, spacing, 1)
        assert hd95(found) == pytest.approx(max(np.percentile(d, 95) for d in directions), abs=1e-9)
        assert assd(found) == pytest.approx(np.concatenate(directions).mean(), abs=1e-9)
