"""Posteriors as files: as large as the structure, and read as they were but for rounding."""

from pathlib import Path

import numpy as np
import pytest

import dlfbench
from dlfbench.fusion.posterior import Posterior
from dlfbench.records.posteriors import write_posterior


def posterior(shape=(6, 5, 4), classes=3) -> np.ndarray:
    """Background, but for a block of 2 x 2 x 2 voxels with shares of every label."""
    whole = np.zeros((classes, *shape), np.float32)
    whole[0] = 1
    shares = np.random.default_rng(0).dirichlet(np.ones(classes), size=(2, 2, 2))
    whole[:, 2:4, 1:3, 1:3] = np.moveaxis(shares, -1, 0)
    return whole


def write(path: Path, shares: np.ndarray) -> None:
    write_posterior(path, Posterior.of_dense(shares, tuple(range(len(shares)))))


def test_read_as_written_but_for_rounding(tmp_path: Path):
    whole = posterior()
    write(tmp_path / "a.npz", whole)
    found = dlfbench.read_posterior(tmp_path / "a.npz")
    assert found.dtype == np.float32
    assert found.shape == whole.shape
    assert np.abs(found - whole).max() <= len(whole) / 510
    assert np.allclose(found.sum(axis=0), 1, atol=1e-6)


def test_shares_below_0_and_above_1_are_kept_as_what_they_mean(tmp_path: Path):
    whole = posterior()  # as joint label fusion gives them, whose weights may be negative
    whole[:, 2, 1, 1], whole[:, 2, 1, 2], whole[:, 3, 1, 1] = (-0.04, 1.04, 0), (1.5, 0, -0.5), (-0.4, 0.6, 0.8)
    write(tmp_path / "a.npz", whole)
    found = dlfbench.read_posterior(tmp_path / "a.npz")
    assert (found.argmax(axis=0) == whole.argmax(axis=0)).all()
    assert found[:, 2, 1, 1].tolist() == [0, 1, 0]
    assert found[:, 2, 1, 2].tolist() == [1, 0, 0]
    assert np.abs(found[:, 3, 1, 1] - (0, 3 / 7, 4 / 7)).max() < 1 / 255


def test_only_voxels_in_dispute_and_shares_of_a_step_are_kept(tmp_path: Path):
    whole = np.concatenate([posterior(), np.zeros((1, 6, 5, 4), np.float32)])
    whole[3, 0, 0, 0] = 0.4 / 255  # less than half a step
    write(tmp_path / "a.npz", whole)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["shares"].dtype == np.uint8
        assert file["shares"].sum() == pytest.approx(9 * 255, abs=9)  # of eight voxels and of one at the corner
        assert len(file["voxels"]) == 9
    assert dlfbench.read_posterior(tmp_path / "a.npz").shape == (4, 6, 5, 4)


def test_the_same_posterior_gives_the_same_bytes(tmp_path: Path):
    for name in "ab":
        write(tmp_path / f"{name}.npz", posterior())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_all_background(tmp_path: Path):
    whole = np.zeros((2, 3, 3, 3), np.float32)
    whole[0] = 1
    write(tmp_path / "a.npz", whole)
    assert np.array_equal(dlfbench.read_posterior(tmp_path / "a.npz"), whole)


def test_equal_shares_of_very_many_labels_still_sum_to_1(tmp_path: Path):
    whole = np.full((600, 1, 1, 2), 1 / 600, np.float32)
    whole[:, 0, 0, 1] = 0
    whole[1, 0, 0, 1] = 1
    write(tmp_path / "a.npz", whole)
    assert np.allclose(dlfbench.read_posterior(tmp_path / "a.npz").sum(axis=0), 1)


def test_what_older_versions_wrote_is_read(tmp_path: Path):
    whole = posterior()
    box = np.rint(whole[:, 2:4, 1:3, 1:3] * 255).astype(np.uint8)
    parts = {"shares": box, "classes": np.arange(3), "start": np.array([2, 1, 1]), "shape": np.array(whole.shape)}
    np.savez_compressed(tmp_path / "old.npz", **parts)
    write(tmp_path / "new.npz", whole)
    old, new = (dlfbench.read_posterior(tmp_path / f"{name}.npz") for name in ("old", "new"))
    assert np.allclose(old, new, atol=1e-6)


def test_a_file_that_contradicts_itself_is_refused(tmp_path: Path):
    write(tmp_path / "a.npz", posterior())
    with np.load(tmp_path / "a.npz") as file:
        parts = dict(file)
    np.savez_compressed(tmp_path / "a.npz", **(parts | {"lengths": parts["lengths"][:-1]}))
    with pytest.raises(dlfbench.InputError, match="expected a posterior"):
        dlfbench.read_posterior(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", None])
def test_what_is_no_posterior_is_refused(tmp_path: Path, content: bytes | None):
    if content is not None:
        (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(dlfbench.InputError, match="expected a posterior"):
        dlfbench.read_posterior(tmp_path / "a.npz")
