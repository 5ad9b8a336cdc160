from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dlfbench.cli.study_flags import StudyFlags, study_from_flags
from dlfbench.datasets.cases import Case
from dlfbench.datasets.known import open_dataset
from dlfbench.engine.tasks.registration import RegistrationTask
from dlfbench.engine.tasks.task import Place
from dlfbench.errors import InputError
from dlfbench.images import UNKNOWN, Grid, write_labels
from dlfbench.registration import greedy
from dlfbench.registration.demons import SimpleItkDemons
from dlfbench.registration.greedy import Greedy, GreedyRoi, _without_thin_levels, to_sitk
from dlfbench.volumes import Atlas, Target

SHAPE = (5, 6, 7)
SPACING_MM = np.array([0.8, 1.1, 2.5])
OBLIQUE = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()


def affine_of(directions, origin=(-12.0, 7.5, 30.0), spacing_mm=SPACING_MM):
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing_mm
    affine[:3, 3] = origin
    return affine


AFFINES = {
    "ras": affine_of(np.eye(3)),
    "las": affine_of(np.diag([-1.0, 1, 1])),
    "lps": affine_of(np.diag([-1.0, -1, 1])),
    "asr": affine_of(np.eye(3)[:, [1, 2, 0]]),
    "oblique": affine_of(OBLIQUE),
    "oblique and flipped": affine_of(OBLIQUE @ np.diag([1.0, -1, -1])),
    "left-handed": affine_of(OBLIQUE @ np.diag([1.0, 1, -1])),
}


@pytest.fixture(params=AFFINES.values(), ids=AFFINES)
def affine(request):
    return request.param


def test_every_voxel_keeps_its_place_in_space(affine):
    image = to_sitk(np.zeros(SHAPE, np.float32), Grid.of(SHAPE, affine))
    for index in np.ndindex(*SHAPE):
        right, anterior, superior = (affine @ [*index, 1])[:3]
        assert image.TransformIndexToPhysicalPoint(index) == pytest.approx((-right, -anterior, superior), abs=1e-6)


def test_every_voxel_keeps_its_value():
    voxels = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    image = to_sitk(voxels, Grid.of(SHAPE, np.eye(4)))
    assert image.GetSize() == SHAPE
    assert all(image[index] == voxels[index] for index in np.ndindex(*SHAPE))


def test_space_is_as_itk_itself_reads_it_from_a_file(affine, tmp_path):
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.float32), affine), tmp_path / "image.nii")
    expected = sitk.ReadImage(str(tmp_path / "image.nii"))
    image = to_sitk(np.zeros(SHAPE, np.float32), Grid.of(SHAPE, affine))
    assert image.GetOrigin() == pytest.approx(expected.GetOrigin(), abs=1e-4)
    assert image.GetSpacing() == pytest.approx(expected.GetSpacing(), abs=1e-4)
    assert image.GetDirection() == pytest.approx(expected.GetDirection(), abs=1e-4)


