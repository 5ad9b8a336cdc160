import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlfbench.registration.quality import jacobian_determinant, quality_flags

SHAPE = (10, 10, 10)


def flags(**changes):
    """A registration in which all is well, but for the changes."""
    labels = np.zeros(SHAPE, np.int16)
    labels[4:6, 4:6, 4:6] = 1
    sound = {
        "images": np.ones((1, *SHAPE), np.float32),
        "labels": labels,
        "affine": np.eye(4),
        "jacobian": np.ones(SHAPE),
        "support": np.ones(SHAPE),
    }
    return quality_flags(**(sound | changes))


OBLIQUE = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()


@pytest.mark.parametrize("spacing_mm", [0.15, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("directions", [np.eye(3), np.diag([-1.0, -1, 1]), OBLIQUE], ids=["ras", "lps", "oblique"])
def test_a_stretch_by_a_fifth_is_found_whatever_the_voxels(spacing_mm, directions):
    to_mm = directions * (spacing_mm, 1.0, 3.0)
    place = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1) @ to_mm.T
    displacement = place * (0.2, 0.0, 0.0)  # mm, along the first axis of space
    np.testing.assert_allclose(jacobian_determinant(displacement, to_mm), 1.2)


def test_a_mirrored_direction_of_space_is_folded():
    place = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1) * 0.15
    assert (jacobian_determinant(place * (-1.1, 0, 0), np.eye(3) * 0.15) < 0).all()


def some(share, value, other=1.0):
    """`value` in that share of the voxels."""
    return np.where(np.arange(1000) < 1000 * share, value, other).reshape(SHAPE)


def test_nothing_is_said_where_all_is_well():
    assert flags() == ()


def test_a_dark_image_is_not_taken_for_lack_of_overlap():
    assert flags(images=np.zeros((1, *SHAPE), np.float32)) == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["images", "jacobian", "support", "affine"])
def test_non_finite_values_are_found_wherever_they_are(name, value):
    array = {"images": np.ones((2, *SHAPE), np.float32), "affine": np.eye(4)}.get(name, np.ones(SHAPE))
    array[-1, -1, ...] = value
    assert "non-finite: image, affine or warp" in flags(**{name: array})


@pytest.mark.parametrize(("share", "found"), [(0.02, ()), (0.03, ("folded: 3.0% of voxels",))])
@pytest.mark.parametrize("value", [0.0, -0.5])
def test_folds_are_counted_and_a_few_are_let_pass(share, found, value):
    assert flags(jacobian=some(share, value)) == found


@pytest.mark.parametrize(("scale", "found"), [(0.39, True), (0.41, False), (2.4, False), (2.6, True), (-1.0, True)])
def test_an_affine_that_shrinks_grows_or_mirrors_the_atlas_is_absurd(scale, found):
    affine = np.diag([scale, 1.0, 1.0, 1.0])
    assert flags(affine=affine) == ((f"absurd affine: volume scaled by {scale:.2g}",) if found else ())


@pytest.mark.parametrize(("share", "found"), [(0.4, True), (0.6, False)])
def test_an_atlas_that_covers_less_than_half_of_the_target_does_not_overlap(share, found):
    assert flags(support=some(share, 1.0, 0.0)) == (("no overlap: atlas covers 40% of the target",) if found else ())


def test_an_empty_candidate_does_not_overlap():
    assert flags(labels=np.zeros(SHAPE, np.int16)) == ("no overlap: no label falls on the target",)


def test_every_finding_is_told():
    assert (
        len(flags(jacobian=-np.ones(SHAPE), support=np.zeros(SHAPE), labels=np.zeros(SHAPE), affine=np.zeros((4, 4))))
        == 4
    )
