"""Modalities on other grids, by hand and with a movement that is known."""

from pathlib import Path

import numpy as np
import pytest

from builders import write_dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.grids import Resampling, align_rigidly, covered_share, resample_onto
from dlfbench.datasets.importing import import_dataset
from dlfbench.datasets.phantom import open_phantom
from dlfbench.datasets.readers import read_source
from dlfbench.images import Grid, read_voxels, write_image
from layouts import T2_TO_T1

GRID = Grid.of((6, 5, 4), np.diag([1.0, 2.0, 3.0, 1.0]))


def shifted(by_mm: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = by_mm
    return matrix


def test_an_image_on_its_own_grid_stays_as_it_is() -> None:
    image = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    assert np.allclose(resample_onto(image, GRID, GRID, np.eye(4)), image, atol=1e-4)


def test_whole_voxels_are_moved_the_right_way() -> None:
    image = np.arange(120, dtype=np.float32).reshape(GRID.shape)
    moved = resample_onto(image, GRID, GRID, shifted((1.0, -2.0, 0.0)))  # one voxel on along x, one back along y
    assert np.allclose(moved[:-1, 1:], image[1:, :-1], atol=1e-3)


def test_flipped_axes_are_told_by_the_affine() -> None:
    image = np.random.default_rng(1).normal(size=GRID.shape).astype(np.float32)
    affine = np.diag([-1.0, 2.0, 3.0, 1.0])
    affine[0, 3] = 5.0
    assert np.allclose(resample_onto(image[::-1], Grid.of(GRID.shape, affine), GRID, np.eye(4)), image, atol=1e-4)


@pytest.mark.parametrize(("by_mm", "share"), [((0, 0, 0), 1), ((3, 0, 0), 0.5), ((0, 2, 0), 0.8), ((0, 0, 99), 0)])
def test_how_much_is_covered(by_mm: tuple[float, float, float], share: float) -> None:
    assert covered_share(GRID, GRID, shifted(by_mm)) == pytest.approx(share)


def test_a_known_movement_is_found() -> None:
    target = open_phantom().cases[0].read_target()
    first, second = target.images[:2]
    affine = T2_TO_T1 @ np.asarray(target.grid.affine)  # the second was taken after the head had moved
    how = align_rigidly(first, target.grid, second, Grid.of(target.grid.shape, affine), np.eye(4))
    corners = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)]).T
    corners = np.asarray(target.grid.affine) @ (corners * np.append(target.grid.shape, 1)[:, None])
    away_mm = np.linalg.norm(((how.to_file - T2_TO_T1) @ corners)[:3], axis=0)
    before_mm = np.linalg.norm(((np.eye(4) - T2_TO_T1) @ corners)[:3], axis=0)
    assert before_mm.min() > 3
    assert away_mm.max() < 1.0
    assert how.information is not None
    assert how.information[1] > how.information[0]
    assert how.turned_deg == pytest.approx(5.0, abs=1.0)
    assert how.flags == ()


def test_what_looks_wrong_is_flagged() -> None:
    bad = Resampling(np.eye(4), True, 0.4, moved_mm=30.0, turned_deg=40.0, information=(0.5, 0.2))
    assert len(bad.flags) == 4
    assert Resampling(np.eye(4), False, 1.0).flags == ()


def test_an_import_brings_modalities_back(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", people=2, modalities=2)
    data = read_decathlon(folder)
    true = {case.name: case.read_target().images[1] for case in data.cases}
    for case in data.cases:  # the second modality lies on a finer grid that is turned
        voxels, grid = read_voxels(case.images[1])
        fine = Grid.of((44, 52, 50), np.asarray(grid.affine) @ np.diag([0.5, 0.5, 0.5, 1]) @ T2_TO_T1)
        write_image(case.images[1], resample_onto(voxels, grid, fine, np.eye(4)), fine)
    back, cases = import_dataset(read_source("msd", folder), tmp_path / "out")
    assert "m1 resampled onto the grid of the labels by cubic B-splines in 4 of 4 cases" in back.description
    assert {modality for case in cases for modality in case.resampled} == {"m1"}
    inside = (slice(4, -4), slice(4, -4), slice(4, -4))
    for case in back.cases:
        found = case.read_target().images[1]
        assert np.corrcoef(found[inside].ravel(), true[case.name][inside].ravel())[0, 1] > 0.99
