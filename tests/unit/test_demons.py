"""The second registration: it aligns, repeats, keeps labels, and refuses what it cannot do."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import SimpleITK as sitk

from dlfbench.errors import InputError
from dlfbench.images import UNKNOWN, Grid
from dlfbench.registration import make_registration
from dlfbench.registration.interface import Registration, WarpedAtlas
from dlfbench.segmenters.contract.scene import Scene
from dlfbench.volumes import Atlas, Target

Volume = TypeVar("Volume", Target, Atlas)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * ((a > 0) & (b > 0)).sum() / ((a > 0).sum() + (b > 0).sum()))


def moved(sample: Scene, shift: int) -> Atlas:
    target = sample.target()
    roll = lambda array: np.roll(array, shift, axis=-1)  # noqa: E731
    return Atlas("moved", roll(target.images), roll(sample.reference()), sample.grid)


def warp(target: Target, atlas: Atlas, registration: Registration | None = None) -> WarpedAtlas:
    registration = registration or make_registration("simpleitk", {})
    return registration.warp(target, atlas, scratch=Path(), threads=1)


SAMPLES = [Scene(shape=(32, 36, 28)), Scene(modalities=2, shape=(34, 36, 20), spacing_mm=(0.8, 1.0, 1.6))]


@pytest.mark.parametrize("sample", SAMPLES, ids=["one", "two"])
def test_a_shifted_atlas_is_brought_back(sample: Scene) -> None:
    atlas = moved(sample, 4)
    found = warp(sample.target(), atlas)
    assert overlap(found.labels, sample.reference()) > max(0.85, overlap(atlas.labels, sample.reference()) + 0.1)
    assert set(np.unique(found.labels)) <= {UNKNOWN, 0, 1, 4}
    assert found.images.shape == sample.target().images.shape


def test_thin_labels_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlfbench.registration.demons._affine", lambda *_: sitk.AffineTransform(3))  # the identity
    target = Scene().target()
    labels = np.zeros(target.grid.shape, np.int16)
    labels[8, 9, 7], labels[3, :, 5], labels[:, 13, :] = 1, 4, 1
    found = warp(target, Atlas("itself", target.images, labels, target.grid), identity())
    assert np.array_equal(found.labels, labels)


def test_beyond_an_atlas_s_field_of_view_it_has_no_vote_and_its_border_goes_on() -> None:
    sample = Scene(shape=(32, 36, 28))
    target = sample.target()
    inner = Grid.of((32, 36, 16), np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 6], [0, 0, 0, 1]]))
    atlas = Atlas("half", target.images[..., 6:22], sample.reference()[..., 6:22], inner)
    found = warp(target, atlas, identity())
    assert (found.labels[..., [0, 1, -2, -1]] == UNKNOWN).all()
    assert found.images.min() > 50


@pytest.mark.parametrize(("factor", "offset"), [(1.0, -1000.0), (2.0**-20, 0.0)])
def test_where_zero_is_and_what_is_one_make_no_difference(factor: float, offset: float) -> None:
    def stored_otherwise(volume: Volume) -> Volume:
        return replace(volume, images=volume.images.astype(np.float64) * factor + offset)

    sample = Scene(shape=(32, 36, 28))
    plain = warp(sample.target(), moved(sample, 4))
    found = warp(stored_otherwise(sample.target()), stored_otherwise(moved(sample, 4)))
    assert np.array_equal(found.labels, plain.labels)
    assert (found.images.dtype, plain.images.dtype) == (np.float32, np.float32)


def identity() -> Registration:
    """As near to it as the settings allow."""
    return make_registration("simpleitk", {"affine_iterations": 1, "iterations": (0,)})


def test_equal_input_gives_equal_output() -> None:
    one, other = (warp(Scene().target(), moved(Scene(), 2)) for _ in range(2))
    assert np.array_equal(one.labels, other.labels)
    assert np.array_equal(one.images, other.images)


def test_what_it_cannot_do_is_refused_with_the_reason() -> None:
    with pytest.raises(RuntimeError, match="expected 2 modalities as in target, found 1 in moved"):
        warp(Scene(modalities=2).target(), moved(Scene(), 1))
    with pytest.raises(RuntimeError, match="modality: expected less than 1, found 1"):
        warp(Scene().target(), moved(Scene(), 1), make_registration("simpleitk", {"modality": 1}))
    with pytest.raises(RuntimeError, match="4 voxels or more along every axis, target has 16x18x3"):
        warp(Scene(shape=(16, 18, 3)).target(), moved(Scene(), 1))
    with pytest.raises(InputError, match="smoothing_vox: expected more than 0, found -1"):
        make_registration("simpleitk", {"smoothing_vox": -1.0})