@settings(deadline=None, max_examples=25)
@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(0.2, 6)] * 3),
    st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
)
def test_the_last_voxel_of_any_grid_keeps_its_place(angles_degrees, spacing_mm, flips):
    directions = Rotation.from_euler("xyz", angles_degrees, degrees=True).as_matrix() @ np.diag(flips)
    affine = affine_of(directions, spacing_mm=np.array(spacing_mm))
    image = to_sitk(np.zeros(SHAPE, np.uint8), Grid.of(SHAPE, affine))
    expected = np.diag([-1, -1, 1, 1]) @ affine @ [4, 5, 6, 1]
    assert image.TransformIndexToPhysicalPoint((4, 5, 6)) == pytest.approx(expected[:3], abs=1e-6)


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("affine_dof", 9, "affine_dof: expected 6, 7 or 12, found 9"),
        ("affine_iterations", "100x0", "affine_iterations: expected numbers of 1 or more such as 100x50"),
        ("iterations", "100,50", "iterations: expected numbers such as 100x50x20, found '100,50'"),
        ("metric", "NCC", "metric: expected SSD, MI, NMI, or NCC or WNCC with a radius such as NCC 2x2x2"),
        ("affine_metric", "SSD -o /etc/passwd", "affine_metric: expected SSD"),
        ("smoothing", "1.5 0.5", "smoothing: expected two widths such as 1.5vox 0.5vox, found '1.5 0.5'"),
        ("label_smoothing", "0.2", "label_smoothing: expected a width such as 0.2vox"),
        ("modality_weights", (), "modality_weights: expected a positive number per modality"),
        ("modality_weights", (1.0, -1.0), "modality_weights: expected a positive number per modality"),
        ("modality_weights", (float("nan"),), "modality_weights: expected a positive number per modality"),
        ("seed", 0, "seed: expected 1 or more .0 is the clock to greedy. and less than 2.31, found 0"),
        ("threads", 0, "threads: expected 1 or more, found 0"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_expected(setting, value, text):
    with pytest.raises(ValueError, match=text):
        Greedy(**{setting: value})


def test_all_wrong_settings_are_told_at_once():
    with pytest.raises(ValueError, match=r"affine_dof.*metric.*seed"):
        Greedy(affine_dof=3, metric="?", seed=-1)


@pytest.mark.parametrize("metric", ["SSD", "MI", "NMI", "NCC 4x4x4", "WNCC 2x2x1"])
def test_greedy_s_metrics_are_accepted(metric):
    assert Greedy(metric=metric).metric == metric


def test_the_version_is_that_of_the_installed_tool():
    assert Greedy().version().startswith("picsl-greedy 1.")


@pytest.mark.parametrize(
    ("voxels", "expected"),
    [
        (64, "100x50x20"),
        (16, "100x50x20"),
        (15, "0x50x20"),
        (12, "0x50x20"),
        (8, "0x50x20"),
        (7, "0x0x20"),
        (4, "0x0x20"),
    ],
)
def test_levels_with_fewer_than_four_voxels_are_skipped(voxels, expected):
    assert _without_thin_levels("100x50x20", voxels) == expected


WAVES = np.random.default_rng(5).uniform(-0.45, 0.45, (12, 3))  # radians per mm: wavelengths of 8 mm and more


def phantom(grid, shift_mm=(0.0, 0.0, 0.0), *, seed=0, noise=0.02):
    """Texture without symmetries in an ellipsoid about the origin of space, its halves labelled 3 and 7; shifted."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    place = index @ np.asarray(grid.affine)[:3, :3].T + np.asarray(grid.affine)[:3, 3] - shift_mm
    inside = np.linalg.norm(place / (7, 6, 5), axis=-1) < 1
    labels = np.where(inside, np.where(place[..., 0] < 0, 3, 7), 0).astype(np.int16)
    texture = np.cos(place @ WAVES.T + np.arange(12)).mean(-1) + 0.3 * inside
    image = texture + np.random.default_rng(seed).normal(0, noise, grid.shape)
    return image.astype(np.float32)[None], labels


def centred(shape, directions=np.eye(3), spacing_mm=(1.0, 1.0, 1.0)):
    affine = affine_of(directions, spacing_mm=np.array(spacing_mm))
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid.of(shape, affine)


CUBE = centred((24, 22, 20))


def make_target(grid=CUBE, **changes):
    images, labels = phantom(grid, seed=1, **changes)
    return Target("target", images, grid), labels


def make_atlas(grid=CUBE, shift_mm=(2.0, -1.0, 1.0)):
    return Atlas("atlas", *phantom(grid, shift_mm, seed=2), grid)


def warp(folder, target, atlas, registration=Greedy(), threads=1):
    return registration.warp(target, atlas, scratch=folder, threads=threads)


def dice(a, b, label):
    a, b = a == label, b == label
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def assert_registered(warped, target, reference, at_least=0.85):
    assert warped.images.shape == target.images.shape
    assert warped.images.dtype == np.float32
    assert (warped.labels.shape, warped.labels.dtype) == (reference.shape, np.int16)
    assert set(np.unique(warped.labels)) - {UNKNOWN} == {0, 3, 7}
    assert min(dice(warped.labels, reference, label) for label in (3, 7)) > at_least
    assert np.corrcoef(warped.images.ravel(), target.images.ravel())[0, 1] > 0.85


def test_a_shifted_atlas_comes_to_lie_on_the_target(tmp_path):
    target, reference = make_target()
    warped = warp(tmp_path, target, make_atlas())
    assert_registered(warped, target, reference)
    assert warped.flags == ()
    assert list(tmp_path.iterdir()) == []


ATLAS_GRIDS = {
    "flipped": centred((24, 22, 20), np.diag([-1.0, 1, -1])),
    "oblique, other voxels": centred((34, 28, 20), OBLIQUE, (0.8, 1.0, 1.4)),
    "permuted": centred((22, 20, 24), np.eye(3)[:, [1, 2, 0]]),
    "left-handed": centred((24, 22, 20), np.diag([1.0, 1, -1])),
    "sheared": centred((24, 22, 20), np.array([[1, 0.1, 0], [0, 1, 0], [0, 0, 1.0]])),
}


@pytest.mark.parametrize("grid", ATLAS_GRIDS.values(), ids=ATLAS_GRIDS)
def test_the_atlas_s_grid_makes_no_difference(grid, tmp_path):
    target, reference = make_target()
    assert_registered(warp(tmp_path, target, make_atlas(grid)), target, reference)


@pytest.mark.parametrize("grid", ATLAS_GRIDS.values(), ids=ATLAS_GRIDS)
def test_the_target_s_grid_makes_no_difference(grid, tmp_path):
    target, reference = make_target(grid)
    assert_registered(warp(tmp_path, target, make_atlas()), target, reference)


STORED = {"permuted": ((1, 2, 0), (1, 1, 1)), "flipped": ((0, 1, 2), (-1, 1, -1)), "both": ((2, 0, 1), (1, -1, 1))}


def stored_otherwise(volume, order, flips):
    """The same image in the same place with its voxels in another order."""
    affine = np.asarray(volume.grid.affine)
    columns, origin = affine[:3, :3].copy(), affine[:3, 3].copy()
    images = volume.images
    for axis, flip in enumerate(flips):
        if flip < 0:
            origin += columns[:, axis] * (volume.grid.shape[axis] - 1)
            columns[:, axis] *= -1
            images = np.flip(images, axis + 1)
    images = images.transpose(0, *(axis + 1 for axis in order))
    other = np.eye(4)
    other[:3, :3], other[:3, 3] = columns[:, order], origin
    return replace(volume, images=np.ascontiguousarray(images), grid=Grid.of(images.shape[1:], other))


@pytest.fixture
def checked(monkeypatch):
    """What the check of the registration was given, one entry for each registration that is made."""
    seen = []
    monkeypatch.setattr("dlfbench.registration.greedy.quality_flags", lambda *_, **more: seen.append(more) or ())
    return seen


@pytest.mark.parametrize(("order", "flips"), STORED.values(), ids=STORED)
def test_the_same_affine_is_found_however_the_target_is_stored(order, flips, tmp_path, checked):
    target, _ = make_target()
    warp(tmp_path, target, make_atlas())
    warp(tmp_path, stored_otherwise(target, order, flips), make_atlas())
    plain, other = (seen["affine"] for seen in checked)
    corners = np.c_[np.array(list(np.ndindex(2, 2, 2))) * (14, 12, 10) - (7, 6, 5), np.ones(8)]  # about the phantom, mm
    # greedy jitters its sample points by half a voxel, and in another order of voxels it jitters others
    np.testing.assert_allclose(corners @ other[:3].T, corners @ plain[:3].T, atol=0.25)
    np.testing.assert_allclose(other[:3, 3], (2, -1, 1), atol=0.5)  # mm; NCC falls short near the image's edge


def assert_equal(a, b):
    np.testing.assert_array_equal(a.images, b.images)
    np.testing.assert_array_equal(a.labels, b.labels)
    assert a.flags == b.flags


def test_the_result_is_the_same_every_time_on_any_number_of_threads(tmp_path):
    target, _ = make_target()
    first = warp(tmp_path, target, make_atlas())
    assert_equal(first, warp(tmp_path, target, make_atlas()))
    assert_equal(first, warp(tmp_path, target, make_atlas(), threads=4))


@pytest.mark.parametrize(("factor", "offset"), [(1.0, -1000.0), (2.0**-20, 0.0), (2.0**10, 2.0**20)])
def test_where_zero_is_and_what_is_one_make_no_difference(factor, offset, tmp_path):
    def stored_otherwise(volume):  # exactly: with powers of two, numbers of 32 bits lose nothing
        return replace(volume, images=volume.images * np.float32(factor) + np.float32(offset))

    target, atlas = (replace(v, images=np.round(500 * v.images)) for v in (make_target()[0], make_atlas()))
    plain = warp(tmp_path, target, atlas)
    for found in (
        warp(tmp_path, stored_otherwise(target), stored_otherwise(atlas)),
        warp(tmp_path, target, stored_otherwise(atlas)),
    ):
        np.testing.assert_array_equal(found.labels, plain.labels)
        np.testing.assert_allclose((found.images - offset) / factor, plain.images, atol=0.01)


def test_an_offset_costs_nothing_that_a_file_holds(tmp_path):
    """32 bits would round fractions at -1000, and greedy's optimiser would stop elsewhere."""

    def on_disk(volume, offset, kind):
        path = tmp_path / f"{volume.name}-{kind.__name__}.nii.gz"
        voxels = volume.images[0].astype(np.float64) + offset
        nib.save(nib.Nifti1Image(voxels.astype(kind), np.array(volume.grid.affine)), path)
        return Case(volume.name, (path,), tmp_path / "labels.nii.gz")

    target, atlas = make_target()[0], make_atlas()
    write_labels(tmp_path / "labels.nii.gz", atlas.labels, atlas.grid)
    plain, moved = (
        RegistrationTask("0" * 32, on_disk(target, *how), on_disk(atlas, *how), Greedy(), names={}).warped(
            Place(tmp_path, tmp_path / how[1].__name__), lambda *_: None
        )
        for how in ((0.0, np.float32), (-1000.0, np.float64))
    )
    np.testing.assert_array_equal(moved.labels, plain.labels)
    np.testing.assert_allclose(moved.images + 1000, plain.images, atol=1e-3)


def test_beyond_an_atlas_s_field_of_view_it_has_no_vote_and_its_border_goes_on(tmp_path):
    target, _ = make_target(shift_mm=(0.0, 0.0, 0.0))
    atlas = make_atlas(centred((24, 22, 12)), (0.0, 0.0, 0.0))
    atlas = replace(atlas, images=atlas.images + np.float32(1000))
    warped = warp(tmp_path, target, atlas, Greedy(iterations="0"))
    assert (warped.labels[..., [0, -1]] == UNKNOWN).all()
    assert not (warped.labels[6:-6, 6:-6, 8:12] == UNKNOWN).any()
    assert warped.images.min() > 990
    assert (warped.labels == UNKNOWN).mean() == pytest.approx(8 / 20, abs=0.08)


@pytest.mark.parametrize("registration", [Greedy(), GreedyRoi(margin_mm=4)], ids=["greedy", "greedy_roi"])
def test_where_an_atlas_is_flat_it_stays_flat(registration, tmp_path):
    target, atlas = make_target(noise=0)[0], make_atlas()
    images, labels = phantom(CUBE, (2.0, -1.0, 1.0), noise=0)
    flat = replace(atlas, images=np.where(labels > 0, images, np.float32(5)), labels=labels)
    warped = warp(tmp_path, target, flat, registration)
    around = warped.images[0][warped.labels == 0]
    assert np.mean(np.abs(around - 5) < 1e-5) > 0.6


def test_warps_are_not_rounded(tmp_path, monkeypatch):
    """Greedy rounds them to 0.1 voxel where it is not told otherwise; folds would come and go with that."""
    seen, plain = [], greedy._jacobian
    monkeypatch.setattr(greedy, "_jacobian", lambda warp: seen.append(sitk.GetArrayFromImage(warp)) or plain(warp))
    warp(tmp_path, make_target()[0], make_atlas())
    (found,) = seen  # of voxels of 1 mm
    assert np.abs(found * 10 - np.rint(found * 10)).max() > 0.1


def test_other_settings_give_another_result(tmp_path):
    target, _ = make_target()
    affine_only = warp(tmp_path, target, make_atlas(), Greedy(iterations="0x0x0"))
    assert (affine_only.images != warp(tmp_path, target, make_atlas()).images).any()


def test_several_modalities_are_registered_together_by_their_weights(tmp_path):
    target, reference = make_target()
    atlas = make_atlas()
    noise = np.random.default_rng(0).normal(size=(2, 1, *CUBE.shape)).astype(np.float32)
    target = replace(target, images=np.concatenate([noise[0], target.images]))
    atlas = replace(atlas, images=np.concatenate([noise[1], atlas.images]))
    right, wrong = (
        warp(tmp_path, target, atlas, Greedy(modality_weights=weights)) for weights in ((0.001, 1.0), (1.0, 0.001))
    )
    assert right.images.shape == (2, *CUBE.shape)
    assert min(dice(right.labels, reference, label) for label in (3, 7)) > 0.95
    assert max(dice(wrong.labels, reference, label) for label in (3, 7)) < 0.95


@pytest.mark.parametrize("grid", [CUBE, ATLAS_GRIDS["oblique, other voxels"]], ids=["straight", "oblique"])
def test_in_a_region_an_atlas_is_deformed_and_beyond_it_it_is_not(grid, tmp_path, monkeypatch):
    boxes, plain = [], greedy.candidate_box
    monkeypatch.setattr(greedy, "candidate_box", lambda *about: boxes.append(plain(*about)) or boxes[0])
    target, reference = make_target(grid)
    atlas = make_atlas()
    atlas = replace(atlas, labels=np.where(atlas.labels == 3, 3, 0).astype(np.int16))
    found = warp(tmp_path, target, atlas, GreedyRoi(margin_mm=1.0))
    assert dice(found.labels, reference, 3) > 0.85
    beyond = np.ones(grid.shape, bool)
    beyond[boxes[0]] = False
    assert beyond.any()
    assert found.labels[beyond].max() <= 0
    moved = np.abs(found.images - warp(tmp_path, target, atlas, Greedy(iterations="0")).images)[0]
    assert moved[beyond].max() < 1e-3 < moved[~beyond].mean()


def test_without_labels_the_region_is_the_whole_image(tmp_path):
    target, _ = make_target()
    atlas = make_atlas()
    atlas = replace(atlas, labels=np.zeros_like(atlas.labels))
    found, whole = (warp(tmp_path, target, atlas, registration) for registration in (GreedyRoi(), Greedy()))
    # greedy changes the target that it is given; between its two steps, this one gets it anew
    assert np.corrcoef(found.images.ravel(), whole.images.ravel())[0, 1] > 0.99
    assert found.flags == whole.flags


def test_a_registration_of_the_command_line_is_instead_of_the_studys():
    study = study_from_flags(None, StudyFlags(data="somewhere", registration="greedy_roi[margin_mm=15]"))
    assert study.build_registration() == GreedyRoi(margin_mm=15.0)
    study = study_from_flags("phantom-quick", StudyFlags(registration="simpleitk"))
    assert study.build_registration() == SimpleItkDemons()
    with pytest.raises(InputError, match=r"--registration: cannot read 'greedy\[threads'"):
        study_from_flags(None, StudyFlags(data="somewhere", registration="greedy[threads"))
    with pytest.raises(InputError, match="did you mean 'simpleitk'"):
        study_from_flags(None, StudyFlags(data="somewhere", registration="simpelitk")).build_registration()


def test_a_margin_must_be_positive():
    with pytest.raises(ValueError, match="margin_mm: expected more than 0, found 0"):
        GreedyRoi(margin_mm=0.0)


def test_a_scratch_folder_with_a_space_in_its_path_will_do(tmp_path):
    folder = tmp_path / "my files"
    folder.mkdir()
    target, reference = make_target()
    assert_registered(warp(folder, target, make_atlas()), target, reference)


def test_no_folder_without_a_space_is_told_with_what_to_do(tmp_path, monkeypatch):
    folder = tmp_path / "my files"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(RuntimeError, match="set TMPDIR to a folder without a space"):
        warp(folder, make_target()[0], make_atlas())


@pytest.mark.parametrize("slices", [4, 6, 9, 12])
def test_thin_images_can_be_registered(slices, tmp_path):
    grid = centred((24, 22, slices), spacing_mm=(1.0, 1.0, 20.0 / slices))
    target, _ = make_target(grid)
    warped = warp(tmp_path, target, make_atlas(grid, (2.0, -1.0, 0.0)))
    assert np.isfinite(warped.images).all()
    assert np.corrcoef(warped.images.ravel(), target.images.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("shape", [(24, 22, 3), (1, 22, 20)])
def test_images_too_thin_for_greedy_fail_with_the_reason(shape, tmp_path):
    grid = centred(shape)
    with pytest.raises(
        RuntimeError, match=f"4 voxels or more along every axis, target has {'x'.join(map(str, shape))}"
    ):
        warp(tmp_path, make_target(grid)[0], make_atlas())
    with pytest.raises(RuntimeError, match="every axis, atlas has"):
        warp(tmp_path, make_target()[0], make_atlas(grid))


def test_an_atlas_of_other_modalities_fails_with_the_reason(tmp_path):
    target, _ = make_target()
    target = replace(target, images=np.concatenate([target.images] * 2))
    with pytest.raises(RuntimeError, match="expected 2 modalities as in target, found 1 in atlas"):
        warp(tmp_path, target, make_atlas())


def test_a_wrong_number_of_weights_fails_with_the_reason(tmp_path):
    with pytest.raises(RuntimeError, match="modality_weights: expected 1, one per modality, found 2"):
        warp(tmp_path, make_target()[0], make_atlas(), Greedy(modality_weights=(1.0, 1.0)))


def test_an_atlas_without_labels_on_the_target_is_flagged(tmp_path):
    atlas = make_atlas()
    warped = warp(tmp_path, make_target()[0], replace(atlas, labels=np.zeros_like(atlas.labels)))
    assert warped.flags == ("no overlap: no label falls on the target",)


def test_support_is_where_the_affine_leads_into_the_atlas(tmp_path, checked):
    target, _ = make_target()
    atlas = make_atlas(centred((14, 22, 20), np.diag([-1.0, 1, 1])), (0.0, 0.0, 0.0))
    warp(tmp_path, target, atlas, Greedy(iterations="0"))
    index = np.c_[np.stack(np.meshgrid(*map(np.arange, CUBE.shape), indexing="ij"), -1).reshape(-1, 3), np.ones(10560)]
    to_atlas = np.linalg.inv(atlas.grid.affine) @ checked[0]["affine"] @ np.array(target.grid.affine)
    place = (index @ to_atlas.T)[:, :3]
    expected = np.all((place > -0.5) & (place < np.array(atlas.grid.shape) - 0.5), axis=1).reshape(CUBE.shape)
    assert 0.2 < expected.mean() < 0.9
    assert ((checked[0]["support"] > 0.5) == expected).mean() > 0.99


REAL = [
    ("Task04_Hippocampus", "hippocampus_008", "hippocampus_019", {1: 0.7, 2: 0.7}),
    ("MICCAI2012_MTL", "1000_L", "1001_L", {1: 0.75, 2: 0.7, 3: 0.55, 4: 0.6}),
    ("ASHS_T1T2_tiny", "sub01_L", "sub02_L", {1: 0.5, 2: 0.5, 3: 0.3}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "target", "atlas", "at_least"), REAL, ids=[name for name, *_ in REAL])
def test_real_images_are_registered(name, target, atlas, at_least, shared_data: Path, tmp_path):
    dataset = open_dataset(shared_data / name)
    labels, grid = dataset.case(atlas).read_reference()
    moving = Atlas(atlas, dataset.case(atlas).read_target().images, labels, grid)
    warped = warp(tmp_path, dataset.case(target).read_target(), moving)
    reference, _ = dataset.case(target).read_reference()
    assert {label: dice(warped.labels, reference, label) > least for label, least in at_least.items()} == dict.fromkeys(
        at_least, True
    )
